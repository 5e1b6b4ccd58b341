// What happened leaves the house: gauges in the rhythm of the flush, what is said about mails within a second.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Journal } from '#shared/journal.ts';
import type { Log } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import type { Meter, Point } from '#shared/meter.ts';
import type { Command, Reply } from '#shared/wire.ts';
import { openOutbox } from './outbox.ts';
import type { Outbox, OutboxHealth } from './outbox.ts';
import { createPublisher } from './publisher.ts';
import type { Goodbye, Publisher } from './publisher.ts';
import type { ReportConfig } from './report-options.ts';
import { createSilence } from './silence.ts';
import type { SilenceNote } from './silence.ts';

export type TelemetryHealth = OutboxHealth & {
  readonly connected: boolean;
  /** Empty when connected. */ readonly problem: string;
};
export type Telemetry = {
  readonly meter: Meter;
  readonly start: () => Promise<void>;
  /** Writes what is left to the outbox, says goodbye; bounded. */
  readonly stop: () => Promise<void>;
  readonly health: () => TelemetryHealth;
  /** The end of a command that waited for a person. */
  readonly reply: (reply: Omit<Reply, 'v'>) => void;
};

/** How soon a mail that was journaled is on its way to the collector. */
const journalEveryMs = 1_000;
/** Gauges that may wait for one flush: a room that speaks without end must not eat the memory. */
const maxPending = 5_000;
const noOutbox: OutboxHealth = { batches: 0, bytes: 0, oldestSeconds: 0, dropped: 0, aside: 0, unheardSeconds: 0 };

