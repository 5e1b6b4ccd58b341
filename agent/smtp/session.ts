// What the steps of a conversation share, and how a broken one is told.
import type { Clock } from '#shared/clock.ts';
import { isLoopback } from '#shared/net.ts';
import type { Log } from '#shared/log.ts';
import type { Endpoint } from '../net/socket.ts';
import { ConnectError } from '../net/socket.ts';
import { ChannelError } from './channel.ts';
import type { Channel } from './channel.ts';
import { ConversationError } from './conversation-error.ts';
import type { Phase, RecipientReply } from './conversation-error.ts';
import { showReply } from './reply.ts';
import type { Reply } from './reply.ts';

export type Login = {
  readonly user: string;
  /** auto, when absent: XOAUTH2 with a token, else PLAIN or LOGIN, what the server offers. */
  readonly auth?: 'auto' | 'plain' | 'login' | 'xoauth2';
} & (
  | { readonly password: string }
  /** An OAuth2 access token. */
  | { readonly token: string }
);

/** Milliseconds. Each is a limit on progress, never on a whole mail. */
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
  /** On abort after the final dot its reply is still waited for so long: without it the mail may come twice. */
  readonly graceMs: number;
};

/** RFC 5321 section 4.5.3.2: a client that waits less for the final reply makes doubles. */
export const standardTimeouts: Timeouts = {
  connectMs: 30_000,
  greetingMs: 300_000,
  commandMs: 300_000,
  writeMs: 180_000,
  finalMs: 600_000,
  quitMs: 2_000,
  graceMs: 2_000,
};

export type ConversationOptions = {
  readonly endpoint: Endpoint;
  readonly protocol: 'smtp' | 'lmtp';
  /** Our name in EHLO or LHLO. */
  readonly name: string;
  readonly login?: Login;
  /** Ends the opening; each send has its own. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
  readonly timeouts?: Partial<Timeouts>;
};

/** What the opening took. */
export type Opening = { readonly connectMs: number; readonly tlsMs: number; readonly loginMs: number };

export type Session = {
  readonly channel: Channel;
  readonly capabilities: ReadonlyMap<string, string>;
  readonly protocol: 'smtp' | 'lmtp';
  readonly timeouts: Timeouts;
  readonly opening: Opening;
  /** Monotonic milliseconds. */
  readonly now: () => number;
};

/** Where a conversation stands; kept outside of the steps so that it is known when one of them breaks. */
export type Progress = { phase: Phase; readonly answered: () => readonly RecipientReply[] };

/** The server answered what the protocol does not allow there, or what ends the conversation (421). */
export class AnswerError extends Error {
  override readonly name = 'AnswerError';
  readonly reply: Reply | undefined;
  constructor(message: string, reply?: Reply) {
    super(message);
    this.reply = reply;
  }
}

export async function askFor(channel: Channel, command: string, timeoutMs: number): Promise<Reply> {
  await channel.write(command + '\r\n', 1, timeoutMs);
  return channel.reply(timeoutMs);
}

export function isRefusal(reply: Reply): boolean {
  return reply.code >= 400 && reply.code < 600;
}

export function isDone(reply: Reply): boolean {
  return reply.code >= 200 && reply.code < 300;
}

/** Trouble of the conversation as ConversationError; what is not the conversation's (the body, `beforeDot`) stays as it is. */
export function conversationError(error: unknown, endpoint: Endpoint, progress: Progress): unknown {
  const { phase } = progress;
  if (error instanceof ConversationError) return error;
  if (error instanceof ConnectError) {
    return new ConversationError(error.message, { phase: error.stage === 'tcp' ? 'connect' : 'tls', cause: error });
  }
  if (!(error instanceof ChannelError) && !(error instanceof AnswerError)) return error;
  const message = tell(phase, endpoint, error.message);
  return new ConversationError(message, { phase, reply: error.reply, answered: progress.answered(), cause: error });
}

function tell(phase: Phase, endpoint: Endpoint, state: string): string {
  const place = endpoint.host + ':' + endpoint.port;
  switch (phase) {
    case 'connect':
      return 'Cannot connect to ' + place + ': ' + state + ', expected a mail server that answers there';
    case 'tls':
      return 'Cannot start TLS with ' + place + ': ' + state + ', expected STARTTLS to be accepted; check port and tls';
    case 'greeting':
      return (
        'Cannot talk to ' +
        place +
        ': ' +
        state +
        ', expected the greeting of a mail server (220); ' +
        portHint(endpoint)
      );
    case 'hello':
      return 'Cannot talk to ' + place + ': ' + state + ', expected a welcome (250); check protocol, port and tls';
    case 'auth':
      return (
        'Cannot log in at ' + place + ': ' + state + ', expected the login to be accepted; check user and password'
      );
    case 'mail':
    case 'recipients':
    case 'data':
    case 'body':
      return (
        'Cannot send a mail to ' + place + ': ' + state + ' (' + phase + '), expected an answer; nothing was accepted'
      );
    case 'after-dot':
      return 'Cannot tell whether ' + place + ' took the mail: ' + state + ', expected an answer after the final dot';
  }
}

function portHint(endpoint: Endpoint): string {
  return endpoint.tls === 'implicit'
    ? 'check host and port'
    : 'check host and port (465 speaks TLS from the first byte: tls: implicit)' + blockHint(endpoint);
}

/** A NAS that has blocked itself after wrong passwords takes the connection and says nothing. */
function blockHint(endpoint: Endpoint): string {
  if (!isLoopback(endpoint.host)) return '';
  return '; DSM may have blocked this machine after wrong passwords (Control Panel > Security > Protection)';
}

/** `the server answered 550 5.7.1 not you` */
export function answered(reply: Reply): string {
  return 'the server answered ' + showReply(reply);
}
