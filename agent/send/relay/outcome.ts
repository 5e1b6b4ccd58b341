// The table of outcomes: what a try makes of a recipient, and what its sender is told. Pure.
import type { Judgement } from '../../smtp/verdict.ts';
import type { Notify, RecipientDsn } from '../queue/envelope.ts';
import { statusOf } from '../notice/report.ts';
import type { Report } from '../notice/report.ts';

export type RecipientState = 'queued' | 'sending' | 'sent' | 'failed' | 'held' | 'unknown';

export type Recipient = {
  readonly number: number;
  readonly address: string;
  readonly state: RecipientState;
  readonly attempts: number;
  /** Tries that ended without a known outcome. */
  readonly unknowns: number;
  readonly lastReply: string;
  /** Whose mail it is; once it may have arrived, where it may have. */
  readonly relay: string;
  /** What the client asked to be told about it (RFC 3461). */
  readonly dsn?: RecipientDsn;
  /** Wall clock of the last try that counted; 0 when there was none. */
  readonly triedAt?: number;
  /** What its last reply means. */
  readonly reason?: Reason | undefined;
};
/** Whom a reply concerns and what it means, as judged when it came. */
export type Reason = Pick<Judgement, 'scope' | 'meaning' | 'remedy' | 'rule'>;
/** What a try told about one recipient. `untouched`: the relay's trouble, not the mail's; the try does not count. */
export type Outcome = {
  readonly recipient: Recipient;
  readonly result: 'sent' | 'later' | 'refused' | 'hold' | 'unknown' | 'untouched';
  /** The server's words, or why there are none. */
  readonly reply: string;
  /** RFC 3463, when the server gave one. */
  readonly enhanced?: string | undefined;
  readonly reason?: Reason | undefined;
  /** The server, when it is not the first relay. */
  readonly host?: string | undefined;
  /** Not before so long, whatever the pace. */
  readonly waitMs?: number | undefined;
  /** The relay was given the client's wishes (RFC 3461) and tells the sender itself when the mail has arrived. */
  readonly passedDsn?: boolean;
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
export const maxReply = 4_000;

/** The table of what a try makes of a recipient. */
export function nextState(
  rules: OutcomeRules,
  sender: string,
  outcome: Pick<Outcome, 'result' | 'recipient' | 'waitMs'>,
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
      // Nobody is ever told about a mail without a sender (RFC 5321 section 6.1); it is over.
      return { state: sender === '' || rules.tells(sender) ? 'failed' : 'held', dueMs: 0, attempts, unknowns };
    case 'later':
      return { state: waiting, dueMs: now + laterMs(rules, outcome.waitMs, attempts), attempts, unknowns };
    case 'hold':
      return { state: 'held', dueMs: 0, attempts, unknowns };
    case 'unknown':
      // One late retry, then a person decides: each further try could be one more copy.
      return unknowns === 0
        ? { state: 'unknown', dueMs: now + rules.unknownRetryMs, attempts, unknowns: 1 }
        : { state: 'held', dueMs: 0, attempts, unknowns: unknowns + 1 };
    case 'untouched':
      return { state: waiting, dueMs: now, attempts: recipient.attempts, unknowns };
  }
}

/** A provider's own wait counts for the first try that ends so; later ones take the longer of both. */
function laterMs(rules: OutcomeRules, waitMs: number | undefined, attempts: number): number {
  const paceMs = rules.retryWaitMs(attempts);
  if (waitMs === undefined) return paceMs;
  return attempts <= 1 ? waitMs : Math.max(waitMs, paceMs);
}

export function problemOf(rules: OutcomeRules, sender: string, outcome: Outcome): string {
  if (outcome.result === 'refused' && sender !== '' && !rules.tells(sender))
    return 'Refused, and its sender is not local and cannot be told: ' + outcome.reply;
  if (outcome.result === 'unknown' && outcome.recipient.unknowns > 0)
    return 'Two tries ended without a known outcome; it may have arrived: ' + outcome.reply;
  const { reason, reply, result } = outcome;
  if (result === 'hold' && reason !== undefined)
    return 'Held: ' + reason.meaning + (reason.remedy && '; ' + reason.remedy) + ': ' + reply;
  return reply;
}

/** Does the client want to be told so about this recipient? Without a word about it: of failure and of delay (RFC 3461 section 4.1). */
export function wants(recipient: Recipient, what: Exclude<Notify, 'NEVER'>): boolean {
  const { notify } = recipient.dsn ?? {};
  return notify === undefined ? what !== 'SUCCESS' : notify.includes(what);
}

/** What every report says about its recipient. */
function basisOf(
  recipient: Recipient,
): Pick<Report, 'address' | 'mayHaveArrived' | 'original' | 'attemptedAt' | 'relay'> {
  const { address, dsn, relay, triedAt = 0, unknowns } = recipient;
  return {
    address,
    relay,
    mayHaveArrived: unknowns > 0,
    ...(dsn?.orcpt === undefined ? {} : { original: dsn.orcpt }),
    ...(triedAt === 0 ? {} : { attemptedAt: triedAt }),
  };
}

const meaningOf = (reason: Reason | undefined): Pick<Report, 'meaning' | 'remedy'> =>
  reason === undefined ? {} : { meaning: reason.meaning, remedy: reason.remedy };

export function reportOf(outcome: Outcome, action: Report['action'], triedAt = 0): Report {
  const { enhanced, host, reason, recipient, reply } = outcome;
  return {
    ...basisOf({ ...recipient, triedAt }),
    ...meaningOf(reason),
    action,
    status: statusOf(enhanced, reply, action === 'relayed' ? '2.0.0' : '5.0.0'),
    reply: reply.slice(0, maxReply),
    ...(host === undefined ? {} : { host }),
  };
}

/** Of a second try without a known outcome: a person decides. */
export function heldReport(outcome: Outcome, triedAt: number): Report {
  const reply = outcome.reply.slice(0, maxReply);
  // RFC 3463 section 3.5: X.4.2, the connection did not last.
  const facts = { action: 'delayed', status: '4.4.2', reply, mayHaveArrived: true, held: true } as const;
  return { ...basisOf({ ...outcome.recipient, triedAt }), ...facts };
}

export function lostReport(recipient: Recipient, reply: string): Report {
  return { ...basisOf(recipient), action: 'failed', status: '5.3.0', reply };
}

export function expiredReport(recipient: Recipient, why: string): Report {
  const { lastReply, reason } = recipient;
  const reply = lastReply === '' ? why : lastReply;
  // RFC 3463 section 3.5: the code of the last try tells more than "delivery time expired".
  const status = statusOf(undefined, lastReply, '4.4.7');
  return { ...basisOf(recipient), ...meaningOf(reason), action: 'failed', status, reply };
}
