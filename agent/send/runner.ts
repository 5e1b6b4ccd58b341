// Sends what is queued: the one layer that retries. Up to `sessions` conversations are open at once and used for many mails.
// Promise: a mail is with one session at a time; the final dot is not sent before that is durable; whatever happens, each
// recipient ends in a state of the table in outcome.ts.
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { maskAddress } from '#shared/log.ts';
import { ConversationError } from '../smtp/conversation.ts';
import type { Conversation } from '../smtp/conversation.ts';
import { attemptOfError, attemptOfResult } from './attempt.ts';
import type { Attempt } from './attempt.ts';
import type { Bell } from './bell.ts';
import { persist } from './persist.ts';
import type { Queue, QueuedMail } from './queue.ts';
import type { QueueClock } from './queue-clock.ts';
import type { RelayHealth } from './relay-health.ts';
import type { Spool } from './spool.ts';

export type RunnerOptions = {
  readonly queue: Queue;
  readonly queueClock: QueueClock;
  readonly spool: Pick<Spool, 'body'>;
  readonly health: RelayHealth;
  readonly sessions: number;
  /** One more session to the relay, logged in. */
  readonly open: (signal: AbortSignal) => Promise<Conversation>;
  /** Rung when something may have become due. */
  readonly bell: Bell;
  /** A notice to a sender waits. */
  readonly onNotice: () => void;
  /** Nothing is left to do about the mail: its file may go. */
  readonly onGone: (id: string) => void;
  readonly clock: Clock;
  readonly reached: Reached;
  readonly log: Log;
};
export type Runner = {
  /** Until `stop`: no mail is begun after it; `abort` breaks off what is under way. */
  readonly run: (stop: AbortSignal, abort: AbortSignal) => Promise<void>;
  /** With a session now. */
  readonly busy: (id: string) => boolean;
};

/** An idle session is closed by us before servers do it (RFC 5321 asks them for five minutes, many take less). */
const idleMs = 20_000;
/** Servers limit the mails of a session; so few that a limit is never met, so many that the login costs nothing. */
const mailsPerSession = 100;
/** Pause of an additional session that the relay does not let in while another one works. */
const surplusPauseMs = 30_000;

/** A conversation and how often it was used. */
type Session = { readonly conversation: Conversation; mails: number; usedAt: number };

