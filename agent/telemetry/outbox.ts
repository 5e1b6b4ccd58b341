// The outbox: batches in the order in which they were made, on disk until the collector says that it has stored them.
// Promises: numbers go up without gaps; two points of one series never share a time (InfluxDB would overwrite silently);
// a batch fits into a message; above the limits of size and age the oldest are dropped and counted.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#shared/clock.ts';
import type { Journal } from '#shared/journal.ts';
import type { Point } from '#shared/meter.ts';
import { transaction } from '#shared/sqlite.ts';
import { encodeBatch } from '#shared/wire.ts';
import { createLived } from './lived.ts';
import { createMeta, openOutboxFile, pack, unpack } from './outbox-file.ts';
import type { Meta } from './outbox-file.ts';
import { createSeriesTimes } from './series-times.ts';
import { split } from './split.ts';

const journalStep = 500;
/** Set aside for a person to look at; the oldest go. */
const maxAside = 1_000;
const dayMs = 86_400_000;

export type StoredBatch = { readonly seq: number; readonly payload: string };
export type OutboxHealth = {
  readonly batches: number;
  readonly bytes: number;
  readonly oldestSeconds: number;
  /** Points, since the outbox was made. */
  readonly dropped: number;
  readonly aside: number;
  /** Since the collector acknowledged something, while the agent ran. */
  readonly unheardSeconds: number;
};

export type Outbox = {
  /** Names this life of the database; changes when acknowledge() finds that the database is an old copy. */
  readonly id: () => string;
  /** Makes batches of the points, and of everything the journal holds. Durable when it returns. Gives the number of new batches. */
  readonly commit: (points: readonly Point[]) => number;
  /** Batches above `afterSeq`, oldest first, ready to be sent. */
  readonly read: (afterSeq: number, limit: number) => readonly StoredBatch[];
  /**
   * The collector has stored everything up to and with `seq`. A number that was never given means that this database was put
   * back from a backup: what it holds now goes by numbers that the collector knows from before. Then nothing is forgotten, a
   * new life begins, and 'renewed' says so.
   */
  readonly acknowledge: (seq: number) => 'forgotten' | 'renewed';
  /**
   * The connection breaks at this batch, and the collector does not have it: its halves come again, last and under numbers of
   * their own; a single point at which it breaks is set aside when `mayEnd`. In one transaction.
   */
  readonly breakUp: (seq: number, mayEnd: boolean) => 'halved' | 'aside' | 'kept';
  readonly health: () => OutboxHealth;
  readonly close: () => void;
};

