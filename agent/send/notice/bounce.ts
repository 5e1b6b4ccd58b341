// Tells senders what became of their mail, through the local mail server: never through the relay that failed, never to an
// address that is not local, never about a mail without a sender. Where the sender is not local, or could not be told, the
// operator is. Notices have the null sender and our trace, so none is answered, and none that comes back is taken.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { maskAddress } from '#shared/log.ts';
import { codeOf, describe } from '#shared/failure.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Local } from '../../local/local.ts';
import { maskReply } from '../../smtp/reply.ts';
import type { Bell } from '../bell.ts';
import { composeSum, composeWarning } from './bounce-texts.ts';
import { composeNotice } from './notice.ts';
import { createNoticeTable } from './notice-table.ts';
import type { Notice } from './notice-table.ts';
import { persist } from '../queue/persist.ts';
import type { Queue, QueuedMail } from '../queue/queue.ts';
import type { QueueClock } from '../queue/queue-clock.ts';
import { decodeReports } from './report.ts';
import type { RetryPace } from '../relay/schedule.ts';
import type { Spool } from '../queue/spool.ts';

export type BounceOptions = {
  readonly db: Database;
  readonly queue: Queue;
  readonly queueClock: QueueClock;
  readonly spool: Pick<Spool, 'head'>;
  readonly local: Local;
  readonly isLocal: (address: string) => boolean;
  /** A local mailbox that is told in place of senders that cannot be. */
  readonly operator?: string | undefined;
  /** Rung when a notice waits. */
  readonly bell: Bell;
  /** Nothing is left to do about the mail: its file may go. */
  readonly onGone: (id: string) => void;
  readonly pace: RetryPace;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly hostname: string;
  readonly traceId: string;
  readonly relayHost: string;
  /** A mail is tried by this relay for so long. */
  readonly expireMs: (relay: string) => number;
  /** Notices to one address in an hour, before the rest is told in one; standard 20. */
  readonly perHour?: number;
};
/** What goes to whom, and what it settles. */
type Letter = { readonly bytes: Buffer; readonly notices: readonly Notice[]; readonly whom: string };

const maxHeaderBytes = 65_536;
/** A larger mail is returned as its header alone. */
const maxWholeBytes = 262_144;

