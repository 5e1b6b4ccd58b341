// Sends the outbox to the collector over MQTT 3.1.1. Promise: nothing leaves the outbox before the collector's own
// acknowledgement; a broker's PUBACK only says that the broker has it, and brokers lose what they have.
import { randomBytes } from 'node:crypto';
import { UniqueMessageIdProvider, connect } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import { codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { clientIdOf, heldClientIdOf, topicOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { decodeAck, decodeStatus, encodeStatus } from '#shared/wire.ts';
import { createDirect } from './direct.ts';
import type { Outbox } from './outbox.ts';
import { createTwinWatch } from './twin.ts';

const connectTimeoutMs = 20_000;
const stableMs = 60_000;
/** Batches on the way at once. */
const windowSize = 8;
const standardAckTimeoutMs = 10_000;
/** Time-outs in a row: without a PUBACK the line is given up, without an acknowledgement it is told. */
const maxSilent = 6;
const tellSilent = 3;
const goodbyeMs = 2_000;

export type Publisher = {
  readonly start: () => void;
  /** There may be something new to send. */
  readonly wake: () => void;
  /** Tells gauges at once, past the outbox, when connected; nothing is told twice, nothing is waited for. */
  readonly sayNow: (points: readonly Point[]) => void;
  /** Says goodbye to the collector; bounded. */
  readonly stop: () => Promise<void>;
  readonly connected: () => boolean;
  /** Empty when connected to a collector that acknowledges, else why not. */
  readonly problem: () => string;
};

export function createPublisher(options: {
  readonly url: string;
  /** Where the report stands in the configuration: the log names what is to be mended. */
  readonly origin: string;
  readonly user: string;
  readonly password: string;
  readonly ca?: string;
  readonly address: Address;
  readonly version: string;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Told once when this state, or this identity, is in use elsewhere. */
  readonly onDoubt?: (reason: string) => void;
  /** No birth, no last will, and a client id that throws nobody out. */
  readonly held?: boolean;
  /** Without an acknowledgement for so long a batch is sent again. */
  readonly ackTimeoutMs?: number;
}): Publisher {
  const { url, address, outbox, clock, log, held = false } = options;
  const clientId = held ? heldClientIdOf(address, randomBytes(8).toString('hex')) : clientIdOf(address);
  const twins = createTwinWatch();
  const direct = createDirect(clock);
  let doubted = false;
  const ackTimeoutMs = options.ackTimeoutMs ?? standardAckTimeoutMs;
  const stopping = new AbortController();
  const backoff = createBackoff({ firstMs: 1_000, maxMs: 300_000, random: options.random, floor: 0.1 });
  const topic = { up: topicOf(address, 'up'), status: topicOf(address, 'status'), ack: topicOf(address, 'ack') };
  let session: Session | undefined;
  let problem = 'not connected yet';
  /** Connected, but the collector behind the broker says nothing. */
  let silence = '';
  let running: Promise<void> | undefined;

  function openSession(): Session {
    const connection = 'c-' + randomBytes(8).toString('hex');
    const status = (state: 'online' | 'offline'): string =>
      encodeStatus({ state, connection, at: Math.round(clock.now()), version: options.version });
    twins.ours(connection);
    const will = { topic: topic.status, payload: Buffer.from(status('offline')), qos: 1, retain: true } as const;
    const client = connect(url, { ...clientOptions({ ...options, clientId }), ...(held ? {} : { will }) });
    return {
      client,
      status,
      ready: false,
      reason: 'the broker closed the connection',
      sentUpTo: 0,
      ackedUpTo: undefined,
      unconfirmed: 0,
      silent: 0,
      timer: undefined,
    };
  }

  /** Called by sockets and timers: a full disk costs reports, it must not end the process that carries the mail. */
  function safely(work: () => void): void {
    try {
      work();
    } catch (error) {
      log.error({ error: describe(error) }, 'the outbox cannot be used');
    }
  }

  /** Sends what the window allows; called whenever something is new: a batch, an acknowledgement, a time-out. */
  function pump(current: Session): void {
    if (!current.ready || stopping.signal.aborted) return;
    current.ackedUpTo ??= current.sentUpTo = (outbox.read(0, 1)[0]?.seq ?? 1) - 1;
    // One batch is enough to find out that the collector is back.
    const window = current.silent > 0 ? 1 : windowSize;
    const room = window - Math.max(0, current.sentUpTo - current.ackedUpTo);
    const batches = room > 0 ? outbox.read(current.sentUpTo, room) : [];
    for (const batch of batches) {
      current.sentUpTo = batch.seq;
      // An error means the line broke: the batch is still in the outbox, and the next session sends it.
      current.unconfirmed += 1;
      current.client.publish(topic.up, batch.payload, { qos: 1 }, () => {
        current.unconfirmed -= 1;
        current.silent = Math.min(current.silent, tellSilent);
      });
    }
    arm(current);
  }

  function arm(current: Session): void {
    if (current.ready && isWaiting(current))
      current.timer ??= setTimeout(() => safely(() => sendAgain(current)), ackTimeoutMs);
  }

  function sendAgain(current: Session): void {
    current.timer = undefined;
    if (!isWaiting(current)) return;
    current.silent += 1;
    if (current.silent === tellSilent) {
      silence =
        'Connected to ' + url + ', but no collector acknowledges: expected one behind this broker; reports are kept';
      log.warn(silence);
    }
    if (current.unconfirmed > 0) {
      // A slow line is still busy with them: sending again would only add to it.
      if (current.silent < maxSilent) return arm(current);
      current.reason = 'the broker confirms nothing';
      current.client.end(true);
      return;
    }
    log.debug({ after: current.ackedUpTo, to: current.sentUpTo }, 'no acknowledgement, sending again');
    current.sentUpTo = current.ackedUpTo ?? 0;
    pump(current);
  }

  function doubt(reason: string): void {
    if (doubted) return;
    doubted = true;
    options.onDoubt?.(reason);
  }

  function onStatus(payload: Buffer): void {
    const status = decodeStatus(payload);
    if (held || !status.ok || !twins.heard(status.value.connection)) return;
    doubt('a second agent runs with the identity ' + address.tenant + '/' + address.agent);
  }

  function onAck(current: Session, payload: Buffer): void {
    const ack = decodeAck(payload);
    if (stopping.signal.aborted || !ack.ok || ack.value.outbox !== outbox.id()) return;
    current.silent = 0;
    if (silence !== '') log.info({ url }, 'the collector acknowledges again');
    silence = '';
    if (outbox.acknowledge(ack.value.seq) === 'renewed') {
      log.warn({ acknowledged: ack.value.seq }, 'the outbox is an old copy of itself: it goes on as a new one');
      current.ackedUpTo = undefined;
      doubt(
        'the collector has reports of this agent that its state knows nothing of: an old backup, or a second agent',
      );
    } else if (ack.value.seq > (current.ackedUpTo ?? 0)) {
      current.ackedUpTo = ack.value.seq;
      current.sentUpTo = Math.max(current.sentUpTo, ack.value.seq);
      clearTimeout(current.timer);
      current.timer = undefined;
    }
    pump(current);
  }

  /** One connection, from its start to its end; resolves with why it ended. */
  function run(current: Session): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const { client } = current;
    const end = (): void => {
      current.ready = false;
      clearTimeout(current.timer);
      client.end(true);
      resolve(current.reason);
    };
    client.on('connect', () => {
      client.subscribe(topic.ack, { qos: 1 }, (error, granted) => {
        if (error || granted?.[0]?.qos === 128) {
          current.reason = error ? describe(error) : 'the broker refuses the subscription to ' + topic.ack;
          end();
          return;
        }
        if (!held) {
          // A broker that does not let us read it keeps us from noticing a second agent, from nothing else.
          client.subscribe(topic.status, { qos: 0 }, () => {});
          client.publish(topic.status, current.status('online'), { qos: 1, retain: true }, () => {});
        }
        current.ready = true;
        if (problem !== '') log.info({ url }, 'connected to the collector');
        problem = '';
        safely(() => pump(current));
      });
    });
    client.on('message', (name, payload) =>
      safely(() => (name === topic.status ? onStatus(payload) : onAck(current, payload))),
    );
    client.on('error', (error) => {
      current.reason = codeOf(error) ?? describe(error);
    });
    client.on('close', end);
    client.on('end', end);
    return promise;
  }

  async function attempt(): Promise<string> {
    try {
      session = openSession();
    } catch (error) {
      return describe(error); // an address that nobody can connect to, such as port 99999
    }
    return run(session);
  }

  async function runAll(): Promise<void> {
    while (!stopping.signal.aborted) {
      const since = clock.monotonic();
      const reason = await attempt();
      if (stopping.signal.aborted) return;
      const text =
        'Cannot report to ' +
        url +
        ': ' +
        reason +
        ', expected a collector that knows this agent; check url, user, password and caFile. Mail goes on, reports are kept';
      if (problem !== text) log.warn(options.origin + ': ' + text);
      problem = text;
      silence = '';
      if (clock.monotonic() - since > stableMs) backoff.reset();
      await clock.sleep(backoff.next(), stopping.signal);
    }
  }

  return {
    start() {
      running ??= runAll();
    },
    wake() {
      const current = session;
      if (current !== undefined) safely(() => pump(current));
    },
    sayNow(points) {
      const current = session;
      if (current?.ready !== true) return;
      for (const payload of direct.messages(points)) current.client.publish(topic.up, payload, { qos: 1 }, () => {});
    },
    async stop() {
      const current = session;
      if (current?.ready === true && !held) await sayGoodbye(current, topic.status);
      stopping.abort();
      current?.client.end(true);
      await running;
    },
    connected: () => session?.ready === true,
    problem: () => problem || silence,
  };
}

type Session = {
  readonly client: MqttClient;
  readonly status: (state: 'online' | 'offline') => string;
  /** Subscribed: acknowledgements can arrive. */
  ready: boolean;
  /** Why it ended. */
  reason: string;
  sentUpTo: number;
  /** Undefined until it is known where the outbox begins. */
  ackedUpTo: number | undefined;
  /** Messages without a PUBACK. */
  unconfirmed: number;
  /** Time-outs since the last acknowledgement. */
  silent: number;
  timer: NodeJS.Timeout | undefined;
};

const isWaiting = (session: Session): boolean => session.sentUpTo > (session.ackedUpTo ?? 0);

function clientOptions(options: {
  readonly user: string;
  readonly password: string;
  readonly ca?: string;
  readonly clientId: string;
}): IClientOptions {
  return {
    protocolVersion: 4,
    clientId: options.clientId,
    clean: true,
    username: options.user,
    password: options.password,
    // Ours: the library's own has no back-off.
    reconnectPeriod: 0,
    connectTimeout: connectTimeoutMs,
    keepalive: 30,
    queueQoSZero: false,
    resubscribe: false,
    // The default provider reuses ids that are still on the way and so destroys messages silently.
    messageIdProvider: new UniqueMessageIdProvider(),
    ...(options.ca === undefined ? {} : { ca: options.ca }),
  };
}

/** A clean end is no last will: the collector is told. */
async function sayGoodbye(session: Session, topic: string): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, goodbyeMs);
  session.client.publish(topic, session.status('offline'), { qos: 1, retain: true }, () => resolve());
  await promise;
  clearTimeout(timer);
}
