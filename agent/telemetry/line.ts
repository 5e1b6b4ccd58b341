// Opens a line to the broker: TCP, TLS, WebSocket. Promises: nothing of MQTT, no password, is written before the certificate
// is verified; every wait has a deadline; what went wrong has a kind (line-error.ts).
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, isIP } from 'node:net';
import type { LookupFunction, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, rootCertificates } from 'node:tls';
import type { TLSSocket } from 'node:tls';
import { codeOf, describe } from '#shared/failure.ts';
import { maxMessageBytes } from '#shared/wire.ts';
import { explainDates, isCertificateCode, isDateCode } from './certificate-trouble.ts';
import type { Shown } from './certificate-trouble.ts';
import { LineError } from './line-error.ts';

/** Node gives each address of a name 250 ms: on a slow line a working one would be given up for one that is dead. */
const addressMs = 5_000;
const lineMs = 30_000;
const defaultPorts: Readonly<Record<string, number>> = { 'mqtt:': 1883, 'mqtts:': 8883, 'ws:': 80, 'wss:': 443 };

export type LineOptions = {
  readonly url: string;
  /** PEM of the authorities to believe; the system's when empty or absent. */
  readonly ca?: readonly string[];
  readonly signal: AbortSignal;
  /** This machine's clock, milliseconds since 1970; only to explain a refused certificate. */
  readonly now: () => number;
  /** A time that has certainly passed. */
  readonly surely?: number;
  /** Only for tests: other names and time-outs. */
  readonly lookup?: LookupFunction;
  readonly timeoutMs?: number;
};
type Place = { readonly scheme: string; readonly host: string; readonly port: number };

/** A stream on which MQTT can begin. Throws LineError. */
export async function openLine(options: LineOptions): Promise<Duplex> {
  const place = placeOf(options.url);
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs ?? lineMs)]);
  const socket = await openSocket(place, options, deadline);
  return place.scheme === 'ws:' || place.scheme === 'wss:' ? upgrade(socket, options.url, deadline) : socket;
}

/** The certificates that the server shows, its own first, believed or not. Nothing is sent but the handshake. Throws LineError. */
export async function readChain(options: Omit<LineOptions, 'ca'>): Promise<readonly X509Certificate[]> {
  const place = placeOf(options.url);
  const deadline = AbortSignal.any([options.signal, AbortSignal.timeout(options.timeoutMs ?? lineMs)]);
  const socket = await startTls(
    await openTcp(place, options, deadline),
    place,
    { rejectUnauthorized: false },
    deadline,
  );
  try {
    const chain: X509Certificate[] = [];
    let next = socket.getPeerCertificate(true);
    while (next?.raw !== undefined && chain.length < 10) {
      const certificate = new X509Certificate(next.raw);
      if (chain.some((known) => known.fingerprint256 === certificate.fingerprint256)) break;
      chain.push(certificate);
      next = next.issuerCertificate;
    }
    return chain;
  } finally {
    socket.destroy();
  }
}

function placeOf(url: string): Place {
  try {
    const { protocol, hostname, port } = new URL(url);
    const standard = defaultPorts[protocol];
    if (standard === undefined || hostname === '') throw new Error('unknown kind of address');
    return { scheme: protocol, host: hostname.replaceAll(/^\[|\]$/g, ''), port: port === '' ? standard : Number(port) };
  } catch (error) {
    throw new LineError('address', 'this is no address of a broker', error);
  }
}

async function openSocket(place: Place, options: LineOptions, deadline: AbortSignal): Promise<Duplex> {
  const tcp = await openTcp(place, options, deadline);
  if (place.scheme === 'mqtt:' || place.scheme === 'ws:') return tcp;
  const ca = options.ca === undefined || options.ca.length === 0 ? {} : { ca: [...options.ca] };
  try {
    return await startTls(tcp, place, ca, deadline);
  } catch (error) {
    throw await explain(error, options);
  }
}

