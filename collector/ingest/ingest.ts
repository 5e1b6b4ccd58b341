// From a message to the database and back to an acknowledgement. Promises: a batch is acknowledged only after the store has
// it and the fleet has counted it; batches of one agent are taken in order, none left out; what does not decode is counted
// and kept aside and never blocks what follows. What many agents said at the same time is one write and one commit.
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Leaf } from '#shared/topics.ts';
import { decodeBatch, decodeStatus, encodeAck } from '#shared/wire.ts';
import type { Batch } from '#shared/wire.ts';
import type { Fleet, Origin } from '../fleet/fleet.ts';
import type { Store } from '../store/store.ts';
import { createDeadLetters, deadLetterSchema } from './dead-letters.ts';
import { createLanes } from './lanes.ts';
import type { Waiting } from './lanes.ts';
import { createSeriesLimit, seriesLimitSchema } from './series-limit.ts';

export const ingestSchema = [deadLetterSchema, seriesLimitSchema].join(';\n');

export type IngestCounts = {
  readonly batches: number;
  readonly duplicates: number;
  /** Batches that came before their turn: the agent sends them again. */
  readonly gaps: number;
  readonly deadLetters: number;
  /** Points that the catalogue does not know, that are too many series, or that the database refused. */
  readonly refusedPoints: number;
};
export type Ingest = {
  /**
   * Takes a message; never throws, never waits. The broker has already said who sent it: `origin` comes from the topic.
   * `retained`: the broker kept it from earlier, so it is no sign of life.
   */
  readonly receive: (origin: Origin, leaf: Leaf, payload: Uint8Array, retained?: boolean) => void;
  /** The broker says how acknowledgements travel. */
  readonly onAck: (publish: (origin: Origin, payload: string) => void) => void;
  readonly counts: () => IngestCounts;
  /** Undefined when batches go through, else why not. */
  readonly problem: () => string | undefined;
  readonly stop: () => Promise<void>;
};

const standardSeriesPerTenant = 100_000;

