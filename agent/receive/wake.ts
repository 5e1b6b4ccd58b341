// Waits for new mail at the provider by IMAP IDLE (RFC 2177) and says so at once; mail itself is fetched by POP3 alone.
// Promise: whatever happens here, rounds come at their interval all the same.
import { X509Certificate } from 'node:crypto';
import { checkServerIdentity } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { LoginError } from '../accounts/login-error.ts';
import type { SecretSource } from '../accounts/secret.ts';
import { findPinProblem } from '../net/socket.ts';
import type { Endpoint } from '../net/socket.ts';

export type Wake = {
  /** Until aborted; never throws. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Waits for new mail now; else why not. */
  readonly state: () => { readonly up: boolean; readonly problem: string };
};
export type WakeOptions = {
  readonly account: string;
  readonly endpoint: Endpoint;
  readonly user: string;
  readonly secret: SecretSource;
  readonly onMail: () => void;
  /** state() gives something else than before. */
  readonly onState?: () => void;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
};

const firstPauseMs = 5_000;
const maxPauseMs = 600_000;
const refusedPauseMs = 3_600_000;
/** A connection that lived so long was a good one. */
const lastedMs = 60_000;
/** Shorter than what routers and servers forget (RFC 2177 allows 29 minutes). */
const renewMs = 240_000;

export function createWake(options: WakeOptions): Wake {
  const { account, clock, log } = options;
  const backoff = createBackoff({ firstMs: firstPauseMs, maxMs: maxPauseMs, random: options.random, floor: 0.5 });
  let state = { up: false, problem: 'not connected yet' };

  function become(up: boolean, problem: string): void {
    if (problem !== state.problem) {
      if (up) log.info({ account }, 'waits for new mail by IMAP IDLE');
      else log.warn({ account, problem }, 'no wake by IMAP IDLE; rounds come at their interval');
    }
    const isNews = up !== state.up || problem !== state.problem;
    state = { up, problem };
    if (isNews) options.onState?.();
  }

  return {
    async run(signal) {
      while (!signal.aborted) {
        const startedAt = clock.monotonic();
        const failure: unknown = await watch(options, signal, () => become(true, '')).then(
          () => new Error('the server closed the connection'),
          (error: unknown) => error,
        );
        if (signal.aborted) return;
        become(false, options.endpoint.host + ':' + options.endpoint.port + ': ' + describe(failure));
        if (clock.monotonic() - startedAt > lastedMs) backoff.reset();
        // Who guesses passwords is locked out, and POP3 with it.
        await clock.sleep(isRefusedLogin(failure) ? refusedPauseMs : backoff.next(), signal);
      }
    },
    state: () => state,
  };
}

function isRefusedLogin(error: unknown): boolean {
  if (error instanceof LoginError) return error.refused;
  return (
    typeof error === 'object' &&
    error !== null &&
    'authenticationFailed' in error &&
    error.authenticationFailed === true
  );
}

/** Called when the certificate is valid; the login has not been sent yet. */
function checkPeer(endpoint: Endpoint, host: string, peer: PeerCertificate): Error | undefined {
  const problem = findPinProblem(new X509Certificate(peer.raw), endpoint);
  return (
    checkServerIdentity(endpoint.serverName ?? host, peer) ?? (problem === undefined ? undefined : new Error(problem))
  );
}

/** Resolves when the connection ends. */
async function watch(options: WakeOptions, signal: AbortSignal, onUp: () => void): Promise<void> {
  // Loaded only when used.
  const { ImapFlow } = await import('imapflow');
  const { endpoint } = options;
  const secret = await options.secret.read(signal);
  const client = new ImapFlow({
    host: endpoint.host,
    port: endpoint.port,
    secure: endpoint.tls === 'implicit',
    // True: required, never optional.
    ...(endpoint.tls === 'implicit' ? {} : { doSTARTTLS: endpoint.tls === 'starttls' }),
    auth: {
      user: options.user,
      ...(secret.kind === 'password' ? { pass: secret.password } : { accessToken: secret.token }),
    },
    tls: {
      minVersion: 'TLSv1.2',
      ...(endpoint.ca === undefined ? {} : { ca: endpoint.ca }),
      ...(endpoint.serverName === undefined ? {} : { servername: endpoint.serverName }),
      checkServerIdentity: (host, peer) => checkPeer(endpoint, host, peer),
    },
    logger: false,
    disableAutoIdle: true,
    maxIdleTime: renewMs,
    connectionTimeout: 30_000,
    greetingTimeout: 30_000,
    socketTimeout: renewMs + 60_000,
  });
  let failure: unknown;
  client.on('error', (error: unknown) => void (failure ??= error));
  client.on('exists', ({ count, prevCount }) => {
    if (count > prevCount) options.onMail();
  });
  const onAbort = (): void => client.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await client.connect();
    await client.mailboxOpen('INBOX', { readOnly: true });
    if (!client.capabilities.has('IDLE')) throw new Error('the server does not offer IDLE');
    onUp();
    // What came while nobody was watching.
    options.onMail();
    while (client.usable && !signal.aborted) await client.idle();
    if (failure !== undefined) throw failure;
  } finally {
    signal.removeEventListener('abort', onAbort);
    client.close();
  }
}
