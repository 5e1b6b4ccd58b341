// The one place that says what a reply means for a mail. `verdictOf` and `scopeOf` read a reply by its code alone: what any
// server means, the local one too. `judge` is for relays: it knows what providers mean when they answer with the wrong class
// (reply-rules.ts), whom that concerns, how long to wait, and says so in plain words.
import type { ConversationError } from './conversation-error.ts';
import type { Phase } from './conversation-error.ts';
import type { Reply } from './reply.ts';
import { findRule, waitOf } from './reply-rules.ts';

export type Verdict = 'delivered' | 'later' | 'refused';
/** Whom a failure concerns: this recipient, this message, every mail of this login, or every mail to this server. */
export type Scope = 'recipient' | 'message' | 'account' | 'relay';

/**
 * `account` and `relay` concern no single mail: it is untouched, its try does not count, and nothing else is tried there
 * before the wait is over. Let it go behind the others all the same: if the rule is wrong about it, it must not stop them.
 */
export type Judgement = {
  /** `hold`: a person must act first; for an account or relay it waits and is probed rarely, a message is held. */
  readonly verdict: Verdict | 'hold';
  readonly scope: Scope;
  /** Before the next try of what the scope names; undefined: the ordinary back-off. */
  readonly waitSeconds: number | undefined;
  /** renew: this session is used up, another one will do; fewer: fewer of them at once. */
  readonly session: 'keep' | 'renew' | 'fewer';
  /** In plain words, for whoever sent the mail or looks after the relay: a sentence without a full stop. */
  readonly meaning: string;
  /** What can be done; empty when nothing need be. */
  readonly remedy: string;
  /** The rule that decided; empty when the code did. */
  readonly rule: string;
};
export type Answer = { readonly reply: Reply | undefined; readonly phase: Phase };

/** `preset`: the relay's provider (accounts/presets.ts), when configured; `now`: wall clock, for waits until the next hour. */
export function judge(
  answer: ConversationError | Answer,
  about: { readonly preset?: string | undefined; readonly now: number },
): Judgement {
  const { phase, reply } = answer;
  const scope = scopeOf(answer);
  const plain = { waitSeconds: undefined, session: 'keep', remedy: '', rule: '' } as const;
  if (reply === undefined)
    return { ...plain, verdict: 'later', scope, meaning: 'The connection to the relay broke or never came about' };
  const verdict = verdictOf(reply, phase);
  const rule = reply.code < 400 ? undefined : findRule(reply, phase, about.preset);
  if (rule === undefined) return { ...plain, verdict, scope, meaning: meaningOf(verdict, scope) };
  return {
    verdict: rule.verdict,
    // After the dot one answer is for all recipients.
    scope: rule.scope === 'recipient' && phase !== 'recipients' ? 'message' : rule.scope,
    waitSeconds: waitOf(rule, reply, about.now),
    session: rule.session ?? 'keep',
    meaning: rule.meaning,
    remedy: rule.remedy,
    rule: rule.id,
  };
}

function meaningOf(verdict: Verdict, scope: Scope): string {
  const whom = scope === 'recipient' ? 'this recipient' : 'this mail';
  switch (verdict) {
    case 'delivered':
      return 'The relay took the mail';
    case 'refused':
      return 'The relay refuses ' + whom + ' for good';
    case 'later':
      return scope === 'relay' || scope === 'account'
        ? 'The relay takes no mail from us now'
        : 'The relay does not take ' + whom + ' now';
  }
}

/**
 * What the code means for the recipient. What is not clearly an acceptance or a refusal is `later`: rather twice than lost.
 */
export function verdictOf(reply: Reply, phase: Phase): Verdict {
  switch (phase) {
    case 'after-dot':
      if (reply.code >= 200 && reply.code < 300) return 'delivered';
      return refuses(reply) ? 'refused' : 'later';
    case 'mail':
    case 'recipients':
    case 'data':
      // 500 and 502 this early: the server does not know our command, which says nothing about the mail.
      return refuses(reply) && reply.code !== 500 && reply.code !== 502 ? 'refused' : 'later';
    case 'body':
      return refuses(reply) ? 'refused' : 'later';
    case 'connect':
    case 'tls':
    case 'greeting':
    case 'hello':
    case 'auth':
      return 'later';
  }
}

function refuses(reply: Reply): boolean {
  if (reply.code < 500 || reply.code > 599) return false;
  // 552 is "over quota" at most servers; only "too big" (RFC 3463 X.3.4, X.2.3) stays so.
  if (reply.code === 552) return reply.enhanced === '5.3.4' || reply.enhanced === '5.2.3';
  // A full mailbox (X.2.2) or a full system (X.3.1) may have room tomorrow, whatever the code.
  if (reply.enhanced === '5.2.2' || reply.enhanced === '5.3.1') return false;
  return reply.code !== 503 && !concernsLogin(reply);
}

/** The server wants a login, or another one: the relay's setup is at fault, not the mail (RFC 4954 section 6). */
function concernsLogin(reply: Reply): boolean {
  return [530, 534, 535, 538].includes(reply.code) || reply.enhanced === '5.7.8' || reply.enhanced === '5.7.9';
}

/** Whom the failure concerns, by the code alone: never an account. */
export function scopeOf(failure: ConversationError | Answer): Exclude<Scope, 'account'> {
  const { phase, reply } = failure;
  // 421: the session is over; X.3.2: the system takes no mail now, or not so many at once.
  if (reply !== undefined && (reply.code === 421 || reply.enhanced === '4.3.2' || concernsLogin(reply))) return 'relay';
  switch (phase) {
    case 'connect':
    case 'tls':
    case 'greeting':
    case 'hello':
    case 'auth':
      return 'relay';
    case 'recipients':
      return reply === undefined ? 'relay' : 'recipient';
    case 'mail':
    case 'data':
      return reply === undefined ? 'relay' : 'message';
    case 'body':
    case 'after-dot':
      // A broken line may be the mail's doing (a scanner that chokes): it must not stop the others.
      return 'message';
  }
}
