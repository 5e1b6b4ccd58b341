// One look at the TLS of a mail server: as a client would connect, but going on with a certificate that it must not believe, to
// say what is wrong with it. Nothing is sent but the way to TLS.
import { X509Certificate } from 'node:crypto';
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { checkServerIdentity, connect as connectTls, rootCertificates } from 'node:tls';
import type { PeerCertificate, TLSSocket } from 'node:tls';
import type { Clock } from '#shared/clock.ts';
import { codeOf, describe } from '#shared/failure.ts';
import { findPinProblem } from '../../net/socket.ts';
import type { Endpoint } from '../../net/socket.ts';
import { askForTls, timeIn } from './dialog.ts';
import type { Protocol } from './dialog.ts';
import { pathOf } from './path.ts';

export type Looked =
  | {
      readonly kind: 'seen';
      readonly handshakeMs: number;
      readonly path: readonly X509Certificate[];
      /** Why a client must not go on; undefined when it may. `code` as Node names it. */
      readonly refusal?: { readonly code: string; readonly text: string };
      /** The server's clock against ours, milliseconds ahead, where its greeting tells it. */
      readonly aheadMs?: number;
    }
  /** `stage`: tcp (nobody there), dialog (no TLS to be had), tls (no handshake). */
  | { readonly kind: 'failed'; readonly stage: 'tcp' | 'dialog' | 'tls'; readonly text: string };

export async function lookAtTls(options: {
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly clock: Clock;
}): Promise<Looked> {
  const { clock, endpoint, protocol } = options;
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs)]);
  let stage: 'tcp' | 'dialog' | 'tls' = 'tcp';
  const socket = connect({ host: endpoint.host, port: endpoint.port });
  const sockets: Socket[] = [socket];
  try {
    await until(socket, 'connect', deadline);
    stage = 'dialog';
    const greeting = endpoint.tls === 'implicit' ? '' : (await askForTls(socket, protocol, deadline)).greeting;
    const at = timeIn(greeting);
    const aheadMs = at === undefined ? undefined : at - clock.now();
    stage = 'tls';
    const startedAt = clock.monotonic();
    const secure = connectTls({
      socket,
      ...nameOf(endpoint),
      ...(endpoint.ca && { ca: endpoint.ca }),
      rejectUnauthorized: false,
    });
    sockets.push(secure);
    await until(secure, 'secureConnect', deadline);
    const handshakeMs = clock.monotonic() - startedAt;
    // Asked once and first: Node gives it no second time after getPeerX509Certificate().
    const shown = secure.getPeerCertificate(true);
    const sent = sentBy(shown);
    const refusal = refusalOf(secure, shown, sent[0], endpoint);
    return {
      kind: 'seen',
      handshakeMs,
      path: pathOf(sent, trustedFor(endpoint, sent)),
      ...(refusal && { refusal }),
      ...(aheadMs === undefined ? {} : { aheadMs }),
    };
  } catch (error) {
    const text = codeOf(error) ?? describe(error);
    return { kind: 'failed', stage, text };
  } finally {
    // TLS before what carries it: the other way round Node 24 ends with a segmentation fault.
    for (const one of sockets.toReversed()) one.destroy();
  }
}

function nameOf({ host, serverName }: Endpoint) {
  const name = serverName ?? host;
  return isIP(name) === 0 ? { host: name, servername: name } : { host: name };
}

function until(socket: Socket | TLSSocket, event: string, deadline: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => reject(new Error('it does not answer in time'));
  // This listener stays: an 'error' that nobody hears would end the process.
  socket.on('error', reject).once('close', () => reject(new Error('it closed the connection')));
  socket.once(event, () => resolve());
  deadline.addEventListener('abort', onAbort, { once: true });
  if (deadline.aborted) onAbort();
  return promise.finally(() => deadline.removeEventListener('abort', onAbort));
}

const wrongName = 'ERR_TLS_CERT_ALTNAME_INVALID';

function refusalOf(
  secure: TLSSocket,
  shown: PeerCertificate,
  leaf: X509Certificate | undefined,
  endpoint: Endpoint,
): { readonly code: string; readonly text: string } | undefined {
  const wrong = checkServerIdentity(endpoint.serverName ?? endpoint.host, shown);
  if (!secure.authorized) {
    // With rejectUnauthorized: false it is an error or its code, whatever the types say.
    const error: unknown = secure.authorizationError;
    const code = typeof error === 'string' ? error : (codeOf(error) ?? describe(error));
    // Node looks at the name last: with this code the rest is well.
    return { code, text: code === wrongName ? (wrong?.message ?? code) : code };
  }
  if (wrong !== undefined) return { code: wrongName, text: wrong.message };
  const pin = findPinProblem(leaf, endpoint);
  return pin === undefined ? undefined : { code: 'PIN', text: pin };
}

/** All that the server sent, in the order of issuing as far as it goes. */
function sentBy(shown: PeerCertificate): readonly X509Certificate[] {
  const all: X509Certificate[] = [];
  const seen = new Set<string>();
  let current: PeerCertificate | undefined = shown;
  while (current?.raw !== undefined && !seen.has(current.fingerprint256)) {
    seen.add(current.fingerprint256);
    all.push(new X509Certificate(current.raw));
    current =
      'issuerCertificate' in current
        ? (current as { issuerCertificate?: PeerCertificate }).issuerCertificate
        : undefined; // a detailed one
  }
  return all;
}

/** Only those that can matter are parsed: of 150 authorities one or two have the name of an issuer. */
function trustedFor(endpoint: Endpoint, sent: readonly X509Certificate[]): readonly X509Certificate[] {
  if (endpoint.ca !== undefined) {
    const blocks = endpoint.ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
    return blocks.map((block) => new X509Certificate(block));
  }
  const issuers = new Set(sent.flatMap(({ issuer, subject }) => [issuer, subject]));
  return rootCertificates.map((text) => new X509Certificate(text)).filter(({ subject }) => issuers.has(subject));
}