export function createRunner(options: RunnerOptions): Runner {
  const { bell, clock, health, queue, log } = options;
  const claimed = new Set<string>();
  let open = 0;

  /** The first mail that is due and with no other session. */
  const pick = (): string | undefined => queue.due(options.sessions + 1).find((id) => !claimed.has(id));

  /** Until the next due time; what is due already is with another session, which rings when it is done. */
  function untilDueMs(): number {
    const dueMs = queue.nextDueMs();
    const waitMs = dueMs === undefined ? Infinity : dueMs - options.queueClock.now();
    return waitMs > 0 ? waitMs : Infinity;
  }

  async function work(prober: boolean, stop: AbortSignal, abort: AbortSignal): Promise<void> {
    let session: Session | undefined;
    let restUntil = 0;
    while (!stop.aborted) {
      const pauseMs = Math.max(health.waitMs(prober), restUntil - clock.monotonic());
      const id = pauseMs > 0 ? undefined : pick();
      if (id === undefined) {
        const idleLeftMs = session === undefined ? Infinity : session.usedAt + idleMs - clock.monotonic();
        if (session !== undefined && idleLeftMs <= 0) session = await leave(session, abort);
        else await bell.wait(Math.min(pauseMs > 0 ? pauseMs : untilDueMs(), idleLeftMs), stop);
        continue;
      }
      claimed.add(id);
      try {
        session = await enter(session, stop, abort);
        if (session === undefined) restUntil = clock.monotonic() + (open > 0 ? surplusPauseMs : 0);
        else if (!(await sendOne(id, session, abort))) session = await leave(session, abort);
      } finally {
        claimed.delete(id);
        bell.ring();
      }
    }
    if (session !== undefined) await leave(session, abort);
  }

  /** A session that can be used, or undefined when the relay lets none in; its health knows then. */
  async function enter(
    session: Session | undefined,
    stop: AbortSignal,
    abort: AbortSignal,
  ): Promise<Session | undefined> {
    if (session?.conversation.usable() === true && session.mails < mailsPerSession) return session;
    if (session !== undefined) await leave(session, abort);
    try {
      const conversation = await options.open(stop);
      open += 1;
      return { conversation, mails: 0, usedAt: clock.monotonic() };
    } catch (error) {
      if (stop.aborted) return undefined;
      const text = describe(error);
      // One session works: the relay limits their number, and is not down.
      if (open > 0) log.info({ problem: text }, 'the relay lets no further session in');
      else health.failed(text, error instanceof ConversationError && error.phase === 'auth' ? 'login' : 'line');
      return undefined;
    }
  }

  async function leave(session: Session, abort: AbortSignal): Promise<undefined> {
    open -= 1;
    const { close, quit } = session.conversation;
    abort.addEventListener('abort', close, { once: true });
    if (abort.aborted) close();
    await quit();
    abort.removeEventListener('abort', close);
    return undefined;
  }

  /** False when the session cannot be used again. */
  async function sendOne(id: string, session: Session, abort: AbortSignal): Promise<boolean> {
    const mail = queue.load(id);
    if (mail === undefined || mail.recipients.length === 0) return true;
    const startedAt = clock.monotonic();
    const attempt = await tryMail(mail, session, abort);
    if (attempt === 'stale') return false;
    const { answered, lost, outcomes, trouble } = attempt;
    const seconds = (clock.monotonic() - startedAt) / 1_000;
    if (lost === true) {
      const told = await persist({ work: () => queue.lose(id), clock, log, signal: abort });
      if (told.noticed) options.onNotice();
      log.error({ mail: id }, 'the file of a queued mail is missing, the mail is lost');
      return session.conversation.usable();
    }
    const recorded = await persist({ work: () => queue.record(mail, outcomes, seconds), clock, log, signal: abort });
    options.reached('send.recorded');
    tell(mail, attempt);
    if (recorded.gone) options.onGone(id);
    if (recorded.noticed) options.onNotice();
    if (trouble !== undefined) health.failed(trouble.text, trouble.kind);
    else if (answered) health.succeeded();
    session.usedAt = clock.monotonic();
    return session.conversation.usable();
  }

  async function tryMail(mail: QueuedMail, session: Session, signal: AbortSignal): Promise<Attempt | 'stale'> {
    const reused = session.mails > 0;
    session.mails += 1;
    try {
      const result = await session.conversation.send({
        from: mail.sender,
        recipients: mail.recipients.map((recipient) => recipient.address),
        head: new Uint8Array(0),
        body: options.spool.body(mail),
        keepBareLineEnds: false,
        beforeDot: () => {
          queue.markDot(mail);
          options.reached('send.before-dot');
        },
        signal,
      });
      options.reached('send.after-dot');
      if (result.bareLineEnds > 0)
        log.info({ mail: mail.id, count: result.bareLineEnds }, 'bare line ends became CRLF');
      return attemptOfResult(mail, result);
    } catch (error) {
      if (reused && !signal.aborted && isStale(error)) return 'stale';
      return attemptOfError(mail, error, signal.aborted);
    }
  }

  function tell(mail: QueuedMail, attempt: Attempt): void {
    for (const { recipient, result, reply } of attempt.outcomes) {
      const facts = { mail: mail.id, to: maskAddress(recipient.address), result, reply };
      if (result === 'sent' || result === 'untouched') log.debug(facts, 'mail tried');
      else log.warn(facts, 'mail tried');
    }
  }

  return {
    async run(stop, abort) {
      const workers = Array.from({ length: options.sessions }, (_, index) => work(index === 0, stop, abort));
      await Promise.all(workers);
    },
    busy: (id) => claimed.has(id),
  };
}

/** The relay ended an idle session while we began the next mail: nothing went wrong with either. */
function isStale(error: unknown): boolean {
  return (
    error instanceof ConversationError &&
    error.phase === 'mail' &&
    (error.reply === undefined || error.reply.code === 421)
  );
}
