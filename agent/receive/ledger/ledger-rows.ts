// The rows of the ledger: statements and decoding, no decisions.
import type { Database } from '#shared/sqlite.ts';
import type { LocalRecipient } from '../../local/local.ts';
import { messageIdPart } from './fingerprint.ts';

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
  /** Gone, and not because we deleted it: somebody else did, or it stands under another UIDL. */
  readonly absent: boolean;
  /** Failed tries to fetch or hand over. */
  readonly attempts: number;
  /** Ordinal of the seen day on which it was handed over or quarantined; 0 when it was passed over. */
  readonly settledDay: number | undefined;
};

export type Rows = ReturnType<typeof createRows>;
/** Where a mail stands in the listing. */
export type Place = Pick<Entry, 'uidl' | 'occurrence'>;
export type Content = {
  readonly sha256: string;
  readonly fingerprint?: string | undefined;
  readonly listedBytes?: number | undefined;
};
/** What a listing and TOP show of a mail that is not fetched. */
export type Look = {
  readonly id: number;
  readonly listedBytes?: number | undefined;
  readonly fingerprint?: string | undefined;
};

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
  const setGone = db.prepare("UPDATE received SET state = 'gone', recheck = 0, gone_day = ?, absent = 0 WHERE id = ?");
  // What came back and was in doubt is what it was before: deleted by us, or not.
  const setAbsent = db.prepare(
    'UPDATE received SET absent = CASE WHEN recheck = 1 AND gone_day IS NOT NULL THEN absent ELSE 1 END, ' +
      "state = 'gone', recheck = 0, gone_day = ? WHERE id = ?",
  );
  // Whether it was gone, and why, is kept until its content has told what it is.
  const doubt = db.prepare("UPDATE received SET state = 'seen', recheck = 1 WHERE id = ?");
  // What is named by its content is in no doubt, and without evidence nothing can be compared.
  const doubtAll = db.prepare(
    "UPDATE received SET state = 'seen', recheck = 1 WHERE account = ? AND state <> 'gone' AND " +
      "(sha256 IS NOT NULL OR fingerprint IS NOT NULL) AND substr(uidl, 1, 1) <> x'00'",
  );
  const reopen = db.prepare(
    "UPDATE received SET state = 'seen', settled_day = NULL " +
      "WHERE account = ? AND state = 'passed-over' AND sha256 IS NULL AND fingerprint IS NULL",
  );
  // Both name the condition of the index received_stray in its very words.
  const stray = 'FROM received WHERE account = ? AND (absent = 1 OR recheck = 1) AND (absent = 1 OR gone_day IS NULL)';
  const anyStray = db.prepare('SELECT 1 ' + stray + ' LIMIT 1');
  const strayContent = db.prepare('SELECT ' + columns + ' ' + stray + ' AND sha256 = ? ORDER BY id LIMIT 1');
  const strayHeader = db.prepare(
    'SELECT ' +
      columns +
      ' ' +
      stray +
      ' AND sha256 IS NULL AND fingerprint = ? AND listed_bytes = ? ORDER BY id LIMIT 1',
  );
  const strays = db.prepare('SELECT ' + columns + ' ' + stray + ' ORDER BY id');
  const sameUidl = db.prepare(
    'SELECT ' +
      columns +
      " FROM received WHERE account = ? AND uidl = ? AND sha256 = ? AND (recheck = 1 OR state = 'gone') " +
      'AND (absent = 1 OR gone_day IS NULL OR ? = 1) ' +
      'ORDER BY occurrence = ? DESC, id LIMIT 1',
  );
  const shared = db.prepare('SELECT DISTINCT uidl FROM received WHERE account = ? AND occurrence > 1');
  const lastOccurrence = db.prepare('SELECT max(occurrence) AS n FROM received WHERE account = ? AND uidl = ?');
  const passOver = db.prepare(
    "UPDATE received SET state = 'passed-over', settled_day = 0, recheck = 0, " +
      'listed_bytes = coalesce(?, listed_bytes), fingerprint = coalesce(?, fingerprint) WHERE id = ?',
  );
  const resize = db.prepare('UPDATE received SET listed_bytes = ? WHERE id = ?');
  // Its bytes may differ by what the provider put on top: the old digest says nothing any more.
  const rename = db.prepare(
    'UPDATE received SET uidl = ?, occurrence = ?, listed_bytes = ?, sha256 = NULL, absent = 0 WHERE id = ?',
  );
  const move = db.prepare('UPDATE received SET uidl = ?, occurrence = ? WHERE id = ?');
  // A settled mail is settled still, whatever was in doubt; its recipients say how.
  const restore = db.prepare(
    'UPDATE received SET recheck = 0, absent = 0, gone_day = NULL, ' +
      "state = CASE WHEN settled_day IS NULL THEN 'seen' WHEN settled_day = 0 THEN 'passed-over' " +
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
    setGone: (id: number, today: number): void => void setGone.run(today, id),
    setAbsent: (id: number, today: number): void => void setAbsent.run(today, id),
    passOver: ({ id, listedBytes, fingerprint }: Look): void =>
      void passOver.run(listedBytes ?? null, fingerprint ?? null, id),
    resize: (id: number, listedBytes: number): void => void resize.run(listedBytes, id),
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
    doubtAll: (account: string): void => void doubtAll.run(account),
    /** Mails that were passed over and left nothing to know them by are unknown again; gives how many. */
    reopen: (account: string): number => Number(reopen.run(account).changes),
    doubtOne: (id: number): void => void doubt.run(id),
    move: (id: number, { uidl, occurrence }: Place): void => void move.run(bytesOf(uidl), occurrence, id),
    /** A mail of this content whose place is in doubt, or that is missing. Not one that we deleted: its double is new. */
    stray(account: string, { sha256, fingerprint, listedBytes }: Content): Entry | undefined {
      // Nearly always there is none at all.
      if (anyStray.get(account) === undefined) return undefined;
      const row =
        strayContent.get(account, sha256) ??
        // Of a mail that was moved once only its header and size are known.
        (fingerprint === undefined || listedBytes === undefined
          ? undefined
          : strayHeader.get(account, fingerprint, listedBytes));
      return row === undefined ? undefined : decodeEntry(row);
    },
    sharedUidls: (account: string): ReadonlySet<string> => new Set(shared.all(account).map(uidlOf)),
    strays: (account: string): readonly Entry[] => strays.all(account).map(decodeEntry),
    /**
     * The same, of this UIDL, and also one that we deleted, which came back. Without Message-ID that is a new one: such mails
     * may be alike to the byte.
     */
    sameUidl(account: string, { uidl, occurrence }: Place, { sha256, fingerprint }: Content): Entry | undefined {
      const mayComeBack = messageIdPart(fingerprint) === undefined ? 0 : 1;
      const row = sameUidl.get(account, bytesOf(uidl), sha256, mayComeBack, occurrence);
      return row === undefined ? undefined : decodeEntry(row);
    },
    lastOccurrence: (account: string, uidl: string): number =>
      Number(lastOccurrence.get(account, bytesOf(uidl))?.['n'] ?? 0),
    byId: (id: number): Entry => decode(one.get(id)),
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
  const { sha256, fingerprint } = row;
  return {
    id: Number(row['id']),
    uidl: uidlOf(row),
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

function uidlOf({ uidl }: Row): string {
  return uidl instanceof Uint8Array ? Buffer.from(uidl).toString('latin1') : '';
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}

function bytesOf(uidl: string): Buffer {
  return Buffer.from(uidl, 'latin1');
}
