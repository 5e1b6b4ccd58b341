// From a message to the database and back to an acknowledgement. Promises: a batch is acknowledged only after the store has
// it and the fleet has counted it; batches of one agent are taken one at a time, in order, none left out; what does not
// decode is counted and kept aside and never blocks what follows.
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

export const ingestSchema = `
CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  leaf TEXT NOT NULL,
  at INTEGER NOT NULL,
  problem TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT`;

export type IngestCounts = {
  readonly batches: number;
  readonly duplicates: number;
  /** Batches that came before their turn: the agent sends them again. */
  readonly gaps: number;
  readonly deadLetters: number;
  /** Points that the catalogue does not know or the database refused. */
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

/** Batches of one agent that may wait for the store; what comes on top is sent again by the agent. */
const maxWaiting = 16;
/** Of all agents together: when the store is away, memory does not grow with their number. */
const maxWaitingOfAll = 2_000;
const maxDeadLetters = 1_000;

type Lane = { readonly origin: Origin; readonly waiting: Batch[]; running: Promise<void> | undefined };

export function createIngest(options: {
  readonly store: Store;
  readonly fleet: Fleet;
  readonly db: Database;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Ingest {
  const { store, fleet, db, clock, random, log } = options;
  const lanes = new Map<string, Lane>();
  const counts = { batches: 0, duplicates: 0, gaps: 0, deadLetters: 0, refusedPoints: 0 };
  const stopping = new AbortController();
  const keepAside = createDeadLetters(db, clock);
  let acknowledge: (origin: Origin, payload: string) => void = () => {};
  const unknownTold = new Set<string>();
  const stopped = new Promise<never>((_, reject) => {
    stopping.signal.addEventListener('abort', () => reject(new Error('the collector stops')));
  });
  stopped.catch(() => {});
  let waitingOfAll = 0;
  let problem: string | undefined;

  function bury(origin: Origin, leaf: Leaf, payload: Uint8Array, reason: string): void {
    counts.deadLetters += 1;
    // A flood of nonsense must not become a flood of lines.
    if (counts.deadLetters <= 20 || counts.deadLetters % 100 === 0)
      log.warn(
        { ...origin, leaf, bytes: payload.length, problem: reason, count: counts.deadLetters },
        'a message that cannot be read is kept aside',
      );
    try {
      keepAside(origin, leaf, payload, reason);
    } catch (error) {
      log.error({ error: describe(error) }, 'a message could not be kept aside');
    }
  }

  function sayAck(origin: Origin, outbox: string): void {
    acknowledge(origin, encodeAck({ outbox, seq: fleet.lastSeq(origin, outbox) }));
  }

  /** Writes until the store takes it; this is the one layer that retries. False when the collector stops. */
  async function write(origin: Origin, batch: Batch): Promise<boolean> {
    const backoff = createBackoff({ firstMs: 200, maxMs: 10_000, random, floor: 0.5 });
    while (!stopping.signal.aborted) {
      try {
        const written = store.write(origin, batch.points, stopping.signal);
        const { refused } = await Promise.race([written, stopped]);
        counts.refusedPoints += refused;
        if (refused > 0) log.warn({ ...origin, seq: batch.seq, refused }, 'the database refused points');
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

  async function take(origin: Origin, batch: Batch): Promise<void> {
    const last = fleet.lastSeq(origin, batch.outbox);
    if (batch.seq <= last) {
      counts.duplicates += 1;
    } else if (batch.seq !== Math.max(last + 1, batch.oldest)) {
      counts.gaps += 1;
    } else {
      if (batch.seq > last + 1)
        log.warn({ ...origin, from: last + 1, to: batch.seq - 1 }, 'batches were dropped by the outbox of the agent');
      if (!(await write(origin, batch))) return;
      fleet.apply(origin, batch);
      counts.batches += 1;
    }
    sayAck(origin, batch.outbox);
  }

  async function run(lane: Lane): Promise<void> {
    for (
      let batch = lane.waiting.shift();
      batch !== undefined && !stopping.signal.aborted;
      batch = lane.waiting.shift()
    ) {
      waitingOfAll -= 1;
      try {
        await take(lane.origin, batch);
      } catch (error) {
        // The disk of the collector: without an acknowledgement the agent keeps the batch and sends it again.
        problem = 'collector.db: ' + describe(error);
        log.error({ ...lane.origin, error: describe(error) }, 'a batch could not be counted');
      }
    }
    lane.running = undefined;
  }

  function laneOf(origin: Origin): Lane {
    const key = origin.tenant + '/' + origin.agent;
    const known = lanes.get(key);
    if (known !== undefined) return known;
    const lane: Lane = { origin, waiting: [], running: undefined };
    lanes.set(key, lane);
    return lane;
  }

  function receiveBatch(origin: Origin, payload: Uint8Array): void {
    const decoded = decodeBatch(payload);
    if (!decoded.ok) {
      bury(origin, 'up', payload, decoded.problem);
      passOver(origin, payload);
      return;
    }
    counts.refusedPoints += decoded.dropped;
    tellUnknown(origin, decoded.dropped);
    enqueue(origin, decoded.value);
  }

  /** A newer agent says them with every batch: once is enough. */
  function tellUnknown(origin: Origin, dropped: number): void {
    const key = origin.tenant + '/' + origin.agent;
    if (dropped === 0 || unknownTold.has(key)) return;
    unknownTold.add(key);
    log.warn({ ...origin, dropped }, 'points that this version does not know are left out; update the collector');
  }

  function enqueue(origin: Origin, batch: Batch): void {
    const lane = laneOf(origin);
    const isFull = lane.waiting.length >= maxWaiting || (waitingOfAll >= maxWaitingOfAll && lane.waiting.length > 0);
    if (isFull) return;
    lane.waiting.push(batch);
    waitingOfAll += 1;
    lane.running ??= run(lane);
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
      else if (payload.length > 0) bury(origin, leaf, payload, decoded.problem);
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
    counts: () => ({ ...counts }),
    problem: () => problem,
    async stop() {
      stopping.abort();
      await Promise.all([...lanes.values()].flatMap((lane) => lane.running ?? []));
    },
  };
}

function createDeadLetters(
  db: Database,
  clock: Clock,
): (origin: Origin, leaf: Leaf, payload: Uint8Array, problem: string) => void {
  const insert = db.prepare(
    'INSERT INTO dead_letter (tenant, agent, leaf, at, problem, payload) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const trim = db.prepare('DELETE FROM dead_letter WHERE id <= ?');
  return (origin, leaf, payload, problem) => {
    const { lastInsertRowid } = insert.run(
      origin.tenant,
      origin.agent,
      leaf,
      clock.now(),
      problem,
      payload.subarray(0, 65_536),
    );
    trim.run(Number(lastInsertRowid) - maxDeadLetters);
  };
}

function readPosition(payload: Uint8Array): Pick<Batch, 'outbox' | 'seq' | 'oldest'> | undefined {
  const text = Buffer.from(payload.subarray(0, 65_536)).toString('utf8');
  const outbox = /"outbox":"([a-z0-9-]{8,40})"/.exec(text)?.[1];
  const seq = Number(/"seq":([0-9]{1,15})[,}]/.exec(text)?.[1]);
  const oldest = Number(/"oldest":([0-9]{1,15})[,}]/.exec(text)?.[1]);
  return outbox !== undefined && seq >= 1 && oldest >= 1 ? { outbox, seq, oldest } : undefined;
}
