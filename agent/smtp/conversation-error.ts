// Why a conversation ended without what was asked. The phase says what can have happened to the mail.
import type { Reply } from './reply.ts';

export type Phase =
  | 'connect'
  | 'tls'
  | 'greeting'
  | 'hello'
  | 'auth'
  | 'mail'
  | 'recipients'
  | 'data'
  | 'body'
  | 'after-dot';

/** The answer to one recipient, and the phase in which it was given. */
export type RecipientReply = { readonly address: string; readonly reply: Reply; readonly phase: Phase };

/**
 * The connection is closed when this is thrown. Before `after-dot` nothing of the mail was accepted. The outcome is
 * unknown exactly when the phase is `after-dot` and there is no reply, and then for every recipient not in `answered`.
 */
export class ConversationError extends Error {
  override readonly name = 'ConversationError';
  readonly phase: Phase;
  readonly reply: Reply | undefined;
  /** LMTP answers per recipient: those whose outcome was known when the connection ended. */
  readonly answered: readonly RecipientReply[];

  constructor(
    message: string,
    details: {
      readonly phase: Phase;
      readonly reply?: Reply | undefined;
      readonly answered?: readonly RecipientReply[];
      readonly cause?: unknown;
    },
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.phase = details.phase;
    this.reply = details.reply;
    this.answered = details.answered ?? [];
  }
}
