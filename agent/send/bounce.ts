// Tells senders what became of their mail, through the local mail server: never through the relay that failed, never to
// an address that is not local, never about a mail without a sender. Pending notices are in the index and survive a restart.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { maskAddress } from '#shared/log.ts';
import { codeOf, describe } from '#shared/failure.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Local } from '../local/local.ts';
import type { Bell } from './bell.ts';
import { persist } from './persist.ts';
import { composeNotice, decodeReports } from './notice.ts';
import type { NoticeKind, Report } from './notice.ts';
import type { Queue, QueuedMail } from './queue.ts';
import type { QueueClock } from './queue-clock.ts';
import { retryWaitMs } from './schedule.ts';
import type { RetryPace } from './schedule.ts';
import type { Spool } from './spool.ts';

export type BounceOptions = {
  readonly db: Database;
  readonly queue: Queue;
  readonly queueClock: QueueClock;
  readonly spool: Pick<Spool, 'head'>;
  readonly local: Local;
  /** Rung when a notice waits. */
  readonly bell: Bell;
  /** Nothing is left to do about the mail: its file may go. */
  readonly onGone: (id: string) => void;
  readonly pace: RetryPace;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly hostname: string;
  readonly relayHost: string;
};

type Notice = {
  readonly id: number;
  readonly mail: string;
  readonly kind: NoticeKind;
  readonly reports: readonly Report[];
  readonly createdAt: number;
  readonly tries: number;
};

const maxOriginalBytes = 65_536;

/** Nothing of a mail whose file is lost: its sender is to know all the same. */
async function readHead(spool: Pick<Spool, 'head'>, mail: QueuedMail): Promise<Buffer> {
  try {
    return await spool.head(mail, maxOriginalBytes);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    return Buffer.alloc(0);
  }
}

/** Delivers notices one after the other until aborted; a local server out of reach is waited for. */
export function createBounce(options: BounceOptions): {
  /** Until `stop`; `abort` breaks off a delivery that is under way. */
  readonly run: (stop: AbortSignal, abort: AbortSignal) => Promise<void>;
} {
  const { log, queueClock } = options;
  const table = createNoticeTable(options);

  async function deliver(notice: Notice, signal: AbortSignal): Promise<void> {
    const mail = options.queue.load(notice.mail);
    if (mail === undefined) return;
    const bytes = composeNotice({
      id: 'notice-' + notice.id + '.' + notice.mail,
      kind: notice.kind,
      to: mail.sender,
      reports: notice.reports,
      original: await readHead(options.spool, mail),
      arrivedAt: mail.acceptedAt,
      createdAt: notice.createdAt,
      hostname: options.hostname,
      relayHost: options.relayHost,
    });
    const result = await options.local.deliver({
      from: '',
      recipients: [mail.sender],
      head: new Uint8Array(0),
      body: { open: () => [bytes], sizeBytes: bytes.length },
      signal,
    });
    const answer = result.recipients[0];
    const about = { mail: notice.mail, kind: notice.kind, to: maskAddress(mail.sender) };
    switch (answer?.verdict) {
      case 'delivered':
        if (table.delivered(notice)) options.onGone(notice.mail);
        return log.info(about, 'sender was told');
      case 'refused':
        table.refused(notice, 'The local server refused the notice to its sender: ' + answer.text);
        return log.error({ ...about, answer: answer.text }, 'sender cannot be told, mail is held');
      case 'later':
      case undefined:
        table.later(notice);
        return log.warn(
          { ...about, tries: notice.tries + 1, answer: answer?.text ?? '' },
          'sender could not be told yet',
        );
    }
  }

  return {
    async run(stop, abort) {
      while (!stop.aborted) {
        const notice = table.next();
        if (notice === undefined) {
          await options.bell.wait(table.waitMs(), stop);
          continue;
        }
        try {
          await deliver(notice, abort);
        } catch (error) {
          if (abort.aborted) return;
          log.error({ mail: notice.mail, error: describe(error) }, 'sender could not be told yet');
          await persist({ work: () => table.later(notice), clock: options.clock, log, signal: abort });
        }
      }
    },
  };

  function createNoticeTable({ db, pace, queue, random }: BounceOptions) {
    const select = db.prepare('SELECT * FROM notice WHERE due_ms <= ? ORDER BY due_ms, id LIMIT 1');
    const nextDue = db.prepare('SELECT MIN(due_ms) AS due_ms FROM notice');
    const remove = db.prepare('DELETE FROM notice WHERE id = ?');
    const postpone = db.prepare('UPDATE notice SET tries = ?, due_ms = ? WHERE id = ?');
    const holdFailed = db.prepare("UPDATE recipient SET state = 'held' WHERE mail = ? AND state = 'failed'");
    const problem = db.prepare('UPDATE mail SET problem = ? WHERE id = ?');
    return {
      next(): Notice | undefined {
        const row = select.get(queueClock.now());
        if (row === undefined) return undefined;
        return {
          id: Number(row['id']),
          mail: String(row['mail']),
          kind: row['kind'] === 'failed' ? 'failed' : 'delayed',
          reports: decodeReports(String(row['report'])),
          createdAt: Number(row['created_at']),
          tries: Number(row['tries']),
        };
      },
      waitMs(): number {
        const dueMs = nextDue.get()?.['due_ms'];
        return typeof dueMs === 'number' ? Math.max(0, dueMs - queueClock.now()) : Infinity;
      },
      /** True when nothing is left to do about the mail. */
      delivered: (notice: Notice): boolean =>
        transaction(db, () => {
          remove.run(notice.id);
          return queue.finish(notice.mail);
        }),
      later(notice: Notice): void {
        const tries = notice.tries + 1;
        postpone.run(tries, queueClock.now() + retryWaitMs(pace, tries, random), notice.id);
      },
      refused: (notice: Notice, why: string): void =>
        transaction(db, () => {
          remove.run(notice.id);
          if (notice.kind === 'delayed') return;
          holdFailed.run(notice.mail);
          problem.run(why.slice(0, 1_000), notice.mail);
        }),
    };
  }
}
