// The embedded MQTT broker (aedes, MQTT 3.1.1). Promise: an agent publishes only on its own up, status and reply, its last
// will included, and reads only its own ack, cmd and status; nobody else gets in.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Aedes } from 'aedes';
import type { AedesOptions, Client } from 'aedes';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { isClientIdOf, parseTopic, topicOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { maxMessageBytes } from '#shared/wire.ts';
import type { EmbeddedBrokerConfig } from '../config.ts';
import type { Ingest } from '../ingest/ingest.ts';
import { createFrameLimit } from './frame-limit.ts';

export type Broker = {
  /** Throws UserError when the port cannot be had. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Undefined when well, else why not. */
  readonly problem: () => string | undefined;
};
export type EmbeddedBroker = Broker & { readonly address: () => { readonly host: string; readonly port: number } };

/** A topic and the fixed header come on top of the largest message. */
const maxPacketBytes = maxMessageBytes + 1_024;
const connectTimeoutMs = 10_000;
const refusalDelayMs = 500;

export function createEmbeddedBroker(options: {
  readonly config: EmbeddedBrokerConfig;
  /** By TENANT/AGENT. */
  readonly passwords: ReadonlyMap<string, string>;
  readonly tls?: { readonly key: string; readonly cert: string };
  readonly ingest: Ingest;
  readonly log: Log;
}): EmbeddedBroker {
  const { config, passwords, tls, ingest, log } = options;
  const accounts = new WeakMap<Client, Address>();
  /** By client id. */
  const online = new Map<string, Client>();
  const sockets = new Set<Socket>();
  let aedes: Aedes | undefined;
  let server: Server | undefined;

  /** Every TCP connection, also one whose TLS never comes about: stop() ends them. */
  function track(socket: Socket): void {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  }

  function onSocket(socket: Socket): void {
    socket.on('data', createFrameLimit({ maxBytes: maxPacketBytes, onExceeded: () => socket.destroy() }));
    socket.on('error', () => socket.destroy());
    aedes?.handle(socket);
  }

  async function start(): Promise<void> {
    aedes = await Aedes.createBroker({
      ...rights({ passwords, accounts, online, log }),
      connectTimeout: connectTimeoutMs,
      drainTimeout: 15_000,
      maxClientsIdLength: 128,
    });
    aedes.on('client', (client) => void online.set(client.id, client));
    aedes.on('clientDisconnect', (client) => {
      if (online.get(client.id) === client) online.delete(client.id);
    });
    const emitter: EventEmitter = aedes; // its types leave this event out; without a listener it would end the process
    emitter.on('error', (error: unknown) => log.error({ error: describe(error) }, 'broker error'));
    aedes.on('clientError', (client, error) =>
      log.debug({ client: client.id, error: describe(error) }, 'client error'),
    );
    aedes.on('connectionError', (_client, error) => log.debug({ error: describe(error) }, 'connection refused'));
    aedes.on('publish', (packet, client) => {
      const topic = client === null ? undefined : parseTopic(packet.topic);
      if (topic !== undefined)
        ingest.receive({ tenant: topic.tenant, agent: topic.agent }, topic.leaf, Buffer.from(packet.payload));
    });
    ingest.onAck((origin, payload) => {
      aedes?.publish(
        { cmd: 'publish', topic: topicOf(origin, 'ack'), payload, qos: 1, retain: false, dup: false },
        (error) => {
          if (error) log.warn({ error: describe(error) }, 'an acknowledgement could not be sent');
        },
      );
    });
    server =
      tls === undefined
        ? createServer({ noDelay: true }, onSocket)
        : createTlsServer({ ...tls, noDelay: true, handshakeTimeout: connectTimeoutMs }, onSocket);
    server.on('connection', track);
    server.maxConnections = Math.max(100, config.agents.length * 4);
    await listen(server, config);
  }

  return {
    start,
    async stop() {
      const listening = server?.listening === true;
      const closed = new Promise<void>((resolve) => (listening ? server?.close(() => resolve()) : resolve()));
      await new Promise<void>((resolve) => (aedes === undefined ? resolve() : aedes.close(() => resolve())));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
    problem: () => (server?.listening === true ? undefined : 'the broker does not listen'),
    address: () => ({ host: config.host, port: (server?.address() as AddressInfo | null)?.port ?? config.port }), // a TCP server
  };
}

async function listen(server: Server, config: EmbeddedBrokerConfig): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(config.port, config.host, resolve);
  try {
    await promise;
  } catch (error) {
    const found = codeOf(error) === 'EADDRINUSE' ? 'it is in use' : (codeOf(error) ?? describe(error));
    throw new UserError(
      'Cannot listen for agents on ' +
        config.host +
        ':' +
        config.port +
        ': ' +
        found +
        ', expected a free port; change option broker.port',
      { cause: error },
    );
  }
  server.on('error', () => {}); // a single connection that fails is not the server's end
}

type Rights = Pick<AedesOptions, 'authenticate' | 'authorizePublish' | 'authorizeSubscribe'>;

function rights(options: {
  readonly passwords: ReadonlyMap<string, string>;
  readonly accounts: WeakMap<Client, Address>;
  readonly online: ReadonlyMap<string, Client>;
  readonly log: Log;
}): Rights {
  const { passwords, accounts, online, log } = options;
  let refusals = 0;
  return {
    authenticate(client, username, password, done) {
      const [tenant = '', agent = ''] = (username ?? '').split('/');
      const expected = passwords.get(username ?? '');
      const right = equal(password?.toString('utf8') ?? '', expected ?? '') && expected !== undefined;
      // The client id is bound to the account: otherwise one account could take over the connection of another.
      // No session is kept for anybody: it would gather messages in memory for clients that never come back.
      if (right && client.clean && isClientIdOf({ tenant, agent }, client.id)) {
        accounts.set(client, { tenant, agent });
        if (online.has(client.id))
          log.warn(
            { tenant, agent },
            'a new connection takes over: the line had broken, or two agents have one identity',
          );
        done(null, true);
        return;
      }
      refusals += 1;
      // Whoever tries passwords must not fill the disk with lines.
      if (refusals <= 20 || refusals % 100 === 0)
        log.warn(
          {
            user: (username ?? '').slice(0, 80),
            problem: right ? 'wrong client id, or not a clean session' : 'wrong user or password',
            count: refusals,
          },
          'an agent was refused',
        );
      // 4: bad user name or password. The delay makes guessing slow.
      setTimeout(() => done(Object.assign(new Error('refused'), { returnCode: 4 }), false), refusalDelayMs).unref();
    },
    authorizePublish(client, packet, done) {
      if (client === null) return done(null);
      const own = accounts.get(client);
      const topic = parseTopic(packet.topic);
      const leaf = topic?.leaf;
      const isOwn = own !== undefined && topic?.tenant === own.tenant && topic.agent === own.agent;
      const allowed = leaf === 'up' || leaf === 'status' || leaf === 'reply';
      const fits = packet.payload.length <= maxMessageBytes && packet.qos < 2; // a QoS 2 message is held in memory
      if (isOwn && allowed && fits && (!packet.retain || leaf === 'status')) return done(null);
      log.warn(
        { client: client.id, topic: packet.topic.slice(0, 120), retain: packet.retain },
        'a message was refused',
      );
      return done(new Error('not allowed'));
    },
    authorizeSubscribe(client, subscription, done) {
      const own = accounts.get(client);
      const topic = parseTopic(subscription.topic);
      const isOwn = own !== undefined && topic?.tenant === own.tenant && topic.agent === own.agent;
      // Its own status tells an agent that a second one has its identity.
      const leaf = topic?.leaf;
      if (isOwn && (leaf === 'ack' || leaf === 'cmd' || leaf === 'status')) return done(null, subscription);
      log.warn({ client: client.id, topic: subscription.topic.slice(0, 120) }, 'a subscription was refused');
      return done(null, null);
    },
  };
}

function equal(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
