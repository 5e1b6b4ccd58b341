// A mail to be sent, and what became of it.
import type { RecipientReply } from './conversation-error.ts';

export type Body = {
  /** May be called again for a second try; gives the same bytes each time. A stream of bytes will do. */
  readonly open: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** Exact: a body that gives more or less is not sent. */
  readonly sizeBytes: number;
};

export type Mail = {
  /** Envelope sender; empty for the null sender. */
  readonly from: string;
  readonly recipients: readonly string[];
  /** Header lines put on top, each ended by CRLF; may be empty. */
  readonly head: Uint8Array;
  readonly body: Body;
  /** true: every byte arrives unchanged; false: a bare CR or LF becomes CRLF and is counted. */
  readonly keepBareLineEnds: boolean;
  /** Awaited before the bytes that can make the server accept the mail. */
  readonly beforeDot?: () => void | Promise<void>;
  readonly signal: AbortSignal;
};

export type SendResult = {
  /** One for each recipient, in the order given. */
  readonly recipients: readonly RecipientReply[];
  /** Bare CR or LF that became CRLF. */
  readonly bareLineEnds: number;
};
