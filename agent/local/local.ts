// Hands mail to the local mail server, over a few sessions that stay open between mails. Promises: no recipient outside
// local.domains is ever spoken to; every recipient gets a verdict; an outcome that is not known is `later` and said to be so.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { isLocalAddress } from './local-address.ts';
import type { LocalConfig } from '../config.ts';
import type { Endpoint } from '../net/socket.ts';
import { ConversationError, openConversation, showReply } from '../smtp/conversation.ts';
import type { Body, Conversation, SendResult, Timeouts } from '../smtp/conversation.ts';
import { scopeOf, verdictOf } from '../smtp/verdict.ts';
import type { Verdict } from '../smtp/verdict.ts';
import { createPool } from './pool.ts';
import type { Lease } from './pool.ts';

export type LocalRecipient = { readonly address: string; readonly verdict: Verdict; readonly text: string };
export type HandoverResult = {
  /** The session on which it went, to be told apart from others; undefined when there was none. */
  readonly session: object | undefined;
  /** One for each recipient, in the order given. */
  readonly recipients: readonly LocalRecipient[];
  /** Bare CR or LF that became CRLF. */
  readonly bareLineEnds: number;
  /** The agent has written it itself, a probe: it went to nobody, and need not be kept. */
  readonly ours?: true;
};
export type LocalMail = {
  /** Envelope sender; empty for the null sender. */
  readonly from: string;
  readonly recipients: readonly string[];
  /** Header lines put on top, each ended by CRLF; may be empty. */
  readonly head: Uint8Array;
  readonly body: Body;
  readonly signal: AbortSignal;
  /** Awaited before the bytes that can make the server accept the mail, with the session on which it goes. */
  readonly beforeEnd?: (session: object) => void | Promise<void>;
};

export type Local = {
  /**
   * A verdict for each recipient; a server out of reach is `later` for all, the text says why. Throws for a recipient
   * outside local.domains, and what the body throws.
   */
  readonly deliver: (mail: LocalMail) => Promise<HandoverResult>;
  /** Why the local server is out of reach; undefined when well. */
  readonly problem: () => string | undefined;
  /** Aborts what is under way, but for mails that only wait for their final reply (2 s), and ends all sessions. Idempotent, bounded. */
  readonly close: () => Promise<void>;
};

export type LocalOptions = {
  readonly config: LocalConfig;
  readonly endpoint: Endpoint;
  /** Our name in EHLO or LHLO. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A session that rested so long is closed; standard 30 s. */
  readonly idleMs?: number;
  readonly timeouts?: Partial<Timeouts>;
};

type Sent = SendResult & { readonly session: object };

export function createLocal(options: LocalOptions): Local {
  const { config, endpoint, log } = options;
  const pool = createPool<Conversation>({ size: config.sessions, idleMs: options.idleMs ?? 30_000 });
  const stopping = new AbortController();
  let problem: string | undefined;
  let either: { readonly of: AbortSignal; readonly signal: AbortSignal } | undefined;

  function setProblem(text: string | undefined): void {
    if (text === problem) return;
    problem = text;
    if (text === undefined) log.info('local server answers again');
    else log.warn({ problem: text }, 'local server is out of reach');
  }

  /** One for all mails that end together: making one costs more than handing a small mail over. */
  function eitherOf(signal: AbortSignal): AbortSignal {
    const known = either?.of === signal ? either.signal : AbortSignal.any([signal, stopping.signal]);
    either = { of: signal, signal: known };
    return known;
  }

  const open = (signal: AbortSignal): Promise<Conversation> => {
    const { protocol } = config;
    const { name, clock, timeouts } = options;
    return openConversation({ endpoint, protocol, name, signal, clock, log, ...(timeouts && { timeouts }) });
  };

  /** With a session that may have died while it rested: one more try on a new one, as long as nothing can have been accepted. */
  async function send(mail: LocalMail, signal: AbortSignal): Promise<Sent> {
    const { beforeEnd } = mail;
    let reused = false;
    const use = async ({ reused: rested, session }: Lease<Conversation>): Promise<Sent> => {
      reused = rested;
      const gate = beforeEnd && { beforeDot: () => beforeEnd(session) };
      const keepBareLineEnds = config.protocol === 'lmtp';
      return { ...(await session.send({ ...mail, ...gate, signal, keepBareLineEnds })), session };
    };
    const attempt = (fresh: boolean): Promise<Sent> =>
      pool.withSession({ fresh, open: () => open(signal), signal }, use);
    try {
      return await attempt(false);
    } catch (error) {
      if (!reused || signal.aborted || !nothingAccepted(error)) throw error;
      log.debug({ error: describe(error) }, 'a resting session had died');
      return attempt(true);
    }
  }

  async function deliver(mail: LocalMail): Promise<HandoverResult> {
    const stranger = mail.recipients.find((address) => !isLocalAddress(config, address));
    if (stranger !== undefined) {
      const expected = 'an address in a domain of local.domains (' + config.domains.join(', ') + ')';
      throw new Error('Cannot hand a mail to ' + JSON.stringify(stranger) + ': not local, expected ' + expected);
    }
    const signal = eitherOf(mail.signal);
    try {
      const { recipients, bareLineEnds, session } = await send(mail, signal);
      const closing = recipients.find((answer) => scopeOf(answer) === 'relay');
      setProblem(closing && 'Cannot hand over mail: the local server answered ' + showReply(closing.reply));
      return { recipients: recipients.map(verdictOn), bareLineEnds, session };
    } catch (error) {
      if (signal.aborted && !(error instanceof ConversationError)) return laterForAll(mail, 'stopped');
      if (!(error instanceof ConversationError)) throw error;
      if (!signal.aborted && scopeOf(error) === 'relay') setProblem(error.message);
      return laterForAll(mail, error.message, error);
    }
  }

  return {
    deliver,
    problem: () => problem,
    close() {
      stopping.abort();
      return pool.close();
    },
  };
}

function nothingAccepted(error: unknown): boolean {
  return error instanceof ConversationError && error.phase !== 'after-dot';
}

function verdictOn(answer: SendResult['recipients'][number]): LocalRecipient {
  const verdict = verdictOf(answer.reply, answer.phase);
  return { address: answer.address, verdict, text: showReply(answer.reply) };
}

/** Those that were answered before the line broke keep their answer. */
function laterForAll(mail: LocalMail, state: string, error?: ConversationError): HandoverResult {
  const known = new Map(error?.answered.map((answer) => [answer.address, answer]));
  const unknown = error?.phase === 'after-dot' && error.reply === undefined;
  const text = (unknown ? 'outcome unknown, the local server may have taken it: ' : '') + state;
  const recipients = mail.recipients.map((address): LocalRecipient => {
    const answer = known.get(address);
    return answer === undefined ? { address, verdict: 'later', text } : verdictOn(answer);
  });
  return { recipients, bareLineEnds: 0, session: undefined };
}
