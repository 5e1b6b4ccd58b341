// The one place that says what a reply means for a mail.
import type { ConversationError } from './conversation-error.ts';
import type { Phase } from './conversation-error.ts';
import type { Reply } from './reply.ts';

export type Verdict = 'delivered' | 'later' | 'refused';
/** Whom a failure concerns: this recipient, this message, or every mail to this server. */
export type Scope = 'recipient' | 'message' | 'relay';

/**
 * What the answer means for the recipient. What is not clearly an acceptance or a refusal is `later`: rather twice than
 * lost. What providers mean when they answer with the wrong class does not stand here yet.
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

/** Whom the failure concerns. */
export function scopeOf(
  failure: ConversationError | { readonly reply: Reply | undefined; readonly phase: Phase },
): Scope {
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
