// Tells the operator what no sender can mend: a loop, a relay that wants something of him. A note goes to his local mailbox, at
// most one a day about the same thing, survives a restart, and waits for the local server. Without an operator it is logged.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Local } from '../../local/local.ts';
import { maskReply } from '../../smtp/reply.ts';
import { createBell } from '../bell.ts';
import { composeNote } from './note.ts';
import { persist } from '../queue/persist.ts';
import type { QueueClock } from '../queue/queue-clock.ts';
import { retryWaitMs } from '../relay/schedule.ts';
import type { RetryPace } from '../relay/schedule.ts';

export type OperatorNote = {
  /** What it is about: the same is told once a day. */
  readonly topic: string;
  readonly subject: string;
  /** LF between lines. */
  readonly text: string;
};
export type Operator = {
  readonly tell: (note: OperatorNote) => void;
  /** Until `stop`; `abort` breaks off a delivery that is under way. */
  readonly run: (stop: AbortSignal, abort: AbortSignal) => Promise<void>;
};

const dayMs = 24 * 3_600_000;
/** More would mean that the local server has been away for long: the newest are dropped. */
const maxWaiting = 100;

export function createOperator(options: {
  readonly db: Database;
  readonly queueClock: QueueClock;
  readonly local: Local | undefined;
  /** A local mailbox. */
  readonly address: string | undefined;
  readonly pace: RetryPace;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly hostname: string;
  readonly traceId: string;
}): Operator {
  const { address, clock, db, hostname, local, log, queueClock, traceId } = options;
  const lately = db.prepare("SELECT 1 FROM told WHERE whom = '' AND what = ? AND at_ms > ?");
  const remember = db.prepare("INSERT INTO told (whom, what, at_ms) VALUES ('', ?, ?)");
  const prune = db.prepare("DELETE FROM told WHERE whom = '' AND at_ms <= ?");
  const waiting = db.prepare('SELECT COUNT(*) AS count FROM operator_note');
  const add = db.prepare('INSERT INTO operator_note (subject, text, created_at, due_ms) VALUES (?, ?, ?, ?)');
  const select = db.prepare('SELECT * FROM operator_note WHERE due_ms <= ? ORDER BY due_ms, id LIMIT 1');
  const nextDue = db.prepare('SELECT MIN(due_ms) AS due_ms FROM operator_note');
  const remove = db.prepare('DELETE FROM operator_note WHERE id = ?');
  const postpone = db.prepare('UPDATE operator_note SET tries = tries + 1, due_ms = ? WHERE id = ?');
  const bell = createBell(clock);

  function tell({ subject, text, topic }: OperatorNote): void {
    const now = queueClock.now();
    transaction(db, () => {
      if (lately.get(topic, now - dayMs) !== undefined) return;
      prune.run(now - dayMs);
      remember.run(topic, now);
      log.error({ topic, told: address !== undefined }, subject);
      if (address === undefined || local === undefined || Number(waiting.get()?.['count']) >= maxWaiting) return;
      add.run(subject, text, Math.round(clock.now()), now);
    });
    bell.ring();
  }

  function later(id: number, tries: number): void {
    postpone.run(queueClock.now() + retryWaitMs(options.pace, tries + 1, options.random), id);
  }

  async function deliver(row: Readonly<Record<string, unknown>>, to: string, signal: AbortSignal): Promise<void> {
    const id = Number(row['id']);
    const bytes = composeNote({
      id: 'operator-' + id + '.' + Number(row['created_at']).toString(36),
      to,
      subject: String(row['subject']),
      text: String(row['text']),
      createdAt: Number(row['created_at']),
      hostname,
      traceId,
    });
    const body = { open: () => [bytes], sizeBytes: bytes.length };
    const result = await local?.deliver({ from: '', recipients: [to], head: new Uint8Array(0), body, signal });
    const answer = result?.recipients[0];
    if (answer?.verdict === 'delivered' || answer?.verdict === 'refused') remove.run(id);
    else later(id, Number(row['tries']));
    if (answer?.verdict === 'refused')
      log.error({ answer: maskReply(answer.text) }, 'the local server refused a note to the operator');
  }

  return {
    tell,
    async run(stop, abort) {
      while (!stop.aborted) {
        const row = address === undefined ? undefined : select.get(queueClock.now());
        const dueMs = nextDue.get()?.['due_ms'];
        if (row === undefined || address === undefined) {
          await bell.wait(typeof dueMs === 'number' ? Math.max(0, dueMs - queueClock.now()) : Infinity, stop);
          continue;
        }
        try {
          await deliver(row, address, abort);
        } catch (error) {
          if (abort.aborted) return;
          log.error({ error: describe(error) }, 'the operator could not be told yet');
          const work = () => later(Number(row['id']), Number(row['tries']));
          await persist({ work, clock, log, signal: abort });
        }
      }
    },
  };
}