export function createTelemetry(options: {
  readonly config: ReportConfig;
  /** Asked before each connection. */
  readonly password: string | (() => string);
  readonly ca?: string;
  /** File and option, for the log; `report` when absent. */
  readonly origin?: string;
  readonly tenant: string;
  readonly agent: string;
  readonly version: string;
  readonly journal: Journal;
  readonly folder: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  /** Told when this state, or this identity, is in use elsewhere. */
  readonly onDoubt?: (reason: string) => void;
  /** Public key to which the collector may seal a configuration. */
  readonly key?: string;
  /** A command of the collector; never throws. */
  readonly onCommand?: (command: Command) => Promise<Omit<Reply, 'v'>>;
  /** Tells people by mail that the collector is not heard; resolves when somebody took it, throws when nobody did. */
  readonly tell?: (note: SilenceNote) => Promise<void>;
  /** Why the agent ends. */
  readonly goodbye?: () => Goodbye;
  /** Called before each flush: says the gauges that no room says by itself. */
  readonly gauges: () => void;
}): Telemetry {
  const { config, clock, log, tenant, agent } = options;
  const stopping = new AbortController();
  const startedAt = clock.monotonic();
  let pending: Point[] = [];
  let outbox: Outbox | undefined;
  let publisher: Publisher | undefined;
  let running: Promise<void> | undefined;
  let failing = '';
  /** Monotonic: when the outbox was written last. */
  let writtenAt = -Infinity;
  /** Since the last flush something was written that is no gauge. */
  let isAwake = false;
  let toldDropped = false;
  const silence = createSilence({
    afterHours: config.tell?.afterHours ?? 0,
    address: { tenant, agent },
    state: () => ({ unheardSeconds: outbox?.health().unheardSeconds ?? 0, problem: publisher?.problem() ?? '' }),
    ...(options.tell && { tell: options.tell }),
    folder: options.folder,
    clock,
    random: options.random,
    log,
  });

  const meter = createMeter({
    clock,
    sink(point) {
      if (pending.length < maxPending) pending.push(point);
    },
  });

  function health(): TelemetryHealth {
    const stored = outbox?.health() ?? noOutbox;
    return { ...stored, connected: publisher?.connected() ?? false, problem: publisher?.problem() ?? 'not started' };
  }

  function sayOwn(): void {
    const { batches, bytes, oldestSeconds, dropped, aside } = health();
    const uptime = Math.round((clock.monotonic() - startedAt) / 1_000);
    meter.say(
      'agent',
      {},
      {
        uptime_seconds: uptime,
        rss_bytes: process.memoryUsage.rss(),
        outbox_batches: batches,
        outbox_bytes: bytes,
        outbox_oldest_seconds: oldestSeconds,
        outbox_dropped: dropped,
        outbox_aside: aside,
      },
    );
  }

  /** A full disk costs no mail and no event: the journal keeps what it has; gauges are told at once and written later. */
  function commit(points: readonly Point[]): void {
    try {
      const made = outbox?.commit(points) ?? 0;
      if (made > 0) {
        writtenAt = clock.monotonic();
        isAwake = points.length === 0; // something of the journal: a mail was moved, the disk turns anyway
      }
      if (failing !== '') log.info('the outbox can be written again');
      failing = '';
      if (made > 0) publisher?.wake();
    } catch (error) {
      if (failing !== describe(error)) log.error({ error: describe(error) }, 'the outbox cannot be written');
      failing = describe(error);
      pending = [...points, ...pending].slice(-maxPending);
      publisher?.sayNow(points);
    }
  }

  function flush(): void {
    try {
      options.gauges();
      sayOwn();
    } catch (error) {
      log.error({ error: describe(error) }, 'gauges could not be read');
    }
    commit([]);
    const points = pending;
    pending = [];
    if (mayRest(points)) rest(points);
    else commit(points);
  }

  /** Nothing but gauges, the disk sleeps, and it has not been woken for them for no longer than it may be. */
  function mayRest(points: readonly Point[]): boolean {
    const { diskSeconds = 0 } = config;
    if (diskSeconds === 0 || isAwake || stopping.signal.aborted || points.length > maxPending / 2) return false;
    return clock.monotonic() - writtenAt < diskSeconds * 1_000;
  }

  /** Told past the disk; where nobody hears, they wait for the next time that it is awake. */
  function rest(points: readonly Point[]): void {
    if (publisher?.connected() === true && publisher.problem() === '') publisher.sayNow(points);
    else pending = points.slice();
  }

  async function run(): Promise<void> {
    let flushedAt = -Infinity;
    while (!stopping.signal.aborted) {
      if (clock.monotonic() - flushedAt >= config.flushSeconds * 1_000) {
        flushedAt = clock.monotonic();
        flush();
      } else commit([]);
      await clock.sleep(Math.min(journalEveryMs, config.flushSeconds * 1_000), stopping.signal);
    }
  }

  return {
    meter,
    start() {
      outbox = openOutbox({
        folder: options.folder,
        journal: options.journal,
        maxBytes: config.maxOutboxBytes,
        ...(config.maxOutboxDays === undefined ? {} : { maxDays: config.maxOutboxDays }),
        clock,
        onDropped(points) {
          if (!toldDropped) log.warn({ points }, 'the outbox is over its limits: the oldest measurements are dropped');
          toldDropped = true;
        },
        onDamaged: (error) =>
          log.error({ error: describe(error) }, 'outbox.db is damaged: set aside, a new one begins'),
      });
      publisher = createPublisher({
        url: config.url,
        origin: options.origin ?? 'report',
        user: config.user ?? tenant + '/' + agent,
        password: options.password,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        folder: options.folder,
        address: { tenant, agent },
        ...(options.key === undefined ? {} : { key: options.key }),
        ...(options.onCommand && { onCommand: options.onCommand }),
        version: options.version,
        outbox,
        clock,
        random: options.random,
        log,
        ...(options.onDoubt && { onDoubt: options.onDoubt }),
      });
      publisher.start();
      running = Promise.all([run(), silence.run(stopping.signal)]).then(() => {});
      return Promise.resolve();
    },
    async stop() {
      stopping.abort();
      await running;
      if (outbox !== undefined) flush();
      await publisher?.stop(options.goodbye?.());
      outbox?.close();
      outbox = undefined;
    },
    health,
    reply: (reply) => publisher?.reply(reply),
  };
}
