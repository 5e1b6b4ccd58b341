// How long certificates are still good for.
import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import type { Loaded } from '#shared/config.ts';
import { readPem } from '#shared/pem.ts';
import type { Endpoint } from '../net/socket.ts';
import { doubtful, well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';

const soonDays = 14;
const dayMs = 86_400_000;

/** Undefined when it is good for long enough, or when it cannot be seen. */
export async function tryCertificate(endpoint: Endpoint, signal: AbortSignal): Promise<Trial | undefined> {
  const certificate = await readCertificate(endpoint, signal);
  const days = certificate === undefined ? Infinity : daysLeft(certificate, Date.now());
  if (days > soonDays) return undefined;
  return doubtful({
    option: ['host'],
    found: 'the certificate of ' + endpoint.host + ':' + endpoint.port + ' ends in ' + showDays(days),
    expected: 'one that is renewed in time',
    remedy: 'if the server is yours, renew it; a provider usually does that in time',
  });
}

/** A socket of its own: a TLSSocket gives the certificate out once, and that of agent/net has looked at it for the pins. */
async function readCertificate(endpoint: Endpoint, signal: AbortSignal): Promise<X509Certificate | undefined> {
  const { host, port, ca, serverName: name = host } = endpoint;
  const { promise, resolve } = Promise.withResolvers<X509Certificate | undefined>();
  const nothing = (): void => resolve(undefined);
  const socket = connect({
    host,
    port,
    timeout: 15_000,
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(ca === undefined ? {} : { ca }),
  });
  socket.once('secureConnect', () => resolve(socket.getPeerX509Certificate()));
  socket.once('error', nothing).once('close', nothing).once('timeout', nothing);
  signal.addEventListener('abort', nothing, { once: true });
  const certificate = await promise;
  signal.removeEventListener('abort', nothing);
  socket.destroy();
  return certificate;
}

const daysLeft = (certificate: X509Certificate, now: number): number =>
  Math.floor((Date.parse(certificate.validTo) - now) / dayMs);

const showDays = (days: number): string => days + (days === 1 ? ' day' : ' days');

/** That of the submission server, from its file. */
export function tryOwnCertificate(loaded: Loaded<unknown>, certFile: string, now: number): Trial {
  const text = readPem(loaded, ['submission', 'tls', 'certFile'], certFile);
  const days = daysLeft(new X509Certificate(text), now);
  const found = 'the certificate of the submission server ' + (days < 0 ? 'has expired' : 'ends in ' + showDays(days));
  const fault = {
    option: ['certFile'],
    found,
    expected: 'a valid certificate: clients refuse another',
    remedy:
      'renew the file, it is read again at once; or leave tls away for a certificate that the agent renews itself',
  };
  if (days < 0) return wrong(fault);
  return days <= soonDays ? doubtful(fault) : well(found);
}
