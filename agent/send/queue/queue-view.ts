// The queue as people and gauges see it.
import type { Database } from '#shared/sqlite.ts';
import type { Recipient, RecipientState } from '../relay/outcome.ts';
import { readRecipient } from './queue-statements.ts';
import type { QueueClock } from './queue-clock.ts';
import type { NoticeKind } from '../notice/report.ts';

export type QueueEntry = {
  readonly id: string;
  readonly from: string;
  readonly recipients: readonly {
    readonly address: string;
    readonly state: RecipientState;
    readonly attempts: number;
    readonly lastReply: string;
    /** Milliseconds since 1970; 0 when it was not tried yet. */
    readonly triedAt: number;
    /** What the last reply means: whom it concerns, in plain words, and what helps. Empty when there was none. */
    readonly scope: string;
    readonly meaning: string;
    readonly remedy: string;
    /** What the client asked to be told (RFC 3461); empty when it did not say. */
    readonly notify: readonly string[];
  }[];
  readonly sizeBytes: number;
  /** Milliseconds since 1970. */
  readonly acceptedAt: number;
  /** Milliseconds since 1970; 0 when no try is planned. */
  readonly nextTryAt: number;
  /** The state of the recipient that still asks for most: sending, unknown, queued, held, failed, sent. */
  readonly state: RecipientState;
  /** Why it is still here; empty when nothing went wrong. */
  readonly problem: string;
  /** Who handed it in. */
  readonly user: string;
  /** What its sender is still to be told. */
  readonly notices: readonly {
    readonly kind: NoticeKind;
    /** Milliseconds since 1970. */
    readonly nextTryAt: number;
    readonly tries: number;
    /** Goes with others into one, because there were too many. */
    readonly summed: boolean;
  }[];
  /** By which it goes, or may have gone. */
  readonly relay: string;
};
export type QueueSummary = {
  readonly depth: number;
  /** Age of the oldest mail that is still to be sent; held mail waits for a person and is counted in `held`. */
  readonly oldestSeconds: number;
  readonly held: number;
  readonly unknown: number;
};
/** The mails of one relay in one state. */
export type QueueStateTotal = {
  readonly relay: string;
  readonly state: 'queued' | 'unknown' | 'held';
  readonly mails: number;
  readonly bytes: number;
  readonly oldestSeconds: number;
};
export type QueueView = {
  /** The oldest first, at most 1,000. */
  readonly list: () => readonly QueueEntry[];
  readonly show: (id: string) => QueueEntry | undefined;
  readonly summary: () => QueueSummary;
  /** For each relay and state, also where there is none. A large queue is counted less often than this is asked. */
  readonly states: () => readonly QueueStateTotal[];
};

const maxListed = 1_000;
const order: readonly RecipientState[] = ['sending', 'unknown', 'queued', 'held', 'failed', 'sent'];