async function openTcp(place: Place, options: Pick<LineOptions, 'lookup'>, deadline: AbortSignal): Promise<Socket> {
  const { host, port } = place;
  const socket = connect({
    host,
    port,
    noDelay: true,
    keepAlive: true,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: addressMs,
    ...(options.lookup && { lookup: options.lookup }),
  });
  try {
    await settled(socket, 'connect', deadline);
    return socket;
  } catch (error) {
    const code = codeOf(error) ?? '';
    const isName = code.startsWith('EAI_') || code === 'ENOTFOUND';
    throw new LineError(
      isName ? 'name' : 'connect',
      isName ? 'the name ' + host + ' cannot be looked up (' + code + ')' : code || describe(error),
      error,
    );
  }
}

type Believing = { readonly ca?: string[]; readonly rejectUnauthorized?: boolean };

async function startTls(
  socket: Socket,
  { host }: Place,
  believing: Believing,
  deadline: AbortSignal,
): Promise<TLSSocket> {
  const name = isIP(host) === 0 ? { servername: host } : {};
  const secure = connectTls({ socket, host, minVersion: 'TLSv1.2', ...name, ...believing });
  // Without it the error of a socket that is given up would have no listener.
  socket.on('error', () => {});
  await settled(secure, 'secureConnect', deadline);
  return secure;
}

/** The line is verified already: the upgrade only adds frames. */
async function upgrade(socket: Duplex, url: string, deadline: AbortSignal): Promise<Duplex> {
  const { WebSocket, createWebSocketStream } = await import('ws'); // with HTTP it is 6 MB, and few need it
  const web = new WebSocket(url, 'mqtt', {
    createConnection: () => socket,
    perMessageDeflate: false,
    maxPayload: 4 * maxMessageBytes,
  });
  // Without it an error of a WebSocket that is given up would end the process.
  web.on('error', () => {});
  try {
    await once(web, 'open', { signal: deadline });
    const stream = createWebSocketStream(web);
    stream.on('error', () => {}); // MQTT listens too; before it does, nobody would
    return stream;
  } catch (error) {
    web.terminate();
    throw new LineError('websocket', 'no WebSocket: ' + describe(error), error);
  }
}

async function settled(socket: Socket, event: 'connect' | 'secureConnect', deadline: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: unknown): void => {
    socket.destroy();
    reject(error);
  };
  const onClose = (): void => fail(new Error('the broker closed the connection'));
  const onAbort = (): void => fail(new Error(isTimeout(deadline.reason) ? 'no answer in time' : 'stopped'));
  // The listener for errors stays: an unheard one would end the process.
  socket.on('error', fail).once(event, resolve).once('close', onClose);
  deadline.addEventListener('abort', onAbort, { once: true });
  if (deadline.aborted) onAbort();
  try {
    await promise;
  } finally {
    socket.off(event, resolve).off('close', onClose);
    deadline.removeEventListener('abort', onAbort);
  }
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError';
}

async function explain(error: unknown, options: LineOptions): Promise<LineError> {
  const code = codeOf(error) ?? '';
  if (!isCertificateCode(code)) return new LineError('tls', code || describe(error), error);
  if (!isDateCode(code)) return new LineError('certificate', code + ': ' + describe(error), error);
  // The dates are read on a second line, which carries nothing but a handshake.
  const chain = await chainIfShown(options);
  return explainDates({ code, now: options.now(), surely: options.surely ?? 0, chain: chain.map(datesOf) });
}

async function chainIfShown(options: LineOptions): Promise<readonly X509Certificate[]> {
  try {
    return await readChain(options);
  } catch {
    return []; // the words must do without dates
  }
}

function datesOf(certificate: X509Certificate): Shown {
  return { validFrom: Date.parse(certificate.validFrom), validTo: Date.parse(certificate.validTo) };
}

/** Those that the system believes, and more. */
export function withSystemAuthorities(more: readonly string[]): readonly string[] {
  return [...rootCertificates, ...more];
}