export function createIngest(options: {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly db: Database;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly seriesPerTenant?: number;
}): Ingest {
  const { store, fleet, db, clock, random, log } = options;
  const lanes = createLanes();
  const counts = { batches: 0, duplicates: 0, gaps: 0, refusedPoints: 0 };
  const stopping = new AbortController();
  const deadLetters = createDeadLetters({ db, clock, log });
  const limit = createSeriesLimit({ db, perTenant: options.seriesPerTenant ?? standardSeriesPerTenant });
  let acknowledge: (origin: Origin, payload: string) => void = () => {};
  const told = new Set<string>();
  const stopped = new Promise<never>((_, reject) => {
    stopping.signal.addEventListener('abort', () => reject(new Error('the collector stops')));
  });
  stopped.catch(() => {});
  let running: Promise<void> | undefined;
  let problem: string | undefined;

  /** Writes until the store takes it; this is the one layer that retries. False when the collector stops. */
  async function write(parts: readonly Waiting[]): Promise<boolean> {
    const points = parts.map(({ origin, batch }) => ({ origin, points: batch.points }));
    const backoff = createBackoff({ firstMs: 200, maxMs: 10_000, random, floor: 0.5 });
    while (!stopping.signal.aborted) {
      try {
        const { refused } = await Promise.race([store.write(points, stopping.signal), stopped]);
        counts.refusedPoints += refused;
        if (refused > 0) log.warn({ refused }, 'the database refused points');
        if (problem !== undefined) log.info('the store takes measurements again');
        problem = undefined;
        return true;
      } catch (error) {
        if (stopping.signal.aborted) return false;
        if (problem === undefined)
          log.error({ error: describe(error) }, 'the store takes no measurements; the agents keep them');
        problem = describe(error);
        await clock.sleep(backoff.next(), stopping.signal);
      }
    }
    return false;
  }

  /** Of a group, what is to be written: in order, nothing twice, nothing before its turn. */
  function inTurn(group: readonly Waiting[]): readonly Waiting[] {
    const last = new Map<string, number>();
    return group.filter(({ origin, batch }) => {
      const key = keyOf({ origin, batch });
      const before = last.get(key) ?? fleet.lastSeq(origin, batch.outbox);
      const isTurn = batch.seq > before && batch.seq === Math.max(before + 1, batch.oldest);
      if (batch.seq <= before) counts.duplicates += 1;
      else if (!isTurn) counts.gaps += 1;
      else {
        last.set(key, batch.seq);
        if (batch.seq > before + 1)
          log.warn(
            { ...origin, from: before + 1, to: batch.seq - 1 },
            'batches were dropped by the outbox of the agent',
          );
      }
      return isTurn;
    });
  }

  async function take(group: readonly Waiting[]): Promise<void> {
    limit.flush();
    const parts = inTurn(group);
    if (parts.length > 0 && !(await write(parts))) return;
    const { counted, failed } = fleet.applyAll(parts);
    counts.batches += counted;
    if (failed !== undefined) {
      // The disk of the collector: without an acknowledgement the agent keeps the batch and sends it again.
      problem = 'collector.db: ' + describe(failed);
      log.error({ error: describe(failed), batches: parts.length - counted }, 'batches could not be counted');
    }
    // One for each outbox: it says all up to its number.
    for (const { origin, batch } of new Map(group.map((one) => [keyOf(one), one])).values())
      acknowledge(origin, encodeAck({ outbox: batch.outbox, seq: fleet.lastSeq(origin, batch.outbox) }));
  }

  async function run(): Promise<void> {
    // One turn of the event loop: what came in one piece is one group.
    await new Promise((resolve) => setImmediate(resolve));
    while (!stopping.signal.aborted) {
      const group = lanes.next(clock.now());
      if (group.length === 0) break;
      try {
        await take(group);
      } catch (error) {
        problem = 'collector.db: ' + describe(error);
        log.error({ error: describe(error) }, 'batches could not be taken');
      }
    }
    running = undefined;
  }

  function receiveBatch(origin: Origin, payload: Uint8Array): void {
    const decoded = decodeBatch(payload);
    if (!decoded.ok) {
      deadLetters.keep(origin, 'up', payload, decoded.problem);
      passOver(origin, payload);
      return;
    }
    const points = limit.admit(origin, decoded.value.points);
    leaveOut(origin, payload, decoded.dropped, 'that this version does not know; update the collector');
    leaveOut(
      origin,
      payload,
      decoded.value.points.length - points.length,
      'that would be new series, and the tenant has as many as it may; see option limits.seriesPerTenant',
    );
    enqueue(origin, points === decoded.value.points ? decoded.value : { ...decoded.value, points });
  }

  /** They come again with every batch: the first message is kept aside, the others are counted. */
  function leaveOut(origin: Origin, payload: Uint8Array, points: number, why: string): void {
    if (points === 0) return;
    counts.refusedPoints += points;
    const key = origin.tenant + '/' + origin.agent + ' ' + why;
    if (told.has(key)) return;
    told.add(key);
    deadLetters.keep(origin, 'up', payload, points + ' points are left out ' + why);
  }

  function enqueue(origin: Origin, batch: Batch): void {
    if (lanes.add(origin, batch)) running ??= run();
  }

  /** A batch that cannot be read, but whose number can, takes its place empty: otherwise nothing after it would be taken. */
  function passOver(origin: Origin, payload: Uint8Array): void {
    const position = readPosition(payload);
    if (position !== undefined) enqueue(origin, { ...position, at: clock.now(), points: [] });
  }

  function takeMessage(origin: Origin, leaf: Leaf, payload: Uint8Array, retained: boolean): void {
    if (leaf === 'up' && !retained) {
      // Alive is who is heard, also while the store is away.
      fleet.heard(origin);
      receiveBatch(origin, payload);
    } else if (leaf === 'status') {
      const decoded = decodeStatus(payload);
      if (decoded.ok) fleet.seen(origin, decoded.value, retained);
      else if (payload.length > 0) deadLetters.keep(origin, leaf, payload, decoded.problem);
    }
  }

  return {
    receive(origin, leaf, payload, retained = false) {
      if (stopping.signal.aborted) return;
      try {
        takeMessage(origin, leaf, payload, retained);
      } catch (error) {
        log.error({ ...origin, leaf, error: describe(error) }, 'a message could not be taken');
      }
    },
    onAck(publish) {
      acknowledge = publish;
    },
    counts: () => ({ ...counts, deadLetters: deadLetters.count() }),
    problem: () => problem,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

const keyOf = ({ origin, batch }: Waiting): string => origin.tenant + '/' + origin.agent + ' ' + batch.outbox;

function readPosition(payload: Uint8Array): Pick<Batch, 'outbox' | 'seq' | 'oldest'> | undefined {
  const text = Buffer.from(payload.subarray(0, 65_536)).toString('utf8');
  const outbox = /"outbox":"([a-z0-9-]{8,40})"/.exec(text)?.[1];
  const seq = Number(/"seq":([0-9]{1,15})[,}]/.exec(text)?.[1]);
  const oldest = Number(/"oldest":([0-9]{1,15})[,}]/.exec(text)?.[1]);
  return outbox !== undefined && seq >= 1 && oldest >= 1 ? { outbox, seq, oldest } : undefined;
}