export function openOutbox(options: {
  readonly folder: string;
  readonly journal: Journal;
  readonly maxBytes: number;
  /** Older ones are dropped; 30 when absent. */
  readonly maxDays?: number;
  readonly clock: Clock;
  /** Told when a damaged file was set aside and a new one begun. */
  readonly onDamaged?: (error: unknown) => void;
  /** Told what was dropped because of the limits. */
  readonly onDropped?: (points: number) => void;
}): Outbox {
  const { journal, clock } = options;
  const maxAgeMs = (options.maxDays ?? 30) * dayMs;
  const db = openOutboxFile(join(options.folder, 'outbox.db'), options.onDamaged);
  const meta = createMeta(db);
  const lived = createLived(meta, clock);
  const newId = (): string => meta.set('id', 'o-' + randomBytes(12).toString('hex'));
  let id = meta.text('id') ?? newId();
  const times = createSeriesTimes(db);
  const insert = db.prepare('INSERT INTO batch (at, lived, bytes, size, points) VALUES (?, ?, ?, ?, ?)');
  const select = db.prepare('SELECT seq, at, points FROM batch WHERE seq > ? ORDER BY seq LIMIT ?');
  const remove = db.prepare('DELETE FROM batch WHERE seq <= ? RETURNING bytes');
  const removeOne = db.prepare('DELETE FROM batch WHERE seq = ? RETURNING at, lived, bytes, points');
  const setAside = db.prepare('INSERT INTO aside (at, points) VALUES (?, ?)');
  const trimAside = db.prepare('DELETE FROM aside WHERE id <= ?');
  const first = db.prepare('SELECT seq, at, lived FROM batch ORDER BY seq LIMIT 1');
  const given = db.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'batch'");
  const measure = db.prepare('SELECT count(*) AS batches, coalesce(sum(bytes), 0) AS bytes FROM batch');
  /** Counted along, since after a long outage the table is large; undefined when it must be counted anew. */
  let size: { batches: number; bytes: number } | undefined;
  let open = true;
  resumeJournal(journal, meta);

  function held(): { batches: number; bytes: number } {
    if (size !== undefined) return size;
    const row = measure.get();
    size = { batches: Number(row?.['batches'] ?? 0), bytes: Number(row?.['bytes'] ?? 0) };
    return size;
  }

  function countOut(rows: readonly Readonly<Record<string, unknown>>[]): void {
    const now = held();
    for (const row of rows) {
      now.batches -= 1;
      now.bytes -= Number(row['bytes']);
    }
  }

  /** In one transaction; what was counted along is forgotten when it fails. */
  function change<T>(work: () => T): T {
    try {
      return transaction(db, work);
    } catch (error) {
      size = undefined;
      throw error;
    }
  }

  function insertOne(points: readonly Point[], at: number, age: number): void {
    const packed = pack(JSON.stringify(points));
    const now = held();
    insert.run(at, age, packed.length, points.length, packed);
    now.batches += 1;
    now.bytes += packed.length;
  }

  function insertAll(points: readonly Point[]): number {
    const groups = split(points.map((point) => times.apart(point)));
    for (const group of groups) insertOne(group, clock.now(), lived.now());
    lived.save();
    return groups.length;
  }

  /** The oldest, as far as they are too old or too many. */
  function drop(): void {
    let excess = held().bytes - options.maxBytes;
    const born = lived.now() - maxAgeMs;
    if (excess <= 0 && Number(first.get()?.['lived'] ?? Infinity) >= born) return;
    let last = 0;
    let points = 0;
    for (const row of db.prepare('SELECT seq, lived, bytes, size FROM batch ORDER BY seq').iterate()) {
      if (excess <= 0 && Number(row['lived']) >= born) break;
      last = Number(row['seq']);
      excess -= Number(row['bytes']);
      points += Number(row['size']);
    }
    countOut(remove.all(last));
    meta.set('dropped', String(meta.number('dropped') + points));
    options.onDropped?.(points);
  }

  /** One step of the journal in one transaction with the position up to which it was taken. */
  function takeJournal(): { readonly batches: number; readonly more: boolean } {
    const { lastId, points } = journal.read(meta.number('journal'), journalStep);
    if (points.length === 0) return { batches: 0, more: false };
    const batches = change(() => {
      meta.set('journal', String(lastId));
      meta.set('journal-last', JSON.stringify(points.at(-1)));
      const made = insertAll(points);
      drop();
      return made;
    });
    // A crash before this line: the position keeps the same rows from being taken twice.
    journal.forget(lastId);
    return { batches, more: points.length === journalStep };
  }

  function breakUp(seq: number, mayEnd: boolean): 'halved' | 'aside' | 'kept' {
    const [row] = removeOne.all(seq);
    if (row === undefined) return 'kept';
    countOut([row]);
    const points = unpack(row['points']);
    const [at, age] = [Number(row['at']), Number(row['lived'])];
    if (points.length > 1) {
      const middle = Math.ceil(points.length / 2);
      for (const half of [points.slice(0, middle), points.slice(middle)]) insertOne(half, at, age);
      return 'halved';
    }
    if (mayEnd) {
      const { lastInsertRowid } = setAside.run(at, pack(JSON.stringify(points)));
      trimAside.run(Number(lastInsertRowid) - maxAside);
      meta.set('aside', String(meta.number('aside') + points.length));
      return 'aside';
    }
    insertOne(points, at, age);
    return 'kept';
  }

  return {
    id: () => id,
    commit(points) {
      let made = 0;
      for (let more = true; more;) {
        const step = takeJournal();
        made += step.batches;
        more = step.more;
      }
      if (points.length > 0) {
        made += change(() => {
          const count = insertAll(points);
          drop();
          return count;
        });
      }
      return made;
    },
    read(afterSeq, limit) {
      const rows = select.all(afterSeq, limit);
      const oldest = Number(first.get()?.['seq'] ?? 1);
      return rows.map((row) => {
        const seq = Number(row['seq']);
        return {
          seq,
          payload: encodeBatch({ outbox: id, seq, oldest, at: Number(row['at']), points: unpack(row['points']) }),
        };
      });
    },
    acknowledge(seq) {
      if (seq > Number(given.get()?.['seq'] ?? 0)) {
        id = newId();
        return 'renewed';
      }
      change(() => countOut(remove.all(seq)));
      lived.heard();
      return 'forgotten';
    },
    breakUp: (seq, mayEnd) => change(() => breakUp(seq, mayEnd)),
    health() {
      const since = first.get()?.['at'];
      return {
        ...held(),
        oldestSeconds: typeof since === 'number' ? Math.max(0, Math.round((clock.now() - since) / 1_000)) : 0,
        dropped: meta.number('dropped'),
        aside: meta.number('aside'),
        unheardSeconds: Math.round(lived.unheardMs() / 1_000),
      };
    },
    close() {
      if (open) db.close();
      open = false;
    },
  };
}

/**
 * A journal that was put back or begun anew counts from lower numbers: with the old position its rows would be forgotten
 * unread. The row at the position is still there only when we died between taking and forgetting.
 */
function resumeJournal(journal: Journal, meta: Meta): void {
  const position = meta.number('journal');
  if (position === 0) return;
  const { lastId, points } = journal.read(position - 1, 1);
  if (lastId === position && JSON.stringify(points[0]) === meta.text('journal-last')) journal.forget(position);
  else meta.set('journal', '0');
}
