// The queue as people and gauges see it.
import type { Database } from '#shared/sqlite.ts';
import type { RecipientState } from './outcome.ts';
import { readRecipient } from './queue-statements.ts';
import type { QueueClock } from './queue-clock.ts';

export type QueueEntry = {
  readonly id: string;
  readonly from: string;
  readonly recipients: readonly {
    readonly address: string;
    readonly state: RecipientState;
    readonly attempts: number;
    readonly lastReply: string;
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
};
export type QueueSummary = {
  readonly depth: number;
  /** Age of the oldest mail that is still to be sent; held mail waits for a person and is counted in `held`. */
  readonly oldestSeconds: number;
  readonly held: number;
  readonly unknown: number;
};
export type QueueView = {
  /** The oldest first, at most 1,000. */
  readonly list: () => readonly QueueEntry[];
  readonly show: (id: string) => QueueEntry | undefined;
  readonly summary: () => QueueSummary;
};

const maxListed = 1_000;
const order: readonly RecipientState[] = ['sending', 'unknown', 'queued', 'held', 'failed', 'sent'];

export function createQueueView(options: {
  readonly db: Database;
  readonly queueClock: QueueClock;
  /** What the relay suffers from; empty when it works. */
  readonly relayProblem: () => string;
}): QueueView {
  const { db, queueClock } = options;
  const mails = db.prepare('SELECT * FROM mail WHERE done = 0 ORDER BY accepted_ms, id LIMIT ?');
  const one = db.prepare('SELECT * FROM mail WHERE done = 0 AND id = ?');
  const recipients = db.prepare('SELECT * FROM recipient WHERE mail = ? ORDER BY number');
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
    const waits = state === 'queued' || state === 'unknown';
    return {
      id,
      from: String(row['sender']),
      recipients: all.map(({ address, attempts, lastReply, state }) => ({ address, state, attempts, lastReply })),
      sizeBytes: Number(row['size_bytes']),
      acceptedAt: Number(row['accepted_at']),
      nextTryAt:
        due.length === 0 ? 0 : queueClock.toWall(Math.min(...due.map((recipient) => Number(recipient['due_ms'])))),
      state,
      // While the relay is down that is the reason, whatever an earlier try said.
      problem: (waits ? options.relayProblem() : '') || String(row['problem']),
    };
  }

  return {
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
