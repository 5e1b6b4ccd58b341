// Notices that wait to be delivered, and who was told how often. They are in the index, so they survive a restart.
// Promise: nobody gets more than `perHour` notices in any hour; what is beyond waits and is told in one, and nothing is lost.
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Queue } from '../queue/queue.ts';
import type { QueueClock } from '../queue/queue-clock.ts';
import type { NoticeKind } from './report.ts';
import { retryWaitMs } from '../relay/schedule.ts';
import type { RetryPace } from '../relay/schedule.ts';

export type Notice = {
  readonly id: number;
  readonly mail: string;
  readonly kind: NoticeKind;
  /** As the queue wrote it: reports or warnings. */
  readonly report: string;
  readonly createdAt: number;
  readonly tries: number;
  /** Goes with others into one. */
  readonly summed: boolean;
  /** Whom it goes to; empty: whoever sent the mail. */
  readonly whom: string;
};

export type NoticeTable = ReturnType<typeof createNoticeTable>;

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Of one sum; the rest goes into the next. */
const maxSummed = 200;

export function createNoticeTable(options: {
  readonly db: Database;
  readonly queue: Pick<Queue, 'finish'>;
  readonly queueClock: QueueClock;
  readonly pace: RetryPace;
  readonly random: () => number;
  readonly perHour: number;
}) {
  const { db, pace, perHour, queue, queueClock, random } = options;
  const select = db.prepare('SELECT * FROM notice WHERE due_ms <= ? ORDER BY due_ms, id LIMIT 1');
  const nextDue = db.prepare('SELECT MIN(due_ms) AS due_ms FROM notice');
  const summed = db.prepare('SELECT * FROM notice WHERE summed = 1 AND whom = ? ORDER BY id LIMIT ?');
  const remove = db.prepare('DELETE FROM notice WHERE id = ?');
  const postpone = db.prepare('UPDATE notice SET tries = ?, due_ms = ? WHERE id = ?');
  const putAside = db.prepare('UPDATE notice SET summed = 1, whom = ?, due_ms = ? WHERE id = ?');
  const redirect = db.prepare('UPDATE notice SET whom = ?, due_ms = ?, tries = 0, summed = 0 WHERE id = ?');
  const holdFailed = db.prepare("UPDATE recipient SET state = 'held' WHERE mail = ? AND state = 'failed'");
  const problem = db.prepare('UPDATE mail SET problem = ? WHERE id = ?');
  const tell = db.prepare('INSERT INTO told (whom, what, at_ms) VALUES (?, ?, ?)');
  const prune = db.prepare('DELETE FROM told WHERE at_ms <= ?');
  const lately = db.prepare('SELECT at_ms FROM told WHERE whom = ? AND what = ? AND at_ms > ? ORDER BY at_ms');

  function read(row: Readonly<Record<string, unknown>>): Notice {
    return {
      id: Number(row['id']),
      mail: String(row['mail']),
      kind: String(row['kind']) as NoticeKind, // the table's CHECK lets nothing else in
      report: String(row['report']),
      createdAt: Number(row['created_at']),
      tries: Number(row['tries']),
      summed: row['summed'] === 1,
      whom: String(row['whom']),
    };
  }

  const toldLately = (whom: string, what: string, withinMs: number): readonly number[] =>
    lately.all(whom, what, queueClock.now() - withinMs).map((row) => Number(row['at_ms']));

  function told(whom: string, what: string): void {
    prune.run(queueClock.now() - dayMs);
    tell.run(whom, what, queueClock.now());
  }

  return {
    next(): Notice | undefined {
      const row = select.get(queueClock.now());
      return row === undefined ? undefined : read(row);
    },
    waitMs(): number {
      const dueMs = nextDue.get()?.['due_ms'];
      return typeof dueMs === 'number' ? Math.max(0, dueMs - queueClock.now()) : Infinity;
    },
    /** All that wait to be told to this address in one. */
    summedFor: (whom: string): readonly Notice[] => summed.all(whom, maxSummed).map(read),
    /** Undefined when one more may go now, else when it may. */
    roomAt(whom: string): number | undefined {
      const all = toldLately(whom, 'notice', hourMs);
      const oldest = all.at(-perHour);
      return oldest === undefined ? undefined : oldest + hourMs;
    },
    sumUp: (notice: Notice, whom: string, dueMs: number): void => void putAside.run(whom, dueMs, notice.id),
    /** Was this told within the last day? If not, it counts as told from now on. */
    firstToday: (whom: string, what: string): boolean =>
      transaction(db, () => {
        if (toldLately(whom, what, dayMs).length > 0) return false;
        told(whom, what);
        return true;
      }),
    /** Ids of mails about which nothing is left to do. `kept`: why a mail stays although it was told. */
    delivered: (
      notices: readonly Notice[],
      whom: string | undefined,
      kept: (notice: Notice) => string | undefined = () => undefined,
    ): readonly string[] =>
      transaction(db, () => {
        if (whom !== undefined) told(whom, 'notice');
        return notices.flatMap((notice) => {
          remove.run(notice.id);
          const why = kept(notice);
          if (why !== undefined) {
            holdFailed.run(notice.mail);
            problem.run(why, notice.mail);
          }
          return queue.finish(notice.mail) ? [notice.mail] : [];
        });
      }),
    later: (notices: readonly Notice[]): void =>
      transaction(db, () => {
        for (const { id, tries } of notices)
          postpone.run(tries + 1, queueClock.now() + retryWaitMs(pace, tries + 1, random), id);
      }),
    turnTo: (notices: readonly Notice[], whom: string): void =>
      transaction(db, () => {
        for (const { id } of notices) redirect.run(whom, queueClock.now(), id);
      }),
    /** Nobody can be told: a mail that failed is held. Ids as above. */
    refused: (notices: readonly Notice[], why: string): readonly string[] =>
      transaction(db, () =>
        notices.flatMap(({ id, kind, mail }) => {
          remove.run(id);
          if (kind === 'failed') {
            holdFailed.run(mail);
            problem.run(why.slice(0, 1_000), mail);
          }
          return queue.finish(mail) ? [mail] : [];
        }),
      ),
  };
}
