// The SQL of the index, and how its rows become recipients.
import type { Database } from '#shared/sqlite.ts';
import { readMailDsn, readRecipientDsn } from './envelope.ts';
import type { Envelope, MailDsn, RecipientDsn } from './envelope.ts';
import { lanes } from './queue-lanes.ts';
import type { Lane } from './queue-lanes.ts';
import type { Reason, Recipient, RecipientState } from '../relay/outcome.ts';

type Row = Readonly<Record<string, unknown>>;

export function readRecipient(row: Row): Recipient {
  return {
    number: Number(row['number']),
    address: String(row['address']),
    state: String(row['state']) as RecipientState, // the table's CHECK lets nothing else in
    attempts: Number(row['attempts']),
    unknowns: Number(row['unknowns']),
    lastReply: String(row['last_reply']),
    relay: String(row['relay']),
    dsn: decodeDsn(row['dsn']),
    triedAt: Number(row['tried_at']),
    reason: decodeReason(row['reason']),
  };
}

/** Nearly no client asks for anything: no text is parsed then. */
const decodeDsn = (text: unknown): RecipientDsn => (text === '' ? {} : readRecipientDsn(JSON.parse(String(text))));
export const encodeDsn = (dsn: RecipientDsn | undefined): string =>
  dsn === undefined || Object.keys(dsn).length === 0 ? '' : JSON.stringify(dsn);

const decodeReason = (text: unknown): Reason | undefined =>
  text === '' ? undefined : (JSON.parse(String(text)) as Reason); // encodeReason() wrote it
export const encodeReason = (reason: Reason | undefined): string =>
  reason === undefined ? '' : JSON.stringify(reason, ['scope', 'meaning', 'remedy', 'rule']);

/** What the client said about the mail as a whole. */
export type Wishes = { readonly dsn: MailDsn; readonly eightBit: boolean; readonly smtpUtf8: boolean };

export function encodeWishes({ dsn, eightBit, smtpUtf8 }: Envelope): string {
  if (dsn === undefined && eightBit === undefined && smtpUtf8 === undefined) return '';
  return JSON.stringify({ dsn, eightBit, smtpUtf8 });
}

export function decodeWishes(text: unknown): Wishes {
  const given: unknown = text === '' ? {} : JSON.parse(String(text));
  const { dsn, eightBit, smtpUtf8 }: Readonly<Record<string, unknown>> = { ...(given as object) }; // encodeWishes() wrote it
  return { dsn: readMailDsn(dsn), eightBit: eightBit === true, smtpUtf8: smtpUtf8 === true };
}

export const readHead = (row: Row) => ({
  id: String(row['mail']),
  dueMs: Number(row['due_ms']),
  lane: Number(row['lane']) as Lane, // one of those of headsOf()
});

/**
 * One statement: it is asked for each mail, and whenever something may have changed. In the order of the index, nothing is
 * sorted. Relay and claimed mails for each lane anew: Node 22.13 cannot bind a numbered parameter.
 */
const headsOf = (where: string): string =>
  Object.values(lanes)
    .map(
      (lane) =>
        'SELECT * FROM (SELECT mail, due_ms, lane FROM recipient WHERE relay = ? AND lane = ' +
        lane +
        ' AND ' +
        where +
        ' AND mail NOT IN (SELECT value FROM json_each(?)) ORDER BY due_ms LIMIT 1)',
    )
    .join(' UNION ALL ');

export function prepareQueue(db: Database) {
  const open = "state IN ('queued', 'unknown')";
  return {
    mail: db.prepare('SELECT * FROM mail WHERE id = ?'),
    waiting: db.prepare('SELECT * FROM recipient WHERE mail = ? AND ' + open + ' AND due_ms <= ? ORDER BY number'),
    anyWaiting: db.prepare('SELECT * FROM recipient WHERE mail = ? AND ' + open + ' ORDER BY number'),
    anyOpen: db.prepare("SELECT * FROM recipient WHERE mail = ? AND state NOT IN ('sent', 'failed') ORDER BY number"),
    interrupted: db.prepare("SELECT * FROM recipient WHERE state = 'sending'"),
    heads: db.prepare(headsOf(open)),
    headsElsewhere: db.prepare(headsOf('unknowns = 0 AND ' + open)),
    addMail: db.prepare(
      'INSERT INTO mail (id, sender, user, size_bytes, offset_bytes, accepted_at, accepted_ms, problem, wishes, eight_bit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    addRecipient: db.prepare(
      'INSERT INTO recipient (mail, number, address, state, due_ms, dsn, relay, lane) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
    ),
    forget: db.prepare('DELETE FROM mail WHERE id = ? AND done = 1'),
    dot: db.prepare("UPDATE recipient SET state = 'sending', relay = ? WHERE mail = ? AND number = ?"),
    recipient: db.prepare(
      'UPDATE recipient SET state = ?, due_ms = ?, attempts = ?, unknowns = ?, last_reply = ?, tried_at = ?, reason = ?, relay = ? WHERE mail = ? AND number = ?',
    ),
    problem: db.prepare('UPDATE mail SET problem = ? WHERE id = ?'),
    open: db.prepare(
      "SELECT (SELECT COUNT(*) FROM recipient WHERE mail = ? AND state NOT IN ('sent', 'failed')) + (SELECT COUNT(*) FROM notice WHERE mail = ? AND kind IN ('failed', 'relayed')) AS open",
    ),
    fail: db.prepare("UPDATE recipient SET state = 'failed' WHERE mail = ? AND state NOT IN ('sent', 'failed')"),
    done: db.prepare('UPDATE mail SET done = 1 WHERE id = ?'),
    delayed: db.prepare('UPDATE mail SET delayed = 1 WHERE id = ?'),
    hold: db.prepare(
      "UPDATE recipient SET state = 'held', due_ms = 0 WHERE mail = ? AND state NOT IN ('sent', 'failed')",
    ),
    old: db.prepare(
      'SELECT id FROM mail WHERE done = 0 AND accepted_ms <= ? AND EXISTS (SELECT 1 FROM recipient WHERE mail = mail.id AND relay = ? AND ' +
        open +
        ')',
    ),
    late: db.prepare(
      'SELECT id FROM mail WHERE done = 0 AND delayed = 0 AND accepted_ms <= ? AND EXISTS (SELECT 1 FROM recipient WHERE mail = mail.id AND ' +
        open +
        ')',
    ),
    ids: db.prepare('SELECT id, done FROM mail'),
    addNotice: db.prepare('INSERT INTO notice (mail, kind, report, created_at, due_ms) VALUES (?, ?, ?, ?, ?)'),
    dropNotices: db.prepare('DELETE FROM notice WHERE mail = ?'),
  };
}
