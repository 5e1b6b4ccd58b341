// One SMTP or LMTP conversation as a client.
import type { Readable } from 'node:stream';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Endpoint } from '../net/socket.ts';
import { ConversationError } from './conversation-error.ts';
import type { Phase, RecipientReply } from './conversation-error.ts';
import type { Reply } from './reply.ts';

export { ConversationError };
export type { Phase, RecipientReply, Reply };

/** Milliseconds. Each is a limit on progress, never on a whole mail; defaults follow RFC 5321 section 4.5.3.2. */
export type Timeouts = {
  /** TCP, and the TLS handshake. */
  readonly connectMs: number;
  readonly greetingMs: number;
  /** Each reply up to 354. */
  readonly commandMs: number;
  /** Each 64 KiB of the mail. */
  readonly writeMs: number;
  /** The reply after the final dot (for LMTP: each reply). */
  readonly finalMs: number;
  readonly quitMs: number;
};

export type ConversationOptions = {
  readonly endpoint: Endpoint;
  readonly protocol: 'smtp' | 'lmtp';
  /** Our name in EHLO or LHLO. */
  readonly name: string;
  readonly login?: { readonly user: string; readonly password: string };
  /** Ends the opening; each send has its own. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeouts?: Partial<Timeouts>;
};

export type Body = {
  /** May be called again for a second try; gives the same bytes each time. */
  readonly open: () => Readable | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
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

export type Conversation = {
  /** EHLO keywords in upper case, with their arguments. */
  readonly capabilities: ReadonlyMap<string, string>;
  /** One mail. Refusals are values; throws ConversationError when the conversation broke, and what `body` or `beforeDot` throws. */
  readonly send: (mail: Mail) => Promise<SendResult>;
  /** Says QUIT and closes; bounded, never throws. */
  readonly quit: () => Promise<void>;
  readonly close: () => void;
  /** True while idle and alive: another mail can be sent. */
  readonly usable: () => boolean;
};

/** Greeting, EHLO, STARTTLS when asked, login when given. Throws ConversationError. */
export function openConversation(options: ConversationOptions): Promise<Conversation> {
  return Promise.reject(
    new ConversationError('Cannot connect to ' + options.endpoint.host + ': being built', { phase: 'connect' }),
  );
}
