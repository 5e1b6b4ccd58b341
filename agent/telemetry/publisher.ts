// Sends the outbox to the collector over MQTT 3.1.1. Promise: nothing leaves the outbox before the collector's own
// acknowledgement; a broker's PUBACK only says that the broker has it, and brokers lose what they have.
import { randomBytes } from 'node:crypto';
import { UniqueMessageIdProvider, connect } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import { codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { clientIdOf, topicOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { decodeAck, encodeStatus } from '#shared/wire.ts';
import type { Outbox } from './outbox.ts';

const connectTimeoutMs = 20_000;
const stableMs = 60_000;
/** Batches on the way at once. */
const windowSize = 8;
const ackTimeoutMs = 10_000;
const goodbyeMs = 2_000;

export type Publisher = {
  readonly start: () => void;
  /** There may be something new to send. */
  readonly wake: () => void;
  /** Says goodbye to the collector; bounded. */
  readonly stop: () => Promise<void>;
  readonly connected: () => boolean;
  /** Empty when connected, else why not. */
  readonly problem: () => string;
};

export function createPublisher(options: {
  readonly url: string;
  readonly user: string;
  readonly password: string;
  readonly ca?: string;
  readonly address: Address;
  readonly version: string;
  readonly outbox: Outbox;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Publisher {
  const { url, address, outbox, clock, log } = options;
  const stopping = new AbortController();
  const backoff = createBackoff({ firstMs: 1_000, maxMs: 300_000, random: options.random, floor: 0.1 });
  const topic = { up: topicOf(address, 'up'), status: topicOf(address, 'status'), ack: topicOf(address, 'ack') };
  let session: Session | undefined;
  let problem = 'not connected yet';
  let running: Promise<void> | undefined;

  function openSession(): Session {
    const connection = 'c-' + randomBytes(8).toString('hex');
    const status = (state: 'online' | 'offline'): string =>
      encodeStatus({ state, connection, at: Math.round(clock.now()), version: options.version });
    const client = connect(url, {
      ...clientOptions(options),
      will: { topic: topic.status, payload: Buffer.from(status('offline')), qos: 1, retain: true },
    });
    return { client, status, ready: false, sentUpTo: 0, ackedUpTo: 0, timer: undefined };
  }

  /** Sends what the window allows; called whenever something is new: a batch, an acknowledgement, a time-out. */
  function pump(current: Session): void {
    if (!current.ready || stopping.signal.aborted) return;
    const room = windowSize - Math.max(0, current.sentUpTo - current.ackedUpTo);
    const batches = room > 0 ? outbox.read(current.sentUpTo, room) : [];
    for (const batch of batches) {
      if (current.ackedUpTo === 0) current.ackedUpTo = batch.seq - 1;
      current.sentUpTo = batch.seq;
      // An error means the line broke: the batch is still in the outbox, and the next session sends it.
      current.client.publish(topic.up, batch.payload, { qos: 1 }, () => {});
    }
    if (current.sentUpTo > current.ackedUpTo) current.timer ??= setTimeout(() => sendAgain(current), ackTimeoutMs);
  }

  function sendAgain(current: Session): void {
    current.timer = undefined;
    if (current.sentUpTo <= current.ackedUpTo) return;
    log.debug({ from: current.ackedUpTo + 1, to: current.sentUpTo }, 'no acknowledgement, sending again');
    current.sentUpTo = current.ackedUpTo;
    pump(current);
  }

  function onAck(current: Session, payload: Buffer): void {
    const ack = decodeAck(payload);
    if (!ack.ok || ack.value.outbox !== outbox.id) return;
    outbox.acknowledge(ack.value.seq);
    if (ack.value.seq > current.ackedUpTo) {
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
    let reason = 'the broker closed the connection';
    const end = (): void => {
      current.ready = false;
      clearTimeout(current.timer);
      client.end(true);
      resolve(reason);
    };
    client.on('connect', () => {
      client.subscribe(topic.ack, { qos: 1 }, (error, granted) => {
        if (error || granted?.[0]?.qos === 128) {
          reason = error ? describe(error) : 'the broker refuses the subscription to ' + topic.ack;
          end();
          return;
        }
        client.publish(topic.status, current.status('online'), { qos: 1, retain: true }, () => {});
        current.ready = true;
        if (problem !== '') log.info({ url }, 'connected to the collector');
        problem = '';
        pump(current);
      });
    });
    client.on('message', (_topic, payload) => onAck(current, payload));
    client.on('error', (error) => {
      reason = codeOf(error) ?? describe(error);
    });
    client.on('close', end);
    client.on('end', end);
    return promise;
  }

  async function runAll(): Promise<void> {
    while (!stopping.signal.aborted) {
      const since = clock.monotonic();
      session = openSession();
      const reason = await run(session);
      if (stopping.signal.aborted) return;
      const text =
        'Cannot report to ' +
        url +
        ': ' +
        reason +
        ', expected a collector that knows this agent; check option report (url, user, password, caFile). Mail goes on, reports are kept';
      if (problem !== text) log.warn(text);
      problem = text;
      if (clock.monotonic() - since > stableMs) backoff.reset();
      await clock.sleep(backoff.next(), stopping.signal);
    }
  }

  return {
    start() {
      running ??= runAll();
    },
    wake() {
      if (session !== undefined) pump(session);
    },
    async stop() {
      const current = session;
      if (current?.ready === true) await sayGoodbye(current, topic.status);
      stopping.abort();
      current?.client.end(true);
      await running;
    },
    connected: () => session?.ready === true,
    problem: () => problem,
  };
}

type Session = {
  readonly client: MqttClient;
  readonly status: (state: 'online' | 'offline') => string;
  /** Subscribed: acknowledgements can arrive. */
  ready: boolean;
  sentUpTo: number;
  ackedUpTo: number;
  timer: NodeJS.Timeout | undefined;
};

function clientOptions(options: {
  readonly user: string;
  readonly password: string;
  readonly ca?: string;
  readonly address: Address;
}): IClientOptions {
  return {
    protocolVersion: 4,
    clientId: clientIdOf(options.address),
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
