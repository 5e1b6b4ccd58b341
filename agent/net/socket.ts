// Sockets to mail servers: TCP, TLS from the first byte, or TLS later (STLS, STARTTLS).
// Promises: certificates are always verified; pins are asked for in addition, never instead.
import { createHash } from 'node:crypto';
import type { KeyObject, X509Certificate } from 'node:crypto';
import { connect, isIP } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { codeOf, describe } from '#shared/failure.ts';
import { connectByName } from './race.ts';

export type Endpoint = {
  readonly host: string;
  readonly port: number;
  readonly tls: 'none' | 'starttls' | 'implicit';
  /** PEM of the authority that signed the server's certificate; the system's authorities when absent. */
  readonly ca?: string;
  /** Name expected in the certificate; `host` when absent. */
  readonly serverName?: string;
  /** `sha256/` and the base64 SHA-256 of a public key (SubjectPublicKeyInfo, RFC 7469 section 2.4): one of them must be the server's. */
  readonly pins?: readonly string[];
};
/** Told when TCP (with the name's look-up) and TLS begin and are done; a failure is not done. */
export type Watch = (stage: 'tcp' | 'tls', state: 'begun' | 'done') => void;
export type Deadline = { readonly timeoutMs: number; readonly signal?: AbortSignal; readonly watch?: Watch };

/** `stage` says what failed: tcp (nobody there), tls (certificate or handshake). */
export class ConnectError extends Error {
  override readonly name = 'ConnectError';
  readonly stage: 'tcp' | 'tls';
  /** The handshake went well as far as the certificate or key, which is not the one expected. */
  readonly isCertificate: boolean;
  constructor(message: string, stage: 'tcp' | 'tls', cause: unknown, isCertificate = false) {
    super(message, { cause });
    this.stage = stage;
    this.isCertificate = isCertificate;
  }
}

/** Connects, with TLS when the endpoint says implicit. Throws ConnectError; the socket is destroyed then. */
export async function openSocket(endpoint: Endpoint, deadline: Deadline): Promise<Socket> {
  deadline.watch?.('tcp', 'begun');
  const socket =
    isIP(endpoint.host) === 0 ? await openByName(endpoint, deadline) : await openAddress(endpoint, deadline);
  deadline.watch?.('tcp', 'done');
  return endpoint.tls === 'implicit' ? upgradeSocket(socket, endpoint, deadline) : socket;
}

async function openAddress(endpoint: Endpoint, deadline: Deadline): Promise<Socket> {
  const socket = connect({ host: endpoint.host, port: endpoint.port, noDelay: true, keepAlive: true });
  await settle(socket, 'connect', endpoint, 'tcp', deadline);
  return socket;
}

async function openByName(endpoint: Endpoint, deadline: Deadline): Promise<Socket> {
  try {
    return await connectByName(endpoint.host, endpoint.port, deadline);
  } catch (error) {
    throw connectError(error, endpoint, 'tcp');
  }
}

/**
 * Starts TLS on a connected socket that nobody reads. Anything that was received in clear must be dropped by the caller
 * before (RFC 3207 section 4.2: answers injected before the handshake). Throws ConnectError; the socket is destroyed then.
 */
export async function upgradeSocket(socket: Socket, endpoint: Endpoint, deadline: Deadline): Promise<Socket> {
  const name = endpoint.serverName ?? endpoint.host;
  const options: ConnectionOptions = { socket, minVersion: 'TLSv1.2', host: name };
  if (isIP(name) === 0) options.servername = name;
  if (endpoint.ca !== undefined) options.ca = endpoint.ca;
  deadline.watch?.('tls', 'begun');
  const secure = connectTls(options);
  await settle(secure, 'secureConnect', endpoint, 'tls', deadline);
  checkPins(secure, endpoint);
  deadline.watch?.('tls', 'done');
  return secure;
}

/** The pin of the key that the server has shown. */
export function pinOf(publicKey: KeyObject): string {
  const info = publicKey.export({ type: 'spki', format: 'der' });
  return 'sha256/' + createHash('sha256').update(info).digest('base64');
}

/** Nothing was sent yet but the handshake, in which the server has proved that the key is its own. */
function checkPins(secure: TLSSocket, endpoint: Endpoint): void {
  const problem = findPinProblem(secure.getPeerX509Certificate(), endpoint);
  if (problem === undefined) return;
  secure.destroy();
  throw new ConnectError(problem, 'tls', undefined, true);
}

/** Why the server's key is none of the pins; undefined when it is, or when there are none. */
export function findPinProblem(certificate: X509Certificate | undefined, endpoint: Endpoint): string | undefined {
  if (endpoint.pins === undefined || endpoint.pins.length === 0) return undefined;
  const found = certificate === undefined ? undefined : pinOf(certificate.publicKey);
  if (found !== undefined && endpoint.pins.includes(found)) return undefined;
  const message =
    'Cannot start TLS with ' + endpoint.host + ':' + endpoint.port + ': its public key is ' + (found ?? 'not known');
  return message + ', expected one of pins (' + endpoint.pins.join(', ') + ')';
}

function settle(
  socket: Socket,
  event: 'connect' | 'secureConnect',
  endpoint: Endpoint,
  stage: 'tcp' | 'tls',
  deadline: Deadline,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (cause: unknown): void => {
    socket.destroy();
    reject(connectError(cause, endpoint, stage));
  };
  const onAbort = (): void => fail(new Error('stopped'));
  const onClose = (): void => fail(new Error('the server closed the connection'));
  const onDone = (): void => resolve();
  const timer = setTimeout(() => fail(new Error('no answer within ' + deadline.timeoutMs + ' ms')), deadline.timeoutMs);
  socket.once(event, onDone).once('error', fail).once('close', onClose);
  deadline.signal?.addEventListener('abort', onAbort, { once: true });
  if (deadline.signal?.aborted === true) onAbort();
  return promise.finally(() => {
    clearTimeout(timer);
    deadline.signal?.removeEventListener('abort', onAbort);
    socket.off(event, onDone).off('close', onClose);
    // The error listener stays until the owner adds its own: an unheard 'error' would end the process.
  });
}

function connectError(cause: unknown, endpoint: Endpoint, stage: 'tcp' | 'tls'): ConnectError {
  const state = codeOf(cause) ?? describe(cause);
  const act = stage === 'tcp' ? 'connect to ' : 'start TLS with ';
  const expected = stage === 'tcp' ? 'a mail server that answers there; check host and port' : tlsHint(endpoint, state);
  return new ConnectError(
    'Cannot ' + act + endpoint.host + ':' + endpoint.port + ': ' + state + ', expected ' + expected,
    stage,
    cause,
    stage === 'tls' && badCertificate.test(state),
  );
}

/** What Node and OpenSSL say of a certificate that they do not believe. */
const badCertificate = /CERT|SELF_SIGNED|UNABLE_TO|CRL|INVALID_(?:CA|PURPOSE)|HOSTNAME_MISMATCH/;

/** What OpenSSL says when the other side does not speak TLS. */
const noTls = /^(?:EPROTO|ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNKNOWN_PROTOCOL))$/;

function tlsHint(endpoint: Endpoint, state: string): string {
  if (noTls.test(state))
    return 'TLS; that port seems to speak plain text first: check port, and tls (starttls or none)';
  return 'a valid certificate for ' + (endpoint.serverName ?? endpoint.host) + '; check host, port, tls and caFile';
}
