// The file outbox.db: its tables, and what happens when it is damaged.
import { renameSync, rmSync } from 'node:fs';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';

const schema = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE batch (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL, -- wall clock
    lived INTEGER NOT NULL, -- how long this outbox had been in use then, ms
    bytes INTEGER NOT NULL,
    size INTEGER NOT NULL, -- points in it
    points BLOB NOT NULL -- packed
  ) STRICT;
  CREATE INDEX batch_bytes ON batch (bytes); -- to count and sum without reading the points
  CREATE TABLE aside (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, points BLOB NOT NULL) STRICT;
  CREATE TABLE series (key TEXT PRIMARY KEY, last_at INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
];

/** Reports are worth less than mail: a damaged outbox is set aside, it does not keep the agent from starting. */
export function openOutboxFile(path: string, onDamaged?: (error: unknown) => void): Database {
  try {
    return openDatabase({ path, schema });
  } catch (error) {
    if (!isDamage(error)) throw error;
    onDamaged?.(error);
    renameSync(path, path + '.damaged');
    for (const part of ['-wal', '-shm']) rmSync(path + part, { force: true });
    return openDatabase({ path, schema });
  }
}

/** SQLITE_CORRUPT or SQLITE_NOTADB. A full disk or a newer version is no damage. */
function isDamage(error: unknown): boolean {
  const cause: unknown = error instanceof Error ? error.cause : undefined;
  if (typeof cause !== 'object' || cause === null || !('errcode' in cause)) return false;
  return Number(cause.errcode) % 256 === 11 || Number(cause.errcode) % 256 === 26;
}

/** A JSON array of points. Gauges say nearly the same again and again: a quarter of the size and of the writing is left. */
export function pack(points: string): Uint8Array {
  return deflateRawSync(points, { level: 1 });
}

export function unpack(packed: unknown): readonly Point[] {
  if (!(packed instanceof Uint8Array))
    throw new Error('Cannot read a batch of the outbox: no bytes, expected packed points');
  return JSON.parse(inflateRawSync(packed).toString('utf8')) as readonly Point[]; // written by pack()
}

/** Single values: the name of this life, the position in the journal, what was dropped. */
export type Meta = {
  readonly text: (key: string) => string | undefined;
  /** 0 when there is none. */
  readonly number: (key: string) => number;
  readonly set: (key: string, value: string) => string;
};

export function createMeta(db: Database): Meta {
  const get = db.prepare('SELECT value FROM meta WHERE key = ?');
  const put = db.prepare(
    'INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const text = (key: string): string | undefined => {
    const value = get.get(key)?.['value'];
    return typeof value === 'string' ? value : undefined;
  };
  return {
    text,
    number: (key) => Number(text(key) ?? 0),
    set(key, value) {
      put.run(key, value);
      return value;
    },
  };
}
