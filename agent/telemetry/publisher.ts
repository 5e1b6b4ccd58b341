// Sends the outbox to the collector over MQTT 3.1.1: one connection after the other, with a pause that grows while none lasts.
// What is on the way over one of them is flow.ts; how it is opened line.ts.
import { randomBytes } from 'node:crypto';
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { clientIdOf, heldClientIdOf, topicOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { decodeAck, decodeCommand, decodeStatus, encodeReply, encodeStatus } from '#shared/wire.ts';
import type { Command, Reply, Status } from '#shared/wire.ts';
import { openConnection } from './connection.ts';
import type { Connection } from './connection.ts';
import { createDirect } from './direct.ts';
import { createFlow } from './flow.ts';
import type { Flow } from './flow.ts';
import { LineError, remedyOf } from './line-error.ts';
import type { Outbox } from './outbox.ts';
import { createSites } from './site.ts';
import { createSuspects } from './suspects.ts';
import { createTwinWatch } from './twin.ts';

const stableMs = 60_000;
const standardAckTimeoutMs = 10_000;
const keepAliveSeconds = 30;
const goodbyeMs = 2_000;

/** stopping: it comes back; power-off: the machine goes off as planned, nobody need be called. */
export type Goodbye = NonNullable<Status['reason']>;
export type Publisher = {
  readonly start: () => void;
  /** There may be something new to send. */
  readonly wake: () => void;
  /** Tells gauges at once, past the outbox, when connected; nothing is told twice, nothing is waited for. */
  readonly sayNow: (points: readonly Point[]) => void;
  /** The end of a command that waited; told when connected, else when the collector asks again. */
  readonly reply: (reply: Omit<Reply, 'v'>) => void;
  /** Says goodbye to the collector; bounded. */
  readonly stop: (goodbye?: Goodbye) => Promise<void>;
  readonly connected: () => boolean;
  /** Empty when connected to a collector that acknowledges, else why not. */
  readonly problem: () => string;
};

export type PublisherOptions = {
  readonly url: string;
  /** Where the report stands in the configuration: the log names what is to be mended. */
  readonly origin: string;
  readonly user: string;
  /** Asked before each connection: it may have been changed. */
  readonly password: string | (() => string);
  readonly ca?: string;
  /** Where it is remembered where the collector is; nowhere when absent. */
  readonly folder?: string;
  readonly address: Address;
  readonly version: string;
  /** Public key to which the collector may seal a configuration. */
  readonly key?: string;
  readonly outbox: Pick<Outbox, 'id' | 'read' | 'acknowledge' | 'breakUp'>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Told once when this state, or this identity, is in use elsewhere. */
  readonly onDoubt?: (reason: string) => void;
  /** A command of the collector; never throws. Without it commands are not heard. */
  readonly onCommand?: (command: Command) => Promise<Omit<Reply, 'v'>>;
  /** No birth, no last will, no commands, and a client id that throws nobody out. */
  readonly held?: boolean;
  /** Without an acknowledgement for so long a batch is sent again. */
  readonly ackTimeoutMs?: number;
  readonly keepAliveSeconds?: number;
};

type Session = {
  readonly connection: Connection;
  readonly flow: Flow;
  readonly name: string;
  ready: boolean;
  reason: string;
};

export function createPublisher(options: PublisherOptions): Publisher {
  const { address, outbox, clock, log, held = false } = options;
  const clientId = held ? heldClientIdOf(address, randomBytes(8).toString('hex')) : clientIdOf(address);
  const twins = createTwinWatch();
  const direct = createDirect(clock);
  const suspects = createSuspects({ outbox, log });
  const sites = createSites({ folder: options.folder, url: options.url, ca: options.ca, log });
  const stopping = new AbortController();
  const backoff = createBackoff({ firstMs: 1_000, maxMs: 300_000, random: options.random, floor: 0.1 });
  const topic = (leaf: 'up' | 'status' | 'ack' | 'cmd' | 'reply' | 'site'): string => topicOf(address, leaf);
  let doubted = false;
  let session: Session | undefined;
  let problem = 'not connected yet';
  /** Connected, but the collector behind the broker says nothing. */
  let silence = '';
  let running: Promise<void> | undefined;
  /** When the collector last answered, by this machine's clock: that time has passed. */
  let surely = 0;
  let url = options.url;

  function statusOf(name: string, state: 'online' | 'offline', reason?: Goodbye): string {
    const at = Math.round(clock.now());
    const key = options.key === undefined ? {} : { key: options.key };
    return encodeStatus({ state, connection: name, at, version: options.version, ...(reason && { reason }), ...key });
  }

  /** Called by sockets and timers: a full disk costs reports, it must not end the process that carries the mail. */
  function safely(work: () => void): void {
    try {
      work();
    } catch (error) {
      log.error({ error: describe(error) }, 'the outbox cannot be used');
    }
  }

  function doubt(reason: string): void {
    if (doubted) return;
    doubted = true;
    options.onDoubt?.(reason);
  }

  function flowOver(connection: Connection, current: () => Session | undefined): Flow {
    return createFlow({
      outbox,
      suspects,
      publish: (payload, done) => connection.publish(topic('up'), payload, done),
      giveUp() {
        const given = current();
        if (given !== undefined) given.reason = 'the broker confirms nothing';
        connection.end();
      },
      onSilence() {
        silence =
          'Connected to ' + url + ', but no collector acknowledges: expected one behind this broker; reports are kept';
        log.warn(silence);
      },
      onHeard() {
        surely = Math.round(clock.now());
        if (silence !== '') log.info({ url }, 'the collector acknowledges again');
        silence = '';
      },
      onRenewed: () =>
        doubt(
          'the collector has reports of this agent that its state knows nothing of: an old backup, or a second agent',
        ),
      safely,
      now: clock.now,
      ackTimeoutMs: options.ackTimeoutMs ?? standardAckTimeoutMs,
      log,
    });
  }

  function onStatus(payload: Uint8Array): void {
    const status = decodeStatus(payload);
    if (held || !status.ok || !twins.heard(status.value.connection)) return;
    doubt('a second agent runs with the identity ' + address.tenant + '/' + address.agent);
  }

  function onCommand(current: Session, payload: Uint8Array): void {
    const command = decodeCommand(payload);
    if (!command.ok) {
      log.warn({ problem: command.problem }, 'a command of the collector cannot be read');
      return;
    }
    const { onCommand: run } = options;
    if (run === undefined) return;
    void run(command.value).then((reply) => {
      // When the line has broken meanwhile, the collector asks again under the same id.
      if (current.ready) current.connection.publish(topic('reply'), encodeReply(reply), () => {});
    });
  }

  function onMessage(current: Session, name: string, payload: Uint8Array, retained: boolean): void {
    if (stopping.signal.aborted) return;
    if (name === topic('status')) onStatus(payload);
    else if (name === topic('site')) sites.told(payload);
    // A broker that keeps a command would have it carried out at each connection.
    else if (name === topic('cmd') && !retained) onCommand(current, payload);
    else if (name === topic('ack')) {
      const ack = decodeAck(payload);
      if (ack.ok) current.flow.acknowledged(ack.value);
    }
  }

  async function begin(current: Session): Promise<void> {
    await current.connection.subscribe(topic('ack'));
    if (!held) {
      // A broker that does not let us read these keeps us from noticing a second agent, from commands, from nothing else.
      // The status with QoS 0: with 1 a broker waits for our confirmation before it tells the others of our goodbye.
      for (const [leaf, qos] of [
        ['status', 0],
        ['site', 1],
        ['cmd', 1],
      ] as const)
        if (leaf !== 'cmd' || options.onCommand !== undefined)
          current.connection
            .subscribe(topic(leaf), qos)
            .catch((error: unknown) => log.debug({ leaf, error: describe(error) }, 'not subscribed'));
      current.connection.publish(topic('status'), statusOf(current.name, 'online'), () => {}, true);
    }
    current.ready = true;
    if (problem !== '') log.info({ url }, 'connected to the collector');
    problem = '';
    safely(current.flow.begin);
  }

  /** One connection, from its start to its end; gives why it ended. */
  async function run(): Promise<unknown> {
    const way = sites.way();
    ({ url } = way);
    const name = 'c-' + randomBytes(8).toString('hex');
    twins.ours(name);
    /** Undefined while the broker has not let us in: nobody should say anything yet, and a bad broker may. */
    let current: Session | undefined;
    try {
      const password = typeof options.password === 'string' ? options.password : options.password();
      const connection = await openConnection({
        ...way,
        clientId,
        user: options.user,
        password,
        keepAliveSeconds: options.keepAliveSeconds ?? keepAliveSeconds,
        ...(held ? {} : { will: { topic: topic('status'), payload: statusOf(name, 'offline') } }),
        signal: stopping.signal,
        now: clock.now,
        surely,
        onMessage: (from, payload, retained) => {
          const known = current;
          if (known !== undefined) safely(() => onMessage(known, from, payload, retained));
        },
      });
      const opened: Session = {
        connection,
        name,
        ready: false,
        reason: '',
        flow: flowOver(connection, () => session),
      };
      current = session = opened;
      begin(opened).catch((error: unknown) => {
        opened.reason = describe(error);
        connection.end();
      });
      const { reason, ours } = await connection.ended;
      opened.flow.end(!ours);
      opened.ready = false;
      return opened.reason === '' ? reason : opened.reason;
    } catch (error) {
      return error;
    }
  }

  async function runAll(): Promise<void> {
    while (!stopping.signal.aborted) {
      const since = clock.monotonic();
      const reason = await run();
      if (stopping.signal.aborted) return;
      const lasted = clock.monotonic() - since > stableMs;
      if (lasted) backoff.reset();
      else sites.failed();
      const text =
        'Cannot report to ' +
        url +
        ': ' +
        describe(reason) +
        ', expected ' +
        remedyOf(reason instanceof LineError ? reason.trouble : undefined) +
        '. Mail goes on, reports are kept';
      if (problem !== text) log.warn(options.origin + ': ' + text);
      problem = text;
      silence = '';
      await clock.sleep(backoff.next(), stopping.signal);
    }
  }

  return {
    start() {
      running ??= runAll();
    },
    wake() {
      const current = session;
      if (current?.ready === true && !stopping.signal.aborted) safely(current.flow.pump);
    },
    sayNow(points) {
      const current = session;
      if (current?.ready !== true) return;
      for (const payload of direct.messages(points)) current.connection.publish(topic('up'), payload, () => {});
    },
    reply(reply) {
      const current = session;
      if (current?.ready === true) current.connection.publish(topic('reply'), encodeReply(reply), () => {});
    },
    async stop(goodbye = 'stopping') {
      const current = session;
      // A clean end is no last will: the collector is told.
      if (current?.ready === true && !held)
        await current.connection.publishWithin(topic('status'), statusOf(current.name, 'offline', goodbye), goodbyeMs);
      stopping.abort();
      current?.connection.end();
      await running;
    },
    connected: () => session?.ready === true,
    problem: () => problem || silence,
  };
}
