// One mail, one session, one transaction, and what became of it on disk. Promise: the final dot is not sent before that is
// durable; whatever happens, each recipient ends in a state of the table in outcome.ts.
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { maskAddress } from '#shared/log.ts';
import type { Log } from '#shared/log.ts';
import { ConversationError } from '../../smtp/conversation.ts';
import type { SendResult } from '../../smtp/conversation.ts';
import { maskReply } from '../../smtp/reply.ts';
import type { SendLimits } from '../../accounts/presets.ts';
import { attemptOfError, attemptOfResult } from './attempt.ts';
import type { About, Attempt } from './attempt.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { Budget } from './budget.ts';
import { firstGroup, readLimits } from './gate.ts';
import type { Outcome, Recipient } from './outcome.ts';
import type { DurableCommit } from '#shared/durable-commit.ts';
import { persist } from '../queue/persist.ts';
import { lanes } from '../queue/queue-lanes.ts';
import type { Queue, QueuedMail, Seconds } from '../queue/queue.ts';
import type { RelayHealth } from './relay-health.ts';
import type { Delivered, Job, Session } from './relay-line.ts';
import type { Spool } from '../queue/spool.ts';

export type DeliveryOptions = {
  readonly relay: string;
  readonly about: () => About;
  readonly limits: SendLimits;
  /** Resolves when the changes are on disk. */
  readonly durably: DurableCommit['run'];
  /** The changes outlive the process; they are on disk before any later ones that are asked for durably. */
  readonly written: DurableCommit['write'];
  readonly bandwidth: Bandwidth;
  readonly budget: Budget;
  readonly health: RelayHealth;
  readonly queue: Pick<Queue, 'load' | 'lose' | 'markDot' | 'record'>;
  readonly spool: Pick<Spool, 'body' | 'hasEightBit'>;
  /** A notice to a sender waits. */
  readonly onNotice: () => void;
  /** Nothing is left to do about the mail: its file may go. */
  readonly onGone: (id: string) => void;
  readonly clock: Clock;
  readonly reached: Reached;
  readonly log: Log;
};

type Tried = { readonly attempt: Attempt; readonly seconds: Seconds };

