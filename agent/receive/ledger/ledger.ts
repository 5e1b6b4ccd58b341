// What was seen at the provider, handed over, and is gone again: one row per (account, UIDL, occurrence). A UIDL is opaque
// bytes, written here as latin1. The legal states and what moves a mail between them stand in the README of this room.
// Promise: when a call returns, what it says is on disk; "handed over" and the point that reports it are one transaction.
import type { Journal } from '#shared/journal.ts';
import type { Point } from '#shared/meter.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { LocalRecipient } from '../../local/local.ts';
import { messageIdPart } from './fingerprint.ts';
import { createCommits } from './commits.ts';
import type { Commits } from './commits.ts';
import { createAccountRows } from './ledger-accounts.ts';
import type { AccountRows, FirstRun } from './ledger-accounts.ts';
import { createDays } from './ledger-days.ts';
import type { Days } from './ledger-days.ts';
import { createLives } from './ledger-lives.ts';
import type { Lives } from './ledger-lives.ts';
import { createRows, decodeRecipient } from './ledger-rows.ts';
import type { Content, Entry, Look, Place } from './ledger-rows.ts';
import { entryByContent, forgetOthers, identify, recognise, reconcile, rename } from './reconcile.ts';
import type { Listed } from './reconcile.ts';

export type { Content, Entry, Listed, Look, Place };
export type { FirstRun } from './ledger-accounts.ts';

export const ledgerSchema = `
CREATE TABLE received (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  account TEXT NOT NULL,
  uidl BLOB NOT NULL,
  occurrence INTEGER NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('seen', 'handed-over', 'quarantined', 'delete-pending', 'gone', 'passed-over')),
  recheck INTEGER NOT NULL DEFAULT 0,
  listed_bytes INTEGER,
  size_bytes INTEGER,
  sha256 TEXT,
  fingerprint TEXT,
  absent INTEGER NOT NULL DEFAULT 0,
  attempts INTEGER NOT NULL DEFAULT 0,
  settled_day INTEGER,
  gone_day INTEGER,
  UNIQUE (account, uidl, occurrence)
) STRICT;
CREATE INDEX received_open ON received (account) WHERE state <> 'gone' OR absent = 1;
CREATE INDEX received_stray ON received (account, sha256) WHERE absent = 1 OR recheck = 1;
CREATE TABLE received_recipient (
  mail INTEGER NOT NULL REFERENCES received (id) ON DELETE CASCADE,
  address TEXT NOT NULL,
  verdict TEXT NOT NULL CHECK (verdict IN ('delivered', 'later', 'refused')),
  reply TEXT NOT NULL,
  PRIMARY KEY (mail, address)
) STRICT;
CREATE TABLE received_account (
  account TEXT PRIMARY KEY,
  first_run TEXT NOT NULL CHECK (first_run IN ('all', 'new-only', 'since')),
  since_at INTEGER,
  first_id INTEGER NOT NULL,
  keep TEXT,
  asks TEXT CHECK (asks IN ('old-state', 'renumbered'))
) STRICT;
CREATE TABLE received_life (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  ended INTEGER NOT NULL,
  adoption TEXT NOT NULL
) STRICT;
CREATE TABLE seen_day (
  ordinal INTEGER PRIMARY KEY AUTOINCREMENT,
  day INTEGER NOT NULL UNIQUE,
  doubtful INTEGER NOT NULL DEFAULT 0
) STRICT`;

export type Fetched = {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly listedBytes: number | undefined;
  readonly fingerprint?: string | undefined;
};

