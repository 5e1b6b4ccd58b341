// A mail to be sent, and what became of it.
import type { RecipientReply } from './conversation-error.ts';

export type Body = {
  /** May be called again for a second try; gives the same bytes each time. A stream of bytes will do. */
  readonly open: () => Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
  /** Exact: a body that gives more or less is not sent. */
  readonly sizeBytes: number;
};

/** What the client wants to be told about the whole mail (RFC 3461), decoded. */
export type MailDsn = { readonly ret?: 'FULL' | 'HDRS'; readonly envid?: string };
/** The same about one recipient; `orcpt` is `TYPE;ADDRESS`, decoded. */
export type RecipientDsn = { readonly notify?: readonly string[]; readonly orcpt?: string };

export type Mail = {
  /** Envelope sender; empty for the null sender. */
  readonly from: string;
  readonly recipients: readonly string[];
  /** Header lines put on top, each ended by CRLF; may be empty. */
  readonly head: Uint8Array;
  readonly body: Body;
  /** true: every byte arrives unchanged; false: a bare CR or LF becomes CRLF and is counted. */
  readonly keepBareLineEnds: boolean;
  /** Bytes above 127 are in it; undefined: nobody has looked. Refused (5.6.3) when there are and the server takes none. */
  readonly eightBit?: boolean;
  /** Passed on to a server that offers DSN. */
  readonly dsn?: MailDsn;
  /** In the order of `recipients`. */
  readonly recipientDsn?: readonly RecipientDsn[];
  /** Awaited before the bytes that can make the server accept the mail. */
  readonly beforeDot?: () => void | Promise<void>;
  readonly signal: AbortSignal;
};

export type SendResult = {
  /** One for each recipient, in the order given. */
  readonly recipients: readonly RecipientReply[];
  /** Bare CR or LF that became CRLF. */
  readonly bareLineEnds: number;
  /** From MAIL to the answer to DATA. */
  readonly envelopeMs: number;
  /** From there to the final answer. */
  readonly dataMs: number;
};