export function createDelivery(
  options: DeliveryOptions,
): (job: Job, session: Session, signal: AbortSignal) => Promise<Delivered> {
  const { budget, clock, health, log, queue, relay } = options;
  /** Recipients that the relay took in one transaction when it had refused more. */
  let learned = Infinity;

  function groupOf(job: Job, mail: QueuedMail, session: Session): readonly Recipient[] {
    // What may have arrived stays with the relay that may have taken it; a stand-in never sees it.
    const own = mail.recipients.filter((one) => one.relay === job.relay && (!job.standIn || one.unknowns === 0));
    const announced = readLimits(session.conversation.capabilities);
    const recipients = Math.min(
      options.limits.recipientsPerMail ?? Infinity,
      announced.recipients,
      learned,
      budget.room(job.lane === lanes.low),
    );
    return recipients < 1 ? [] : firstGroup(own, { recipients, domains: announced.domains });
  }

  async function transact(
    mail: QueuedMail,
    group: readonly Recipient[],
    session: Session,
    signal: AbortSignal,
  ): Promise<SendResult> {
    const eightBit = await options.spool.hasEightBit(mail);
    const result = await session.conversation.send({
      from: mail.sender,
      recipients: group.map((recipient) => recipient.address),
      head: new Uint8Array(0),
      body: options.bandwidth.capped(options.spool.body(mail), signal),
      keepBareLineEnds: false,
      eightBit,
      dsn: mail.wishes.dsn,
      recipientDsn: group.map((recipient) => recipient.dsn ?? {}),
      beforeDot: async () => {
        await options.durably(() => queue.markDot(mail.id, group, relay, () => budget.book(group.length)));
        options.reached('send.before-dot');
      },
      signal,
    });
    options.reached('send.after-dot');
    return result;
  }

  async function tryMail(
    job: Job,
    mail: QueuedMail,
    group: readonly Recipient[],
    session: Session,
    signal: AbortSignal,
  ): Promise<Tried | 'stale'> {
    const reused = session.mails > 0;
    const { capabilities, opening } = session.conversation;
    const startedAt = clock.monotonic();
    const seconds = (): Seconds => ({
      relay: (clock.monotonic() - startedAt) / 1_000,
      // Told once, by the mail that had to wait for it.
      ...(reused
        ? {}
        : { connect: opening.connectMs / 1_000, tls: opening.tlsMs / 1_000, login: opening.loginMs / 1_000 }),
    });
    session.mails += 1;
    try {
      const result = await transact(mail, group, session, signal);
      if (result.bareLineEnds > 0)
        log.info({ mail: mail.id, count: result.bareLineEnds }, 'bare line ends became CRLF');
      const attempt = attemptOfResult(group, result, options.about(), reused);
      const passed = capabilities.has('DSN');
      const outcomes = attempt.outcomes.map((outcome) => ({ ...judgeAt(job, outcome), passedDsn: passed }));
      const { envelopeMs, dataMs } = result;
      return {
        attempt: { ...attempt, outcomes },
        seconds: { ...seconds(), envelope: envelopeMs / 1_000, data: dataMs / 1_000 },
      };
    } catch (error) {
      if (reused && !signal.aborted && isStale(error)) return 'stale';
      const attempt = attemptOfError(group, error, options.about(), signal.aborted);
      const outcomes = attempt.outcomes.map((outcome) => judgeAt(job, outcome));
      return { attempt: { ...attempt, outcomes }, seconds: seconds() };
    }
  }

  async function keep(mail: QueuedMail, { attempt, seconds }: Tried, signal: AbortSignal): Promise<void> {
    const { id } = mail;
    if (attempt.lost === true) {
      const told = await persist({ work: () => options.durably(() => queue.lose(id)), clock, log, signal });
      if (told.noticed) options.onNotice();
      log.error({ mail: id }, 'the file of a queued mail is missing, the mail is lost');
      return;
    }
    const record = () => queue.record(mail, attempt.outcomes, { relay, seconds });
    // Before the next final dot of this session its mark is on disk, and with it this: a power cut leaves one mail a session
    // whose outcome is unknown, as with a commit for each. What a person is told of is on disk before.
    const work = () => (isPlain(attempt) ? options.written(record) : options.durably(record));
    const recorded = await persist({ work, clock, log, signal });
    options.reached('send.recorded');
    tell(log, relay, mail, attempt);
    if (recorded.gone) options.onGone(id);
    if (recorded.noticed) options.onNotice();
  }

  return async (job, session, signal) => {
    const mail = queue.load(job.id);
    const group = mail === undefined ? [] : groupOf(job, mail, session);
    if (mail === undefined || group.length === 0)
      return { usable: session.conversation.usable(), session: 'keep', tried: false };
    const release = budget.reserve(group.length);
    try {
      const tried = await tryMail(job, mail, group, session, signal);
      if (tried === 'stale') return { usable: false, session: 'keep', tried: true };
      await keep(mail, tried, signal);
      const { answered, mostRecipients, trouble } = tried.attempt;
      if (mostRecipients !== undefined) learned = Math.min(learned, mostRecipients);
      if (trouble !== undefined) health.failed(trouble);
      else if (answered) health.succeeded();
      return { usable: session.conversation.usable(), session: tried.attempt.session, tried: true };
    } finally {
      release();
    }
  };
}

/**
 * What a stand-in refuses of a mail, its own relay may take: another sender's mail, another size, another idea of spam. It is
 * no reason to give the mail up; that a recipient does not exist is.
 */
function judgeAt(job: Job, outcome: Outcome): Outcome {
  if (!job.standIn || outcome.result !== 'refused') return outcome;
  const isOurs = / not sent: /.test(outcome.reply); // what the relay announced it cannot take
  return outcome.reason?.scope === 'recipient' && !isOurs ? outcome : { ...outcome, result: 'later' };
}

/** The relay took the mail, and nobody waits to hear of it. */
function isPlain({ outcomes }: Attempt): boolean {
  return outcomes.every(({ recipient, result }) => result === 'sent' && recipient.dsn?.notify === undefined);
}

function tell(log: Log, relay: string, mail: QueuedMail, attempt: Attempt): void {
  for (const { recipient, reason, reply, result } of attempt.outcomes) {
    const facts = {
      mail: mail.id,
      relay,
      to: maskAddress(recipient.address),
      result,
      reply: maskReply(reply),
      rule: reason?.rule,
    };
    if (result === 'sent' || result === 'untouched') log.debug(facts, 'mail tried');
    else log.warn(facts, 'mail tried');
  }
}

/** The relay ended an idle session while we began the next mail: nothing went wrong with either. */
function isStale(error: unknown): boolean {
  return (
    error instanceof ConversationError &&
    error.phase === 'mail' &&
    (error.reply === undefined || error.reply.code === 421)
  );
}