export type Ledger = Days & {
  readonly lives: Lives;
  /** Does `work`, calls of this ledger, in a commit that is shared with others; resolves when it is on disk. */
  readonly together: Commits['join'];
  /** See commits.ts. */
  readonly settled: Commits['settled'];
  /** When nothing is under way any more. */
  readonly close: () => Promise<void>;
  readonly accounts: AccountRows;
  /** All that is known of an account, also what is gone. */
  readonly entries: (account: string) => readonly Entry[];
  /** The same, without what we deleted ourselves. */
  readonly openEntries: (account: string) => readonly Entry[];
  /** Of a provider without UIDL: the entry of the n-th mail with this content. */
  readonly byContent: (account: string, sha256: string, occurrence: number) => Entry;
  /** Of a provider without UIDL: these are all that it has. */
  readonly onlyThese: (account: string, present: ReadonlySet<number>, today: number) => void;
  /** Known mails stand under other UIDLs now. */
  readonly rename: (account: string, moves: readonly { readonly id: number; readonly listed: Listed }[]) => void;
  /** Never to be handed over, never to be deleted; with what was seen of them, to know them again. */
  readonly passOver: (mails: readonly Look[]) => void;
  /** A UIDL was found to stand for another mail: content must tell what all of them stand for. */
  readonly doubtAll: (account: string) => void;
  /** Rows that may stand for known mails: content must tell. */
  readonly compare: (ids: readonly number[]) => void;
  /** UIDLs that stand for several mails, or did lately. */
  readonly sharedUidls: (account: string) => ReadonlySet<string>;
  /** A mail with this content is in doubt or missing. */
  readonly hasStray: (account: string, content: Content) => boolean;
  /** Mails whose place is in doubt, or that are missing though we did not delete them. */
  readonly strays: (account: string) => readonly Entry[];
  /** Known mails were found at these places. */
  readonly recognise: (
    account: string,
    finds: readonly { readonly id: number; readonly place: Place }[],
    today: number,
  ) => void;
  /** The provider counts the bytes of a mail otherwise now; its content was compared. */
  readonly resize: (id: number, listedBytes: number) => void;
  /** The first listing of an account and what is to be done with it, in one. */
  readonly begin: (
    account: string,
    firstRun: FirstRun,
    found: {
      readonly listing: readonly Listed[];
      readonly complete: boolean;
      readonly today: number;
      /** Rows that stand for the last mails of the listing, which have no UIDL. */
      readonly others?: readonly Entry[];
      /** Of what TOP showed, by number. */
      readonly fingerprints?: ReadonlyMap<number, string>;
    },
  ) => readonly Entry[];
  /** Brings the rows of an account in line with a listing, gives one entry per listed mail, in order. */
  readonly reconcile: (
    account: string,
    listing: readonly Listed[],
    facts: {
      /** Nothing is missing in the listing. */
      readonly complete: boolean;
      readonly today: number;
      /** Mails without a usable UIDL are there too. */
      readonly unnamed?: boolean;
    },
  ) => readonly Entry[];
  /** What is known of the mail with this content that stands at the place of `entry`; a fresh entry when nothing is. */
  readonly identify: (account: string, entry: Entry, content: Content, today: number) => Entry;
  readonly recipients: (id: number) => readonly LocalRecipient[];
  /** What the local server said, without an end of the matter yet. */
  readonly noteVerdicts: (id: number, fetched: Fetched, recipients: readonly LocalRecipient[]) => void;
  /** The end of the matter, with the verdicts of this try and the point that reports it; no point for what was reported before. */
  readonly settle: (
    id: number,
    state: 'handed-over' | 'quarantined',
    facts: {
      readonly fetched: Fetched;
      readonly recipients: readonly LocalRecipient[];
      readonly today: number;
      readonly point?: Point;
    },
  ) => void;
  readonly failed: (id: number) => void;
  readonly deletePending: (ids: readonly number[]) => void;
  readonly gone: (ids: readonly number[], today: number) => void;
};

/** The longest that a record waits for others. */
const recordWaitMs = 5;

