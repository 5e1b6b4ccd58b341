// What one try of one mail means for its recipients and for the relay. Knows no queue and no clock.
import { ConversationError, showReply } from '../smtp/conversation.ts';
import type { RecipientReply, SendResult } from '../smtp/conversation.ts';
import { scopeOf, verdictOf } from '../smtp/verdict.ts';
import { codeOf, describe } from '#shared/failure.ts';
import type { Outcome, Recipient } from './outcome.ts';
import type { QueuedMail } from './queue.ts';

export type Trouble = { readonly text: string; readonly kind: 'line' | 'login' };
export type Attempt = {
  readonly outcomes: readonly Outcome[];
  /** What the relay as a whole suffers from; undefined when it works. */
  readonly trouble: Trouble | undefined;
  /** The relay said what it makes of the mail. */
  readonly answered: boolean;
  /** The mail itself cannot be sent by anyone: its file is gone. */
  readonly lost?: true;
};

/** The relay answered for every recipient. */
export function attemptOfResult(mail: QueuedMail, result: SendResult): Attempt {
  const outcomes = mail.recipients.map((recipient, index) => outcomeOf(recipient, result.recipients[index]));
  const stopped = result.recipients.find((answer) => scopeOf(answer) === 'relay');
  return { outcomes, trouble: stopped === undefined ? undefined : troubleOf(stopped), answered: stopped === undefined };
}

/** The conversation broke, or our own side did. `stopping`: we broke it ourselves. */
export function attemptOfError(mail: QueuedMail, error: unknown, stopping: boolean): Attempt {
  const text = describe(error);
  const all = (result: Outcome['result'], trouble?: Trouble): Attempt => ({
    outcomes: mail.recipients.map((recipient) => ({ recipient, result, reply: text })),
    trouble: stopping ? undefined : trouble,
    answered: false,
  });
  if (!(error instanceof ConversationError)) {
    if (codeOf(error) === 'ENOENT') return { ...all('untouched'), lost: true };
    return all(stopping ? 'untouched' : 'later');
  }
  const { phase, reply } = error;
  // Each of these makes the relay pause: should it break the line after every dot, few mails become unknown, not all.
  if (phase === 'after-dot' && reply === undefined) return all('unknown', { text, kind: 'line' });
  if (stopping) return all('untouched');
  const kind = phase === 'auth' || isLogin(reply?.code) ? 'login' : 'line';
  if (scopeOf(error) === 'relay') return all('untouched', { text, kind });
  // Broken in the middle of the body: the mail may be the cause, so it goes to the back; the line may be, so all pause.
  if (reply === undefined) return all('later', { text, kind });
  const outcomes = mail.recipients.map((recipient) => outcomeOf(recipient, { address: '', reply, phase }));
  return { outcomes, trouble: undefined, answered: true };
}

function outcomeOf(recipient: Recipient, answer: RecipientReply | undefined): Outcome {
  if (answer === undefined) return { recipient, result: 'later', reply: 'The relay gave no answer for this recipient' };
  const reply = showReply(answer.reply);
  if (scopeOf(answer) === 'relay') return { recipient, result: 'untouched', reply };
  const verdict = verdictOf(answer.reply, answer.phase);
  const result = verdict === 'delivered' ? 'sent' : verdict;
  return { recipient, result, reply, enhanced: answer.reply.enhanced };
}

function troubleOf(answer: RecipientReply): Trouble {
  return {
    text: 'The relay takes no mail now: ' + showReply(answer.reply),
    kind: isLogin(answer.reply.code) ? 'login' : 'line',
  };
}

const isLogin = (code: number | undefined): boolean => code === 530 || code === 535 || code === 538;
