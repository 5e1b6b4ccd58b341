// The outbox: batches in the order in which they were made, on disk until the collector says that it has stored them.
// Promises: numbers go up without gaps; two points of one series never share a time (InfluxDB would overwrite silently);
// a batch fits into a message; above the size limit the oldest are dropped and counted.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '#shared/clock.ts';
import type { Journal } from '#shared/journal.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase, transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { encodeBatch, maxMessageBytes } from '#shared/wire.ts';

const schema = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE batch (seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, bytes INTEGER NOT NULL, points TEXT NOT NULL) STRICT;
  CREATE TABLE series (key TEXT PRIMARY KEY, last_at INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
];

/** Room for the frame of a batch around its points: names, numbers, brackets. */
const frameBytes = 512;
const maxPointsBytes = maxMessageBytes - frameBytes;
/** A clock that was wrong by more than this and is right now must not date points for years. */
const maxAheadMs = 300_000;
const journalStep = 500;

export type StoredBatch = { readonly seq: number; readonly payload: string };
export type OutboxHealth = {
  readonly batches: number;
  readonly bytes: number;
  readonly oldestSeconds: number;
  readonly dropped: number;
};

export type Outbox = {
  /** Names this life of the database. */
  readonly id: string;
  /** Makes batches of the points, and of everything the journal holds. Durable when it returns. Gives the number of new batches. */
  readonly commit: (points: readonly Point[]) => number;
  /** Batches above `afterSeq`, oldest first, ready to be sent. */
  readonly read: (afterSeq: number, limit: number) => readonly StoredBatch[];
  /** The collector has stored everything up to and with `seq`. */
  readonly acknowledge: (seq: number) => void;
  readonly health: () => OutboxHealth;
  readonly close: () => void;
};

export function openOutbox(options: {
  readonly folder: string;
  readonly journal: Journal;
  readonly maxBytes: number;
  readonly clock: Clock;
}): Outbox {
  const { journal, clock } = options;
  const db = openDatabase({ path: join(options.folder, 'outbox.db'), schema });
  const meta = createMeta(db);
  const id = meta.text('id') ?? meta.set('id', 'o-' + randomBytes(12).toString('hex'));
  const times = createSeriesTimes(db);
  const insert = db.prepare('INSERT INTO batch (at, bytes, points) VALUES (?, ?, ?)');
  const select = db.prepare('SELECT seq, at, points FROM batch WHERE seq > ? ORDER BY seq LIMIT ?');
  const remove = db.prepare('DELETE FROM batch WHERE seq <= ?');
  const measure = db.prepare(
    'SELECT count(*) AS batches, coalesce(sum(bytes), 0) AS bytes, min(seq) AS oldest, min(at) AS since FROM batch',
  );

  let open = true;

  function insertAll(points: readonly Point[]): number {
    const at = clock.now();
    const groups = split(points.map((point) => times.apart(point)));
    for (const group of groups) insert.run(at, Buffer.byteLength(group), group);
    return groups.length;
  }

  function drop(): void {
    const excess = Number(measure.get()?.['bytes']) - options.maxBytes;
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
    remove.run(last);
    meta.set('dropped', String(Number(meta.text('dropped') ?? 0) + points));
  }

  /** One step of the journal in one transaction with the position up to which it was taken. */
  function takeJournal(): { readonly batches: number; readonly more: boolean } {
    const { lastId, points } = journal.read(Number(meta.text('journal') ?? 0), journalStep);
    if (points.length === 0) return { batches: 0, more: false };
    const batches = transaction(db, () => {
      meta.set('journal', String(lastId));
      const made = insertAll(points);
      drop();
      return made;
    });
    // A crash before this line: the position keeps the same rows from being taken twice.
    journal.forget(lastId);
    return { batches, more: points.length === journalStep };
  }

  return {
    id,
    commit(points) {
      let made = 0;
      for (let more = true; more;) {
        const step = takeJournal();
        made += step.batches;
        more = step.more;
      }
      if (points.length > 0) {
        made += transaction(db, () => {
          const count = insertAll(points);
          drop();
          return count;
        });
      }
      return made;
    },
    read(afterSeq, limit) {
      const rows = select.all(afterSeq, limit);
      const oldest = Number(measure.get()?.['oldest'] ?? 1);
      return rows.map((row) => {
        const points = JSON.parse(String(row['points'])) as readonly Point[]; // written by insertAll()
        const seq = Number(row['seq']);
        return { seq, payload: encodeBatch({ outbox: id, seq, oldest, at: Number(row['at']), points }) };
      });
    },
    acknowledge: (seq) => void remove.run(seq),
    health() {
      const row = measure.get();
      const since = row?.['since'];
      return {
        batches: Number(row?.['batches'] ?? 0),
        bytes: Number(row?.['bytes'] ?? 0),
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

function createMeta(db: Database): {
  readonly text: (key: string) => string | undefined;
  readonly set: (key: string, value: string) => string;
} {
  const get = db.prepare('SELECT value FROM meta WHERE key = ?');
  const put = db.prepare(
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  return {
    text(key) {
      const value = get.get(key)?.['value'];
      return typeof value === 'string' ? value : undefined;
    },
    set(key, value) {
      put.run(key, value);
      return value;
    },
  };
}

/** Gives each point of a series a time of its own, also over restarts: one millisecond later where two would meet. */
function createSeriesTimes(db: Database): { readonly apart: (point: Point) => Point } {
  const get = db.prepare('SELECT last_at FROM series WHERE key = ?');
  const put = db.prepare(
    'INSERT INTO series (key, last_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at',
  );
  return {
    apart(point) {
      const tags = Object.entries(point.tags).sort(([a], [b]) => (a < b ? -1 : 1));
      const key = JSON.stringify([point.name, ...tags]);
      const last = Number(get.get(key)?.['last_at'] ?? -1);
      const farAhead = last - point.at > maxAheadMs;
      const at = point.at > last || farAhead ? point.at : last + 1;
      put.run(key, at);
      return at === point.at ? point : { ...point, at };
    },
  };
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