export function createQueueView(options: {
  readonly db: Database;
  readonly queueClock: QueueClock;
  readonly relays: readonly string[];
  /** Monotonic milliseconds. */
  readonly monotonic: () => number;
  /** What keeps the mail of a relay; empty when it works. */
  readonly problemOf: (relay: string) => string;
}): QueueView {
  const { db, queueClock } = options;
  const mails = db.prepare('SELECT * FROM mail WHERE done = 0 ORDER BY accepted_ms, id LIMIT ?');
  const one = db.prepare('SELECT * FROM mail WHERE done = 0 AND id = ?');
  const recipients = db.prepare('SELECT * FROM recipient WHERE mail = ? ORDER BY number');
  const notices = db.prepare('SELECT kind, due_ms, tries, summed FROM notice WHERE mail = ? ORDER BY id');
  const open = "state IN ('queued', 'unknown', 'sending')";
  const totals = db.prepare(
    'SELECT COUNT(*) AS depth, (SELECT MIN(accepted_ms) FROM mail AS m WHERE done = 0 AND EXISTS (SELECT 1 FROM recipient WHERE mail = m.id AND ' +
      open +
      ')) AS oldest FROM mail WHERE done = 0',
  );
  const countIn = db.prepare('SELECT COUNT(DISTINCT mail) AS count FROM recipient WHERE state = ?');
  const count = (state: RecipientState): number => Number(countIn.get(state)?.['count'] ?? 0);

  function entry(row: Readonly<Record<string, unknown>>): QueueEntry {
    const id = String(row['id']);
    const rows = recipients.all(id);
    const all = rows.map(readRecipient);
    const state = order.find((candidate) => all.some((recipient) => recipient.state === candidate)) ?? 'held';
    const due = rows.filter((recipient) => recipient['state'] === 'queued' || recipient['state'] === 'unknown');
    const relay = (all.find((recipient) => recipient.state === state) ?? all[0])?.relay ?? '';
    const waits = state === 'queued' || state === 'unknown';
    return {
      id,
      from: String(row['sender']),
      recipients: all.map(viewRecipient),
      user: String(row['user']),
      notices: notices.all(id).map((notice) => ({
        kind: String(notice['kind']) as NoticeKind, // the table's CHECK lets nothing else in
        nextTryAt: queueClock.toWall(Number(notice['due_ms'])),
        tries: Number(notice['tries']),
        summed: notice['summed'] === 1,
      })),
      sizeBytes: Number(row['size_bytes']),
      acceptedAt: Number(row['accepted_at']),
      nextTryAt:
        due.length === 0 ? 0 : queueClock.toWall(Math.min(...due.map((recipient) => Number(recipient['due_ms'])))),
      state,
      // While the relay is down that is the reason, whatever an earlier try said.
      problem: (waits ? options.problemOf(relay) : '') || String(row['problem']),
      relay,
    };
  }

  const perState = db.prepare(
    "SELECT relay, state, COUNT(*) AS mails, SUM(size) AS bytes, MIN(accepted) AS oldest FROM (SELECT DISTINCT recipient.relay, CASE recipient.state WHEN 'sending' THEN 'queued' ELSE recipient.state END AS state, mail.id, mail.size_bytes AS size, mail.accepted_ms AS accepted FROM recipient JOIN mail ON mail.id = recipient.mail WHERE mail.done = 0 AND recipient.state NOT IN ('sent', 'failed')) GROUP BY relay, state",
  );
  let counted: { readonly rows: ReturnType<typeof perState.all>; readonly again: number } | undefined;

  /** Counting takes its time with the length of the queue, and mail must not wait for numbers. */
  function countStates(): ReturnType<typeof perState.all> {
    const startedAt = options.monotonic();
    if (counted !== undefined && startedAt < counted.again) return counted.rows;
    const rows = perState.all();
    const endedAt = options.monotonic();
    counted = { rows, again: endedAt + 100 * (endedAt - startedAt) };
    return rows;
  }

  return {
    states() {
      const rows = countStates();
      return options.relays.flatMap((relay) =>
        (['queued', 'unknown', 'held'] as const).map((state) => {
          const row = rows.find((one) => one['relay'] === relay && one['state'] === state);
          const age = row === undefined ? 0 : queueClock.now() - Number(row['oldest']);
          return {
            relay,
            state,
            mails: Number(row?.['mails'] ?? 0),
            bytes: Number(row?.['bytes'] ?? 0),
            oldestSeconds: Math.max(0, Math.round(age / 1_000)),
          };
        }),
      );
    },
    list: () => mails.all(maxListed).map(entry),
    show(id) {
      const row = one.get(id);
      return row === undefined ? undefined : entry(row);
    },
    summary() {
      const row = totals.get();
      const oldest = row?.['oldest'];
      return {
        depth: Number(row?.['depth'] ?? 0),
        oldestSeconds: typeof oldest === 'number' ? Math.max(0, Math.round((queueClock.now() - oldest) / 1_000)) : 0,
        held: count('held'),
        unknown: count('unknown'),
      };
    },
  };
}

function viewRecipient(recipient: Recipient): QueueEntry['recipients'][number] {
  const { address, attempts, dsn, lastReply, reason, state, triedAt = 0 } = recipient;
  const { meaning = '', remedy = '', scope = '' } = reason ?? {};
  return { address, state, attempts, lastReply, triedAt, scope, meaning, remedy, notify: dsn?.notify ?? [] };
}
