// One SMTP or LMTP conversation as a client. Promises: every wait has a deadline and ends on abort; after a time-out or an
// answer out of step the connection is closed and never used again; whoever catches the error knows whether the server can
// have taken the mail (see ConversationError).
import type { Channel } from './channel.ts';
import { ChannelError } from './channel.ts';
import { ConversationError } from './conversation-error.ts';
import type { Phase, RecipientReply } from './conversation-error.ts';
import { answerAll, openSlots, planEnvelope, sendEnvelope } from './envelope.ts';
import type { Plan, Slot } from './envelope.ts';
import { greet } from './hello.ts';
import type { Body, Mail, SendResult } from './mail.ts';
import { showReply } from './reply.ts';
import type { Reply } from './reply.ts';
import { answered, AnswerError, askFor, conversationError, isDone, isRefusal } from './session.ts';
import type { ConversationOptions, Opening, Progress, Session, Timeouts } from './session.ts';
import { transfer } from './transfer.ts';

export { ConversationError, showReply };
export type { Body, ConversationOptions, Mail, Opening, Phase, RecipientReply, Reply, SendResult, Timeouts };

export type Conversation = {
  /** EHLO keywords in upper case, with their arguments. */
  readonly capabilities: ReadonlyMap<string, string>;
  readonly opening: Opening;
  /** One mail. Refusals are values; throws ConversationError when the conversation broke, and what `body` or `beforeDot` throws. */
  readonly send: (mail: Mail) => Promise<SendResult>;
  /** Says QUIT and closes; bounded, never throws. */
  readonly quit: () => Promise<void>;
  readonly close: () => void;
  /** True while idle and alive: another mail can be sent. */
  readonly usable: () => boolean;
};

/** Greeting, EHLO, STARTTLS when asked, login when given. Throws ConversationError. */
export async function openConversation(options: ConversationOptions): Promise<Conversation> {
  const progress: Progress = { phase: 'connect', answered: () => [] };
  let channel: Channel | undefined;
  const stop = (): void => channel?.fail(stopped());
  options.signal.addEventListener('abort', stop, { once: true });
  try {
    const session = await greet(options, progress, (next) => (channel = next));
    return createConversation(session, options);
  } catch (error) {
    channel?.fail(new ChannelError('the opening failed', 'closed'));
    throw conversationError(error, options.endpoint, progress);
  } finally {
    options.signal.removeEventListener('abort', stop);
  }
}

function createConversation(session: Session, options: ConversationOptions): Conversation {
  const { channel, capabilities, opening, timeouts } = session;
  let busy = false;
  const usable = (): boolean => !busy && channel.failure() === undefined && !channel.answered();
  const close = (): void => channel.fail(new ChannelError('closed by us', 'closed'));

  async function send(mail: Mail): Promise<SendResult> {
    const plan = planEnvelope(mail, capabilities);
    const progress: Progress = { phase: 'mail', answered: () => answersOf(plan.slots) };
    let grace: NodeJS.Timeout | undefined;
    const fail = (): void => channel.fail(stopped());
    const stop = (): void => {
      if (progress.phase === 'after-dot') grace = setTimeout(fail, timeouts.graceMs);
      else fail();
    };
    if (busy) throw new Error('Cannot send a mail: another one is on its way, expected an idle conversation');
    busy = true;
    try {
      mail.signal.addEventListener('abort', stop, { once: true });
      if (mail.signal.aborted) stop();
      return await transact(session, mail, plan, progress);
    } catch (error) {
      close();
      throw conversationError(error, options.endpoint, progress);
    } finally {
      mail.signal.removeEventListener('abort', stop);
      clearTimeout(grace);
      busy = false;
    }
  }

  async function quit(): Promise<void> {
    try {
      if (usable()) await askFor(channel, 'QUIT', timeouts.quitMs);
    } catch {
      // What the server says to a goodbye changes nothing: each mail was decided by its own reply.
    }
    close();
  }

  return { capabilities, opening, send, quit, close, usable };
}

async function transact(session: Session, mail: Mail, plan: Plan, progress: Progress): Promise<SendResult> {
  const { channel } = session;
  if (channel.failure() !== undefined) throw channel.failure();
  // A mail whose bare line ends must stay goes by count (RFC 3030) where that is offered: what DATA does to a bare LF
  // before a dot depends on the server (see data.ts).
  const bodyCommand = mail.keepBareLineEnds && session.capabilities.has('CHUNKING') ? 'BDAT' : 'DATA';
  const startedAt = session.now();
  let goneAt = startedAt;
  let dataMs = 0;
  let bareLineEnds = 0;
  if (openSlots(plan.slots).length > 0) {
    await sendEnvelope(session, plan, bodyCommand, progress);
    goneAt = session.now();
    const takers = openSlots(plan.slots);
    if (takers.length > 0) {
      const finalAnswers = session.protocol === 'lmtp' ? takers.length : 1;
      const sent = await transfer(session, mail, { bodyCommand, finalAnswers }, progress);
      bareLineEnds = sent.bareLineEnds;
      if (sent.refusal === undefined) await readFinal(session, takers);
      else refuseEarly(channel, takers, sent.refusal, bodyCommand);
    }
    dataMs = takers.length > 0 ? session.now() - goneAt : 0;
    await reset(session, plan.slots);
  }
  return { recipients: answersOf(plan.slots), bareLineEnds, envelopeMs: goneAt - startedAt, dataMs };
}

/** SMTP answers once for all; LMTP once for each accepted recipient, in their order (RFC 2033 section 4.2). */
async function readFinal(session: Session, takers: readonly Slot[]): Promise<void> {
  const { channel, timeouts } = session;
  const next = async (): Promise<Reply> => {
    const reply = await channel.reply(timeouts.finalMs);
    if (isDone(reply) || isRefusal(reply)) return reply;
    throw new AnswerError(answered(reply)); // neither yes nor no: the outcome is unknown
  };
  if (session.protocol === 'smtp') return answerAll(takers, await next(), 'after-dot');
  for (const slot of takers) answerAll([slot], await next(), 'after-dot');
}

/** Refused before its end. After DATA the server still takes our bytes for mail, so the connection is of no more use. */
function refuseEarly(channel: Channel, takers: readonly Slot[], reply: Reply, bodyCommand: 'DATA' | 'BDAT'): void {
  if (!isRefusal(reply)) throw new AnswerError(answered(reply) + ' before the end of the mail');
  answerAll(takers, reply, 'body');
  if (bodyCommand === 'DATA')
    channel.fail(new ChannelError('refused before the end: ' + showReply(reply), 'closed', { reply }));
}

/** After a refusal the next mail must not inherit the sender or a recipient of this one. */
async function reset(session: Session, slots: readonly Slot[]): Promise<void> {
  const { channel, timeouts } = session;
  const replies = answersOf(slots).map((answer) => answer.reply);
  if (replies.some((reply) => reply.code === 421)) channel.fail(new ChannelError('the server closes', 'closed'));
  if (channel.failure() !== undefined || replies.some(isDone)) return;
  try {
    const reply = await askFor(channel, 'RSET', timeouts.commandMs);
    if (!isDone(reply)) channel.fail(new ChannelError(answered(reply) + ' to RSET', 'protocol'));
  } catch {
    // The refusals are known and stand; the channel is closed and will not be used again.
  }
}

function answersOf(slots: readonly Slot[]): readonly RecipientReply[] {
  return slots.flatMap((slot) => slot.answer ?? []);
}

function stopped(): ChannelError {
  return new ChannelError('stopped', 'stopped');
}
