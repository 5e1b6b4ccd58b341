// HTTPS for the page; loaded with its first connection (about 8 MB). Fastify was measured: 25 MB.
import { X509Certificate } from 'node:crypto';
import { createServer } from 'node:https';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Serving, Tls } from './page.ts';
import type { Web } from './web.ts';

const lookMs = 3_600_000;

/** `fingerprint`: of the certificate that is shown now. */
export async function openHttps(options: {
  readonly web: Web;
  /** Read again from time to time. */
  readonly readTls: () => Promise<Tls>;
  readonly onCertificate: (fingerprint: string) => void;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<Serving> {
  const { web, clock, log } = options;
  let tls = await options.readTls();
  let lookedAt = clock.monotonic();
  const tell = (): void => options.onCertificate(new X509Certificate(tls.cert).fingerprint256);
  tell();
  const server = createServer(
    {
      ...tls,
      minVersion: 'TLSv1.2',
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: 30_000,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 16_384,
    },
    (incoming, outgoing) => {
      web(incoming, outgoing).catch((error: unknown) => {
        log.warn({ error: describe(error) }, 'an answer of the page could not be sent');
        outgoing.destroy();
      });
    },
  );
  // Browsers that do not believe the certificate yet, and what is no HTTPS at all.
  server.on('tlsClientError', (error, socket) => {
    log.debug({ error: describe(error) }, 'TLS at the page failed');
    socket.destroy();
  });

  async function renew(): Promise<void> {
    if (clock.monotonic() - lookedAt < lookMs) return;
    lookedAt = clock.monotonic();
    try {
      const next = await options.readTls();
      if (next.key === tls.key && next.cert === tls.cert) return;
      server.setSecureContext({ ...next, minVersion: 'TLSv1.2' });
      tls = next;
      tell();
    } catch (error) {
      log.warn({ error: describe(error) }, 'the certificate of the page cannot be read again; the old one stays');
    }
  }

  return {
    serve(socket) {
      void renew();
      server.emit('connection', socket);
    },
    stop() {
      server.closeAllConnections();
      server.close();
    },
  };
}
