// The one place that says what a reply means for a mail.
import type { ConversationError } from './conversation-error.ts';
import type { Phase } from './conversation-error.ts';
import type { Reply } from './reply.ts';

export type Verdict = 'delivered' | 'later' | 'refused';
/** Whom a failure concerns: this recipient, this message, or every mail to this server. */
export type Scope = 'recipient' | 'message' | 'relay';

/** What the answer means for the recipient. Whatever is not clearly an acceptance or a refusal is `later`: rather twice than lost. */
export function verdictOf(reply: Reply, phase: Phase): Verdict {
  switch (phase) {
    case 'after-dot':
      if (reply.code >= 200 && reply.code < 300) return 'delivered';
      return refuses(reply) ? 'refused' : 'later';
    case 'mail':
    case 'recipients':
    case 'data':
      return refuses(reply) ? 'refused' : 'later';
    case 'connect':
    case 'tls':
    case 'greeting':
    case 'hello':
    case 'auth':
    case 'body':
      return 'later';
  }
}

function refuses(reply: Reply): boolean {
  if (reply.code < 500 || reply.code > 599) return false;
  // A full mailbox (RFC 3463 X.2.2) or a full system (X.3.1) may have room tomorrow.
  if (reply.enhanced === '5.2.2' || reply.enhanced === '5.3.1') return false;
  // 552 without a reason is "quota" at most servers; only "too big" (X.3.4, X.2.3) stays so.
  if (reply.code === 552) return reply.enhanced === '5.3.4' || reply.enhanced === '5.2.3';
  // The server does not know the command or wants another order: our conversation is at fault, not the mail.
  return reply.code !== 503 && reply.code !== 530 && reply.code !== 535 && reply.code !== 538;
}

/** Whom the failure concerns. */
export function scopeOf(
  failure: ConversationError | { readonly reply: Reply | undefined; readonly phase: Phase },
): Scope {
  const { phase, reply } = failure;
  const code = reply?.code;
  if (code === 421 || code === 530 || code === 535 || code === 538 || reply?.enhanced === '4.3.2') return 'relay';
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
