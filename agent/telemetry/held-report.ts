// The report of an agent that is held: that it is, and why. Promise: it neither throws an agent out that runs elsewhere under
// the same name, nor touches the outbox, whose numbers that agent may go on with.
import { randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { createMeter, createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { encodeBatch } from '#shared/wire.ts';
import type { Outbox } from './outbox.ts';
import { createPublisher } from './publisher.ts';
import type { ReportConfig } from './report-options.ts';
import type { Telemetry } from './telemetry.ts';

/** What it says again and again need not be kept: the last of it is enough. */
const maxBatches = 10;

export function createHeldReport(options: {
  readonly config: ReportConfig;
  readonly password: string | (() => string);
  readonly ca?: string;
  readonly folder?: string;
  readonly origin: string;
  readonly tenant: string;
  readonly agent: string;
  readonly version: string;
  readonly reason: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Telemetry {
  const { config, clock, random, log, tenant, agent, version } = options;
  const stopping = new AbortController();
  const startedAt = clock.monotonic();
  const outbox = createMemoryOutbox(clock);
  let running: Promise<void> | undefined;
  const publisher = createPublisher({
    url: config.url,
    origin: options.origin,
    user: config.user ?? tenant + '/' + agent,
    password: options.password,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...(options.folder === undefined ? {} : { folder: options.folder }),
    address: { tenant, agent },
    version,
    outbox,
    clock,
    random,
    log,
    held: true,
  });

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const uptime = Math.round((clock.monotonic() - startedAt) / 1_000);
      outbox.commit([
        createPoint('hold', clock.now(), {}, { held: 1, reason: options.reason }),
        createPoint('agent', clock.now(), {}, { uptime_seconds: uptime, rss_bytes: process.memoryUsage.rss() }),
      ]);
      publisher.wake();
      await clock.sleep(config.flushSeconds * 1_000, stopping.signal);
    }
  }

  return {
    meter: createMeter({ clock, sink: () => {} }),
    start() {
      publisher.start();
      running ??= run();
      return Promise.resolve();
    },
    async stop() {
      stopping.abort();
      await running;
      await publisher.stop();
    },
    reply: () => {},
    health: () => ({ ...outbox.health(), connected: publisher.connected(), problem: publisher.problem() }),
  };
}

function createMemoryOutbox(clock: Clock): Omit<Outbox, 'close'> {
  const id = 'h-' + randomBytes(12).toString('hex');
  const batches: { readonly seq: number; readonly at: number; readonly points: readonly Point[] }[] = [];
  let seq = 0;
  return {
    id: () => id,
    commit(points) {
      seq += 1;
      batches.push({ seq, at: Math.round(clock.now()), points });
      if (batches.length > maxBatches) batches.shift();
      return 1;
    },
    read(afterSeq, limit) {
      const oldest = batches[0]?.seq ?? seq + 1;
      const wanted = batches.filter((batch) => batch.seq > afterSeq).slice(0, limit);
      return wanted.map((batch) => ({ seq: batch.seq, payload: encodeBatch({ outbox: id, oldest, ...batch }) }));
    },
    acknowledge(upTo) {
      while (batches[0] !== undefined && batches[0].seq <= upTo) batches.shift();
      return 'forgotten';
    },
    breakUp(seq) {
      const at = batches.findIndex((batch) => batch.seq === seq);
      if (at >= 0) batches.splice(at, 1);
      return 'aside';
    },
    health: () => ({ batches: batches.length, bytes: 0, oldestSeconds: 0, dropped: 0, aside: 0, unheardSeconds: 0 }),
  };
}
