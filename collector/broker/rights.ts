// Who may do what at the embedded broker. Promise: an agent publishes only on its own up, status and reply, its last will
// included, and reads only its own ack, cmd, site and status; one that comes with a code only asks and hears the answer;
// nobody else gets in, and who was thrown out says and hears nothing any more.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { AedesOptions, Client } from 'aedes';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { isClientIdOf, isEnrolClientIdOf, parseTopic } from '#shared/topics.ts';
import type { Address, Leaf } from '#shared/topics.ts';
import { maxMessageBytes } from '#shared/wire.ts';
import { createLoginThrottle } from './login-throttle.ts';

export type Identity = { readonly kind: 'agent' | 'enrol'; readonly origin: Address };
/** Undefined: nobody that we know. */
export type Identify = (user: string, password: string) => Identity | undefined;

const refusalDelayMs = 500;
const publishes: Readonly<Record<Identity['kind'], readonly Leaf[]>> = {
  agent: ['up', 'status', 'reply'],
  enrol: ['enrol'],
};
const reads: Readonly<Record<Identity['kind'], readonly Leaf[]>> = {
  // Its own status tells an agent that a second one has its identity.
  agent: ['ack', 'cmd', 'site', 'status'],
  enrol: ['enrolled'],
};

type Handlers = 'preConnect' | 'authenticate' | 'authorizePublish' | 'authorizeSubscribe' | 'authorizeForward';
export type Rights = { readonly [Name in Handlers]: NonNullable<AedesOptions[Name]> } & {
  readonly identityOf: (client: Client) => Identity | undefined;
  /** From now on the client has no right at all. */
  readonly forget: (client: Client) => void;
};

type Message = {
  readonly topic: string;
  readonly payload: Buffer | string;
  readonly qos: number;
  readonly retain: boolean;
};

export function createRights(options: {
  readonly identify: Identify;
  readonly addressOf: (client: Client) => string;
  readonly isOnline: (clientId: string) => boolean;
  readonly clock: Clock;
  readonly log: Log;
}): Rights {
  const { identify, addressOf, isOnline, clock, log } = options;
  const identities = new WeakMap<Client, Identity>();
  const throttle = createLoginThrottle(clock);
  const told = { refusals: 0, messages: 0 };

  /** Whoever tries passwords or topics must not fill the disk with lines. */
  function tell(kind: keyof typeof told, fields: Readonly<Record<string, unknown>>, text: string): void {
    told[kind] += 1;
    if (told[kind] <= 20 || told[kind] % 100 === 0) log.warn({ ...fields, count: told[kind] }, text);
  }

  function mayPublish(identity: Identity | undefined, { topic, payload, qos, retain }: Message): boolean {
    const parsed = parseTopic(topic);
    if (identity === undefined || parsed === undefined || !isSame(parsed, identity.origin)) return false;
    const fits = payload.length <= maxMessageBytes && qos < 2; // a QoS 2 message is held in memory
    return fits && publishes[identity.kind].includes(parsed.leaf) && (!retain || parsed.leaf === 'status');
  }

  function mayRead(identity: Identity | undefined, topic: string): boolean {
    const parsed = parseTopic(topic);
    if (identity === undefined || parsed === undefined || !isSame(parsed, identity.origin)) return false;
    return reads[identity.kind].includes(parsed.leaf);
  }

  /** Why a login that we know is refused all the same. */
  function problemOf(client: Client, identity: Identity, will: Message | undefined): string | undefined {
    // The client id is bound to the account: otherwise one account could take over the connection of another.
    const isOwn = identity.kind === 'agent' ? isClientIdOf : isEnrolClientIdOf;
    if (!isOwn(identity.origin, client.id)) return 'wrong client id';
    // No session is kept for anybody: it would gather messages in memory for clients that never come back.
    if (!client.clean) return 'not a clean session';
    return will === undefined || mayPublish(identity, will) ? undefined : 'a last will that it may not say';
  }

  const wills = new WeakMap<Client, Message>();
  return {
    preConnect(client, packet, done) {
      const { will } = packet;
      if (will !== undefined && will !== null)
        wills.set(client, {
          topic: will.topic,
          payload: will.payload ?? '',
          qos: will.qos ?? 0,
          retain: will.retain === true,
        });
      done(null, true);
    },
    authenticate(client, username, password, done) {
      const user = username ?? '';
      const address = addressOf(client);
      const isTried = throttle.mayTry(address, user);
      const identity = isTried ? identify(user, password?.toString('utf8') ?? '') : undefined;
      const problem =
        identity === undefined
          ? isTried
            ? 'wrong user or password'
            : 'too many wrong passwords, not looked at'
          : problemOf(client, identity, wills.get(client));
      if (identity !== undefined && problem === undefined) {
        identities.set(client, identity);
        if (isOnline(client.id))
          log.warn(
            identity.origin,
            'a new connection takes over: the line had broken, or two agents have one identity',
          );
        done(null, true);
        return;
      }
      if (identity === undefined && isTried) throttle.failed(address, user);
      tell('refusals', { user: user.slice(0, 80), address, problem }, 'an agent was refused');
      // 4: bad user name or password. The delay makes guessing slow.
      setTimeout(() => done(Object.assign(new Error('refused'), { returnCode: 4 }), false), refusalDelayMs).unref();
    },
    authorizePublish(client, packet, done) {
      // Without a client: ours.
      if (client === null || mayPublish(identities.get(client), packet)) return done(null);
      const { topic, retain, qos } = packet;
      tell('messages', { client: client.id, topic: topic.slice(0, 120), retain, qos }, 'a message was refused');
      return done(new Error('not allowed'));
    },
    authorizeSubscribe(client, subscription, done) {
      if (mayRead(identities.get(client), subscription.topic)) return done(null, subscription);
      const topic = subscription.topic.slice(0, 120);
      tell('messages', { client: client.id, topic }, 'a subscription was refused');
      return done(null, null);
    },
    // Also what was kept, and what was on its way when the account was revoked.
    authorizeForward: (client, packet) => (mayRead(identities.get(client), packet.topic) ? packet : null),
    identityOf: (client) => identities.get(client),
    forget: (client) => void identities.delete(client),
  };
}

const isSame = (a: Address, b: Address): boolean => a.tenant === b.tenant && a.agent === b.agent;

/** Accounts whose passwords stand in the configuration, by TENANT/AGENT. */
export function identifyBy(passwords: ReadonlyMap<string, string>): Identify {
  return (user, password) => {
    const expected = passwords.get(user);
    const [tenant = '', agent = ''] = user.split('/');
    const isRight = equal(password, expected ?? '') && expected !== undefined;
    return isRight ? { kind: 'agent', origin: { tenant, agent } } : undefined;
  };
}

function equal(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
