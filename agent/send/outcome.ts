// The table of outcomes: what a try makes of a recipient, and what its sender is told. Pure.
import type { RecipientDsn } from './envelope.ts';
import type { Report } from './notice.ts';
import { statusOf } from './notice.ts';

export type RecipientState = 'queued' | 'sending' | 'sent' | 'failed' | 'held' | 'unknown';

export type Recipient = {
  readonly number: number;
  readonly address: string;
  readonly state: RecipientState;
  readonly attempts: number;
  /** Tries that ended without a known outcome. */
  readonly unknowns: number;
  readonly lastReply: string;
  /** What the client asked to be told about it (RFC 3461). */
  readonly dsn?: RecipientDsn;
};
/** What a try told about one recipient. `untouched`: the relay's trouble, not the mail's; the try does not count. */
export type Outcome = {
  readonly recipient: Recipient;
  readonly result: 'sent' | 'later' | 'refused' | 'unknown' | 'untouched';
  /** The server's words, or why there are none. */
  readonly reply: string;
  /** RFC 3463, when the server gave one. */
  readonly enhanced?: string | undefined;
};

export type OutcomeRules = {
  readonly queueClock: { readonly now: () => number };
  /** Wait before the next try, after so many that failed. */
  readonly retryWaitMs: (attempts: number) => number;
  readonly unknownRetryMs: number;
  /** May a notice go to this sender? Never to the null sender. */
  readonly tells: (sender: string) => boolean;
};

/** Characters of a reply that are kept. */
export const maxReply = 1_000;

/** The table of what a try makes of a recipient. */
export function nextState(
  rules: OutcomeRules,
  sender: string,
  outcome: Pick<Outcome, 'result' | 'recipient'>,
): { readonly state: RecipientState; readonly dueMs: number; readonly attempts: number; readonly unknowns: number } {
  const { recipient, result } = outcome;
  const { unknowns } = recipient;
  const now = rules.queueClock.now();
  const attempts = recipient.attempts + 1;
  // Once a try ended unknown the mail may have arrived; only a clear answer ends that.
  const waiting = unknowns > 0 ? 'unknown' : 'queued';
  switch (result) {
    case 'sent':
      return { state: 'sent', dueMs: 0, attempts, unknowns };
    case 'refused':
      return { state: rules.tells(sender) ? 'failed' : 'held', dueMs: 0, attempts, unknowns };
    case 'later':
      return { state: waiting, dueMs: now + rules.retryWaitMs(attempts), attempts, unknowns };
    case 'unknown':
      // One late retry, then a person decides: each further try could be one more copy.
      return unknowns === 0
        ? { state: 'unknown', dueMs: now + rules.unknownRetryMs, attempts, unknowns: 1 }
        : { state: 'held', dueMs: 0, attempts, unknowns: unknowns + 1 };
    case 'untouched':
      return { state: waiting, dueMs: now, attempts: recipient.attempts, unknowns };
  }
}

export function problemOf(rules: OutcomeRules, sender: string, outcome: Outcome): string {
  if (outcome.result === 'refused' && !rules.tells(sender))
    return 'Refused, and its sender is not local and cannot be told: ' + outcome.reply;
  if (outcome.result === 'unknown' && outcome.recipient.unknowns > 0)
    return 'Two tries ended without a known outcome; it may have arrived: ' + outcome.reply;
  return outcome.reply;
}

export function reportOf(outcome: Outcome, action: Report['action']): Report {
  const { address, unknowns } = outcome.recipient;
  const status = statusOf(outcome.enhanced, outcome.reply, '5.0.0');
  return { address, action, status, reply: outcome.reply.slice(0, maxReply), mayHaveArrived: unknowns > 0 };
}

/** Of a second try without a known outcome: a person decides. */
export function heldReport(outcome: Outcome): Report {
  const { address } = outcome.recipient;
  // RFC 3463 section 3.5: X.4.2, the connection did not last.
  const reply = outcome.reply.slice(0, maxReply);
  return { address, action: 'delayed', status: '4.4.2', reply, mayHaveArrived: true, held: true };
}

export function lostReport({ address, unknowns }: Recipient, reply: string): Report {
  return { address, action: 'failed', status: '5.3.0', reply, mayHaveArrived: unknowns > 0 };
}

export function expiredReport(recipient: Recipient, reason: string): Report {
  const { address, lastReply, unknowns } = recipient;
  const reply = lastReply === '' ? reason : lastReply;
  // RFC 3463 section 3.5: the code of the last try tells more than "delivery time expired".
  return {
    address,
    action: 'failed',
    status: statusOf(undefined, lastReply, '4.4.7'),
    reply,
    mayHaveArrived: unknowns > 0,
  };
}