/** `sessions`: so many mails can be answered at once, and then wait for their records. */
export function createLedger(options: {
  readonly db: Database;
  readonly journal: Journal;
  readonly sessions?: number;
}): Ledger {
  const { db, journal, sessions = 1 } = options;
  const commits = createCommits({ db, most: sessions, waitMs: recordWaitMs });
  const rows = createRows(db);
  const accounts = createAccountRows(db);
  const upsertRecipient = db.prepare(
    'INSERT INTO received_recipient (mail, address, verdict, reply) VALUES (?, ?, ?, ?) ' +
      'ON CONFLICT (mail, address) DO UPDATE SET verdict = excluded.verdict, reply = excluded.reply',
  );
  const selectRecipients = db.prepare(
    'SELECT address, verdict, reply FROM received_recipient WHERE mail = ? ORDER BY rowid',
  );
  const noteFetched = db.prepare(
    'UPDATE received SET sha256 = ?, size_bytes = ?, listed_bytes = ?, fingerprint = ?, recheck = 0 WHERE id = ?',
  );
  const settleMail = db.prepare(
    'UPDATE received SET state = ?, settled_day = coalesce(settled_day, ?), attempts = 0 WHERE id = ?',
  );

  /** In the caller's transaction. */
  function note(id: number, fetched: Fetched, recipients: readonly LocalRecipient[]): void {
    const { sha256, sizeBytes, listedBytes, fingerprint } = fetched;
    noteFetched.run(sha256, sizeBytes, listedBytes ?? null, fingerprint ?? null, id);
    for (const { address, verdict, text } of recipients)
      upsertRecipient.run(id, address, verdict, text.slice(0, 1_000));
  }

  return {
    together: commits.join,
    settled: commits.settled,
    close: commits.close,
    ...createDays(db),
    lives: createLives(db),
    accounts,
    begin: (account, firstRun, found) =>
      transaction(db, () => {
        const { others = [], listing, complete, today } = found;
        const named = listing.slice(0, listing.length - others.length);
        const entries = [
          ...reconcile(rows, { account, listing: named, complete, today, unnamed: others.length > 0 }),
          ...others,
        ];
        const firstId = entries.reduce((highest, { id }) => Math.max(highest, id), 0);
        accounts.begin(account, firstRun, firstId);
        if (firstRun.kind !== 'new-only') return entries;
        return entries.map((entry, index) => {
          const { number = 0, sizeBytes } = found.listing[index] ?? {};
          rows.passOver({ id: entry.id, listedBytes: sizeBytes, fingerprint: found.fingerprints?.get(number) });
          return { ...entry, state: 'passed-over' };
        });
      }),
    entries: rows.all,
    openEntries: rows.open,
    byContent: (account, sha256, occurrence) =>
      transaction(db, () => entryByContent(rows, { account, sha256, occurrence })),
    onlyThese: (account, present, today) => transaction(db, () => forgetOthers(rows, account, present, today)),
    rename: (account, moves) => transaction(db, () => rename(rows, account, moves)),
    passOver: (mails) => transaction(db, () => mails.forEach((mail) => rows.passOver(mail))),
    doubtAll: (account) =>
      transaction(db, () => {
        rows.doubtAll(account);
        if (rows.reopen(account) > 0) accounts.ask(account);
      }),
    compare: (ids) => transaction(db, () => ids.forEach((id) => rows.doubtOne(id))),
    sharedUidls: rows.sharedUidls,
    hasStray: (account, content) => rows.stray(account, content) !== undefined,
    strays: rows.strays,
    recognise: (account, finds, today) => transaction(db, () => recognise(rows, account, finds, today)),
    resize: rows.resize,
    reconcile: (account, listing, facts) => transaction(db, () => reconcile(rows, { account, listing, ...facts })),
    identify(account, entry, content, today) {
      // Nearly always: a mail that nobody has seen before.
      const isPlain = !entry.recheck && (entry.sha256 ?? content.sha256) === content.sha256;
      // Mails without Message-ID may be alike to the byte, and yet each is a mail of its own.
      const mayBeKnown = messageIdPart(content.fingerprint) !== undefined;
      if (isPlain && (!mayBeKnown || rows.stray(account, content) === undefined)) return entry;
      return transaction(db, () => identify(rows, { account, entry, content, today }));
    },
    recipients: (id) => selectRecipients.all(id).map(decodeRecipient),
    noteVerdicts: (id, fetched, recipients) => transaction(db, () => note(id, fetched, recipients)),
    settle(id, state, facts) {
      transaction(db, () => {
        note(id, facts.fetched, facts.recipients);
        settleMail.run(state, facts.today, id);
        if (facts.point !== undefined) journal.add(facts.point);
      });
    },
    failed: (id) => rows.failed(id),
    deletePending: (ids) => transaction(db, () => ids.forEach((id) => rows.setState(id, 'delete-pending'))),
    gone: (ids, today) => transaction(db, () => ids.forEach((id) => rows.setGone(id, today))),
  };
}
