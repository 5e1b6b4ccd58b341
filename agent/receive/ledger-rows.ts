// The rows of the ledger: statements and decoding, no decisions.
import type { Database } from '#shared/sqlite.ts';
import type { LocalRecipient } from '../local/local.ts';

export type MailState = 'seen' | 'handed-over' | 'quarantined' | 'delete-pending' | 'gone' | 'passed-over';
export type Entry = {
  readonly id: number;
  readonly uidl: string;
  /** The n-th mail with this UIDL in the listing, from 1. */
  readonly occurrence: number;
  readonly state: MailState;
  /** The UIDL alone does not say which mail this is: compare the content before handing it over. */
  readonly recheck: boolean;
  /** The listing's size when the mail was fetched. */
  readonly listedBytes: number | undefined;
  readonly sha256: string | undefined;
  /** See fingerprint.ts; undefined when it was never fetched, or its header holds too little. */
  readonly fingerprint: string | undefined;
  /** Gone because somebody else removed it, not because we deleted it. */
  readonly absent: boolean;
  /** Failed tries to fetch or hand over. */
  readonly attempts: number;
  /** Ordinal of the seen day on which it was handed over or quarantined. */
  readonly settledDay: number | undefined;
};

export type Rows = ReturnType<typeof createRows>;

export function createRows(db: Database) {
  const columns =
    'id, uidl, occurrence, state, recheck, listed_bytes, sha256, fingerprint, absent, attempts, settled_day';
  const all = db.prepare('SELECT ' + columns + ' FROM received WHERE account = ? ORDER BY id');
  const open = db.prepare(
    'SELECT ' + columns + " FROM received WHERE account = ? AND (state <> 'gone' OR absent = 1) ORDER BY id",
  );
  const place = db.prepare('SELECT ' + columns + ' FROM received WHERE account = ? AND uidl = ? AND occurrence = ?');
  const group = db.prepare('SELECT ' + columns + ' FROM received WHERE account = ? AND uidl = ? ORDER BY occurrence');
  const one = db.prepare('SELECT ' + columns + ' FROM received WHERE id = ?');
  const insert = db.prepare(
    "INSERT INTO received (account, uidl, occurrence, state) VALUES (?, ?, ?, 'seen') RETURNING " + columns,
  );
  const remove = db.prepare('DELETE FROM received WHERE id = ?');
  const prune = db.prepare("DELETE FROM received WHERE account = ? AND state = 'gone' AND gone_day < ?");
  const failed = db.prepare('UPDATE received SET attempts = attempts + 1 WHERE id = ?');
  const setState = db.prepare('UPDATE received SET state = ? WHERE id = ?');
  const setGone = db.prepare("UPDATE received SET state = 'gone', gone_day = ?, absent = ? WHERE id = ?");
  const doubt = db.prepare("UPDATE received SET state = 'seen', recheck = 1, absent = 0 WHERE id = ?");
  // Its bytes may differ by what the provider put on top: the old digest says nothing any more.
  const rename = db.prepare(
    'UPDATE received SET uidl = ?, occurrence = ?, listed_bytes = ?, sha256 = NULL, absent = 0 WHERE id = ?',
  );
  const move = db.prepare('UPDATE received SET occurrence = ? WHERE id = ?');
  // A settled mail is settled still, whatever was in doubt; its recipients say how.
  const restore = db.prepare(
    "UPDATE received SET recheck = 0, state = CASE WHEN settled_day IS NULL THEN 'seen' " +
      "WHEN EXISTS (SELECT 1 FROM received_recipient WHERE mail = received.id AND verdict = 'refused') THEN 'quarantined' " +
      "ELSE 'handed-over' END WHERE id = ?",
  );
  const decode = (row: Row | undefined): Entry => {
    if (row === undefined) throw new Error('Cannot read the ledger: the mail has no row, expected one');
    return decodeEntry(row);
  };
  return {
    all: (account: string): readonly Entry[] => all.all(account).map(decodeEntry),
    /** Without those that we deleted: of a mailbox that is emptied each time these are nearly all. */
    open: (account: string): readonly Entry[] => open.all(account).map(decodeEntry),
    at(account: string, uidl: string, occurrence: number): Entry | undefined {
      const row = place.get(account, bytesOf(uidl), occurrence);
      return row === undefined ? undefined : decodeEntry(row);
    },
    group: (account: string, uidl: string): readonly Entry[] => group.all(account, bytesOf(uidl)).map(decodeEntry),
    insert: (account: string, uidl: string, occurrence: number): Entry =>
      decode(insert.get(account, bytesOf(uidl), occurrence)),
    remove: (id: number): void => void remove.run(id),
    prune: (account: string, beforeDay: number): void => void prune.run(account, beforeDay),
    failed: (id: number): void => void failed.run(id),
    setState: (id: number, state: MailState): void => void setState.run(state, id),
    setGone: (id: number, today: number): void => void setGone.run(today, 0, id),
    setAbsent: (id: number, today: number): void => void setGone.run(today, 1, id),
    rename(
      id: number,
      place: { readonly uidl: string; readonly occurrence: number; readonly bytes: number | undefined },
    ): void {
      rename.run(bytesOf(place.uidl), place.occurrence, place.bytes ?? null, id);
    },
    doubt(entry: Entry): Entry {
      doubt.run(entry.id);
      return { ...entry, state: 'seen', recheck: true };
    },
    move: (id: number, occurrence: number): void => void move.run(occurrence, id),
    restore(id: number): Entry {
      restore.run(id);
      return decode(one.get(id));
    },
  };
}

type Row = Readonly<Record<string, unknown>>;
const states: readonly MailState[] = ['seen', 'handed-over', 'quarantined', 'delete-pending', 'gone', 'passed-over'];
const verdicts: readonly LocalRecipient['verdict'][] = ['delivered', 'later', 'refused'];

function decodeEntry(row: Row): Entry {
  const { uidl, sha256, fingerprint } = row;
  return {
    id: Number(row['id']),
    uidl: uidl instanceof Uint8Array ? Buffer.from(uidl).toString('latin1') : '',
    occurrence: Number(row['occurrence']),
    state: states.find((state) => state === row['state']) ?? 'quarantined',
    recheck: row['recheck'] === 1,
    listedBytes: numberOf(row['listed_bytes']),
    sha256: typeof sha256 === 'string' ? sha256 : undefined,
    fingerprint: typeof fingerprint === 'string' ? fingerprint : undefined,
    absent: row['absent'] === 1,
    attempts: Number(row['attempts']),
    settledDay: numberOf(row['settled_day']),
  };
}

export function decodeRecipient(row: Row): LocalRecipient {
  return {
    address: String(row['address']),
    verdict: verdicts.find((verdict) => verdict === row['verdict']) ?? 'later',
    text: String(row['reply']),
  };
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function bytesOf(uidl: string): Buffer {
  return Buffer.from(uidl, 'latin1');
}