/** Delivers notices one after the other until aborted; a local server out of reach is waited for. */
export function createBounce(options: BounceOptions): {
  /** Until `stop`; `abort` breaks off a delivery that is under way. */
  readonly run: (stop: AbortSignal, abort: AbortSignal) => Promise<void>;
} {
  const { isLocal, log, operator, queueClock } = options;
  const table = createNoticeTable({ ...options, perHour: options.perHour ?? 20 });

  /** Nothing of a mail whose file is lost: its sender is to know all the same. */
  async function readMail(mail: QueuedMail, limitBytes: number): Promise<Buffer> {
    try {
      return await options.spool.head(mail, limitBytes);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
      return Buffer.alloc(0);
    }
  }

  /** The mail's sender when it is local; the operator for what failed; nobody for what is only for the sender to know. */
  function whomOf(notice: Notice, sender: string): string | undefined {
    if (sender === '') return undefined;
    if (notice.whom !== '') return notice.whom;
    if (isLocal(sender)) return sender;
    return notice.kind === 'failed' ? operator : undefined;
  }

  async function compose(notice: Notice, mail: QueuedMail, whom: string): Promise<Buffer> {
    const { hostname, relayHost, traceId } = options;
    const { kind, createdAt } = notice;
    const basis = { id: 'notice-' + notice.id + '.' + notice.mail, to: whom, createdAt, hostname, traceId };
    if (kind === 'warned') return composeWarning({ ...basis, header: await readMail(mail, maxHeaderBytes), notice });
    const { envid, ret } = mail.wishes.dsn;
    const reports = decodeReports(notice.report);
    // RFC 3461 section 4.3: FULL is about failures. The operator has no copy of his own.
    const whole = kind === 'failed' && (ret === 'FULL' || whom !== mail.sender) && mail.sizeBytes <= maxWholeBytes;
    return composeNotice({
      ...basis,
      kind,
      reports,
      original: await readMail(mail, whole ? maxWholeBytes : maxHeaderBytes),
      whole,
      sender: whom === mail.sender ? undefined : mail.sender,
      arrivedAt: mail.acceptedAt,
      retryUntil: queueClock.toWall(mail.acceptedMs + options.expireMs(reports[0]?.relay ?? '')),
      envid,
      relayHost,
    });
  }

  async function composeAll(notices: readonly Notice[], whom: string): Promise<Letter> {
    const { hostname, traceId } = options;
    const entries = [];
    for (const notice of notices) {
      const mail = options.queue.load(notice.mail);
      if (mail !== undefined) entries.push({ notice, mail, header: await readMail(mail, maxHeaderBytes) });
    }
    const createdAt = notices[0]?.createdAt ?? 0;
    const bytes = composeSum({ entries, to: whom, createdAt, hostname, traceId });
    return { bytes, notices, whom };
  }

  /** Undefined when nothing is to be sent now: it waits for its turn, or nobody is to be told. */
  async function prepare(notice: Notice, mail: QueuedMail): Promise<Letter | undefined> {
    const whom = whomOf(notice, mail.sender);
    if (whom === undefined) {
      gone(table.refused([notice], 'Its sender is not local and cannot be told'));
      return undefined;
    }
    const roomAt = table.roomAt(whom);
    if (roomAt !== undefined) {
      if (!notice.summed) log.warn({ mail: notice.mail, to: maskAddress(whom) }, 'too many notices, told in one later');
      table.sumUp(notice, whom, roomAt);
      return undefined;
    }
    const together = notice.summed ? table.summedFor(whom) : [notice];
    if (together.length > 1) return composeAll(together, whom);
    return { bytes: await compose(notice, mail, whom), notices: [notice], whom };
  }

  /** The same warning within a day. */
  const isRepeated = ({ kind, report, summed, tries }: Notice, sender: string): boolean =>
    kind === 'warned' && tries === 0 && !summed && !table.firstToday(sender, 'warned ' + report);

  function gone(ids: readonly string[]): void {
    for (const id of ids) options.onGone(id);
  }

  /** The operator got no more than the header, and the sender nothing: the mail itself must stay. */
  function keptBecause(letter: Letter): (notice: Notice) => string | undefined {
    return ({ kind, mail }) => {
      const found = options.queue.load(mail);
      if (kind !== 'failed' || found === undefined || found.sender === letter.whom) return undefined;
      if (letter.notices.length === 1 && found.sizeBytes <= maxWholeBytes) return undefined;
      return 'Refused; the operator was told in place of its sender, and the mail was too large to be sent along';
    };
  }

  async function deliver(letter: Letter, signal: AbortSignal): Promise<void> {
    const { bytes, notices, whom } = letter;
    const [first] = notices;
    if (first === undefined) return;
    const result = await options.local.deliver({
      from: '',
      recipients: [whom],
      head: new Uint8Array(0),
      body: { open: () => [bytes], sizeBytes: bytes.length },
      signal,
    });
    const answer = result.recipients[0];
    const about = { mail: first.mail, kind: first.kind, notices: notices.length, to: maskAddress(whom) };
    const words = maskReply(answer?.text ?? '');
    switch (answer?.verdict) {
      case 'delivered':
        gone(table.delivered(notices, whom, keptBecause(letter)));
        return log.info(about, 'sender was told');
      case 'refused':
        if (operator !== undefined && operator !== whom && first.kind === 'failed') {
          table.turnTo(notices, operator);
          return log.error({ ...about, answer: words }, 'sender cannot be told, the operator is');
        }
        gone(table.refused(notices, 'The local server refused the notice to its sender: ' + answer.text));
        return log.error({ ...about, answer: words }, 'sender cannot be told, mail is held');
      case 'later':
      case undefined:
        table.later(notices);
        return log.warn({ ...about, tries: first.tries + 1, answer: words }, 'sender could not be told yet');
    }
  }

  async function handle(notice: Notice, signal: AbortSignal): Promise<void> {
    const mail = options.queue.load(notice.mail);
    if (mail !== undefined && isRepeated(notice, mail.sender)) return gone(table.delivered([notice], undefined));
    const letter = mail === undefined ? undefined : await prepare(notice, mail);
    if (letter !== undefined) await deliver(letter, signal);
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
          await handle(notice, abort);
        } catch (error) {
          if (abort.aborted) return;
          log.error({ mail: notice.mail, error: maskReply(describe(error)) }, 'sender could not be told yet');
          await persist({ work: () => table.later([notice]), clock: options.clock, log, signal: abort });
        }
      }
    },
  };
}
