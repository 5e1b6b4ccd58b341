// What happened leaves the house: gauges in the rhythm of the flush, what is said about mails within a second.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Journal } from '#shared/journal.ts';
import type { Log } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import type { Meter, Point } from '#shared/meter.ts';
import type { ReportConfig } from '../config.ts';
import { openOutbox } from './outbox.ts';
import type { Outbox, OutboxHealth } from './outbox.ts';
import { createPublisher } from './publisher.ts';
import type { Publisher } from './publisher.ts';

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
};

/** How soon a mail that was journaled is on its way to the collector. */
const journalEveryMs = 1_000;
/** Gauges that may wait for one flush: a room that speaks without end must not eat the memory. */
const maxPending = 5_000;

export function createTelemetry(options: {
  readonly config: ReportConfig;
  readonly password: string;
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

  const meter = createMeter({
    clock,
    sink(point) {
      if (pending.length < maxPending) pending.push(point);
    },
  });

  function health(): TelemetryHealth {
    const stored = outbox?.health() ?? { batches: 0, bytes: 0, oldestSeconds: 0, dropped: 0 };
    return { ...stored, connected: publisher?.connected() ?? false, problem: publisher?.problem() ?? 'not started' };
  }

  function sayOwn(): void {
    const { batches, bytes, oldestSeconds, dropped } = health();
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
      },
    );
  }

  /** A full disk costs no mail and no event: the journal keeps what it has; gauges are told at once and written later. */
  function commit(points: readonly Point[]): void {
    try {
      const made = outbox?.commit(points) ?? 0;
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
    const points = pending;
    pending = [];
    commit(points);
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
        clock,
        onDamaged: (error) =>
          log.error({ error: describe(error) }, 'outbox.db is damaged: set aside, a new one begins'),
      });
      publisher = createPublisher({
        url: config.url,
        origin: options.origin ?? 'report',
        user: config.user ?? tenant + '/' + agent,
        password: options.password,
        ...(options.ca === undefined ? {} : { ca: options.ca }),
        address: { tenant, agent },
        version: options.version,
        outbox,
        clock,
        random: options.random,
        log,
        ...(options.onDoubt && { onDoubt: options.onDoubt }),
      });
      publisher.start();
      running = run();
      return Promise.resolve();
    },
    async stop() {
      stopping.abort();
      await running;
      if (outbox !== undefined) flush();
      await publisher?.stop();
      outbox?.close();
      outbox = undefined;
    },
    health,
  };
}
