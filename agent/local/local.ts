// Hands mail to the local mail server.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { LocalConfig } from '../config.ts';
import type { Endpoint } from '../net/socket.ts';
import type { Body } from '../smtp/conversation.ts';
import type { Verdict } from '../smtp/verdict.ts';

export type LocalRecipient = { readonly address: string; readonly verdict: Verdict; readonly text: string };
export type HandoverResult = {
  /** One for each recipient, in the order given. */
  readonly recipients: readonly LocalRecipient[];
  /** Bare CR or LF that became CRLF. */
  readonly bareLineEnds: number;
};
export type LocalMail = {
  readonly from: string;
  readonly recipients: readonly string[];
  readonly head: Uint8Array;
  readonly body: Body;
  readonly signal: AbortSignal;
};

export type Local = {
  /** A verdict for each recipient; a server out of reach is `later` for all, the text says why. Throws for a recipient outside local.domains. */
  readonly deliver: (mail: LocalMail) => Promise<HandoverResult>;
  /** Why the local server is out of reach; undefined when well. */
  readonly problem: () => string | undefined;
  /** Ends every session; idempotent, bounded. */
  readonly close: () => Promise<void>;
};

export type LocalOptions = {
  readonly config: LocalConfig;
  readonly endpoint: Endpoint;
  /** Our name in EHLO or LHLO. */
  readonly name: string;
  readonly clock: Clock;
  readonly log: Log;
};

export function createLocal(options: LocalOptions): Local {
  const problem = 'Cannot reach ' + options.endpoint.host + ': being built';
  return {
    deliver: () => Promise.reject(new Error(problem)),
    problem: () => problem,
    close: () => Promise.resolve(),
  };
}
