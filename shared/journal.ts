// What is said about a mail comes from the mail's own transaction: `add` is called inside it, on the same database, so a
// kill cannot separate the two. The outbox reads on from the last id it has taken, then lets the journal forget.
import type { Database } from './sqlite.ts';
import type { Point } from './meter.ts';

export const journalSchema = `CREATE TABLE journal (id INTEGER PRIMARY KEY AUTOINCREMENT, point TEXT NOT NULL) STRICT`;

export type Journal = {
  /** Inside the caller's transaction. */
  readonly add: (point: Point) => void;
  /** Oldest first, ids above `afterId`. */
  readonly read: (afterId: number, limit: number) => { readonly lastId: number; readonly points: readonly Point[] };
  readonly forget: (upToId: number) => void;
};

export function createJournal(db: Database): Journal {
  const insert = db.prepare('INSERT INTO journal (point) VALUES (?)');
  const select = db.prepare('SELECT id, point FROM journal WHERE id > ? ORDER BY id LIMIT ?');
  const remove = db.prepare('DELETE FROM journal WHERE id <= ?');
  return {
    add: (point) => void insert.run(JSON.stringify(point)),
    read(afterId, limit) {
      const rows = select.all(afterId, limit);
      const points = rows.map((row) => JSON.parse(String(row['point'])) as Point); // written by add() above
      return { lastId: Number(rows.at(-1)?.['id'] ?? afterId), points };
    },
    forget: (upToId) => void remove.run(upToId),
  };
}
