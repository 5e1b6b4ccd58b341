// The outbox: batches in the order in which they were made, on disk until the collector says that it has stored them.
// Promises: numbers go up without gaps; two points of one series never share a time (InfluxDB would overwrite silently);
// a batch fits into a message; above the size limit the oldest are dropped and counted.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#shared/clock.ts';
import type { Journal } from '#shared/journal.ts';
import type { Point } from '#shared/meter.ts';
import { transaction } from '#shared/sqlite.ts';
import { encodeBatch, maxMessageBytes } from '#shared/wire.ts';
import { createMeta, openOutboxFile } from './outbox-file.ts';
import type { Meta } from './outbox-file.ts';
import { createSeriesTimes } from './series-times.ts';

/** Room for the frame of a batch around its points: names, numbers, brackets. */
const frameBytes = 512;
const maxPointsBytes = maxMessageBytes - frameBytes;
const journalStep = 500;

export type StoredBatch = { readonly seq: number; readonly payload: string };
export type OutboxHealth = {
  readonly batches: number;
  readonly bytes: number;
  readonly oldestSeconds: number;
  readonly dropped: number;
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
  readonly health: () => OutboxHealth;
  readonly close: () => void;
};

export function openOutbox(options: {
  readonly folder: string;
  readonly journal: Journal;
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Told when a damaged file was set aside and a new one begun. */
  readonly onDamaged?: (error: unknown) => void;
}): Outbox {
  const { journal, clock } = options;
  const db = openOutboxFile(join(options.folder, 'outbox.db'), options.onDamaged);
  const meta = createMeta(db);
  const newId = (): string => meta.set('id', 'o-' + randomBytes(12).toString('hex'));
  let id = meta.text('id') ?? newId();
  const times = createSeriesTimes(db);
  const insert = db.prepare('INSERT INTO batch (at, bytes, points) VALUES (?, ?, ?)');
  const select = db.prepare('SELECT seq, at, points FROM batch WHERE seq > ? ORDER BY seq LIMIT ?');
  const remove = db.prepare('DELETE FROM batch WHERE seq <= ? RETURNING bytes');
  const first = db.prepare('SELECT seq, at FROM batch ORDER BY seq LIMIT 1');
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

  function forget(seq: number): void {
    const now = held();
    for (const row of remove.all(seq)) {
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

  function insertAll(points: readonly Point[]): number {
    const at = clock.now();
    const groups = split(points.map((point) => times.apart(point)));
    const now = held();
    for (const group of groups) {
      insert.run(at, Buffer.byteLength(group), group);
      now.batches += 1;
      now.bytes += Buffer.byteLength(group);
    }
    return groups.length;
  }

  function drop(): void {
    const excess = held().bytes - options.maxBytes;
    if (excess <= 0) return;
    let freed = 0;
    let last = 0;
    let points = 0;
    for (const row of db.prepare('SELECT seq, bytes, points FROM batch ORDER BY seq').iterate()) {
      last = Number(row['seq']);
      freed += Number(row['bytes']);
      points += countPoints(String(row['points']));
      if (freed >= excess) break;
    }
    forget(last);
    meta.set('dropped', String(Number(meta.text('dropped') ?? 0) + points));
  }

  /** One step of the journal in one transaction with the position up to which it was taken. */
  function takeJournal(): { readonly batches: number; readonly more: boolean } {
    const { lastId, points } = journal.read(Number(meta.text('journal') ?? 0), journalStep);
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
        const points = JSON.parse(String(row['points'])) as readonly Point[]; // written by insertAll()
        const seq = Number(row['seq']);
        return { seq, payload: encodeBatch({ outbox: id, seq, oldest, at: Number(row['at']), points }) };
      });
    },
    acknowledge(seq) {
      if (seq > Number(given.get()?.['seq'] ?? 0)) {
        id = newId();
        return 'renewed';
      }
      change(() => forget(seq));
      return 'forgotten';
    },
    health() {
      const since = first.get()?.['at'];
      return {
        ...held(),
        oldestSeconds: typeof since === 'number' ? Math.max(0, Math.round((clock.now() - since) / 1_000)) : 0,
        dropped: Number(meta.text('dropped') ?? 0),
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
  const position = Number(meta.text('journal') ?? 0);
  if (position === 0) return;
  const { lastId, points } = journal.read(position - 1, 1);
  if (lastId === position && JSON.stringify(points[0]) === meta.text('journal-last')) journal.forget(position);
  else meta.set('journal', '0');
}

/** JSON arrays of points, each small enough for one message. */
function split(points: readonly Point[]): readonly string[] {
  const groups: string[] = [];
  let group: string[] = [];
  let bytes = 2;
  for (const point of points) {
    const text = JSON.stringify(point);
    const size = Buffer.byteLength(text) + 1;
    if (group.length > 0 && bytes + size > maxPointsBytes) {
      groups.push('[' + group.join(',') + ']');
      group = [];
      bytes = 2;
    }
    group.push(text);
    bytes += size;
  }
  if (group.length > 0) groups.push('[' + group.join(',') + ']');
  return groups;
}

function countPoints(text: string): number {
  const points: unknown = JSON.parse(text);
  return Array.isArray(points) ? points.length : 0;
}
