// What must outlive the process: the key, which ids were sent and which are used, and what the probes showed of addresses.
import { randomBytes } from 'node:crypto';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';

export const roundTripSchema = `
CREATE TABLE probe_key (id INTEGER PRIMARY KEY CHECK (id = 1), key BLOB NOT NULL) STRICT;
CREATE TABLE probe_trip (
  id TEXT PRIMARY KEY,
  trip TEXT NOT NULL,
  sent_at INTEGER NOT NULL,
  used_by TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE probe_address (
  kind TEXT NOT NULL CHECK (kind IN ('site', 'relay')),
  address TEXT NOT NULL,
  seen_at INTEGER NOT NULL,
  PRIMARY KEY (kind, address)
) STRICT`;

export type AddressKind = 'site' | 'relay';
export type TripTable = {
  readonly key: () => Uint8Array;
  readonly add: (id: string, trip: string, sentAt: number) => void;
  /**
   * Uses the id up for the mail with this digest, durably; gives the name of the trip. The very same mail may ask again: after
   * a crash it is fetched a second time. Undefined when the id is unknown, or was used by another mail.
   */
  readonly use: (id: string, digest: string) => { readonly trip: string; readonly again: boolean } | undefined;
  /** Ids older than this are forgotten; a mail that brings one is ordinary mail. */
  readonly forget: (beforeAt: number) => void;
  readonly see: (kind: AddressKind, addresses: readonly string[], at: number) => void;
  /** Seen since then, the latest first. */
  readonly addresses: (kind: AddressKind, sinceAt: number) => readonly string[];
};

export function createTripTable(db: Database): TripTable {
  const readKey = db.prepare('SELECT key FROM probe_key WHERE id = 1');
  const writeKey = db.prepare('INSERT INTO probe_key (id, key) VALUES (1, ?)');
  const insert = db.prepare('INSERT INTO probe_trip (id, trip, sent_at) VALUES (?, ?, ?)');
  const find = db.prepare('SELECT trip, used_by FROM probe_trip WHERE id = ?');
  const use = db.prepare('UPDATE probe_trip SET used_by = ? WHERE id = ?');
  const forget = db.prepare('DELETE FROM probe_trip WHERE sent_at < ?');
  const see = db.prepare(
    'INSERT INTO probe_address (kind, address, seen_at) VALUES (?, ?, ?) ' +
      'ON CONFLICT (kind, address) DO UPDATE SET seen_at = max(seen_at, excluded.seen_at)',
  );
  const fade = db.prepare('DELETE FROM probe_address WHERE seen_at < ?');
  const list = db.prepare('SELECT address FROM probe_address WHERE kind = ? AND seen_at >= ? ORDER BY seen_at DESC');
  let key: Uint8Array | undefined;

  return {
    key() {
      key ??= transaction(db, () => {
        const known = readKey.get()?.['key'];
        if (known instanceof Uint8Array) return known;
        const fresh = randomBytes(32);
        writeKey.run(fresh);
        return fresh;
      });
      return key;
    },
    add: (id, trip, sentAt) => void insert.run(id, trip, Math.round(sentAt)),
    use: (id, digest) =>
      transaction(db, () => {
        const row = find.get(id);
        const usedBy = row?.['used_by'];
        if (row === undefined || (usedBy !== '' && usedBy !== digest)) return undefined;
        if (usedBy === '') use.run(digest, id);
        return { trip: String(row['trip']), again: usedBy !== '' };
      }),
    forget(beforeAt) {
      forget.run(Math.round(beforeAt));
      fade.run(Math.round(beforeAt));
    },
    see: (kind, addresses, at) =>
      transaction(db, () => addresses.forEach((address) => see.run(kind, address, Math.round(at)))),
    addresses: (kind, sinceAt) => list.all(kind, Math.round(sinceAt)).map((row) => String(row['address'])),
  };
}
