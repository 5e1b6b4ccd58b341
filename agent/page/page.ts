// The agent's own page. Promises: until somebody opens it there is a socket and nothing else in memory; a port that is taken
// stops no mail; connections, and the time they may take, are bounded.
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import type { Clock } from '#shared/clock.ts';
import { codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';

/** PEM texts. */
export type Tls = { readonly key: string; readonly cert: string };
/** HTTPS over a socket that was accepted already. */
export type Serving = { readonly serve: (socket: Socket) => void; readonly stop: () => void };
export type PageServerOptions = {
  readonly host: string;
  readonly port: number;
  /** Called for the first connection. */
  readonly open: () => Promise<Serving>;
  readonly clock: Clock;
  readonly log: Log;
};
export type PageServer = {
  /** Resolves when it listens, or when it is clear that it cannot yet; tries again then. */
  readonly start: () => Promise<void>;
  /** Idempotent. */
  readonly stop: () => Promise<void>;
};

const maxConnections = 64;
const againMs = 60_000;

export function createPageServer(options: PageServerOptions): PageServer {
  const { host, port, clock, log } = options;
  const stopping = new AbortController();
  const sockets = new Set<Socket>();
  let serving: Promise<Serving> | undefined;
  let server: Server | undefined;
  let again: Promise<void> | undefined;

  function accept(socket: Socket): void {
    sockets.add(socket);
    socket.on('error', () => {}); // a browser that goes away
    socket.once('close', () => sockets.delete(socket));
    serving ??= options.open();
    serving.then(
      (open) => open.serve(socket),
      (error: unknown) => {
        // The next connection tries again.
        serving = undefined;
        log.error({ error: describe(error) }, 'the page cannot be opened');
        socket.destroy();
      },
    );
  }

  async function listen(): Promise<string | undefined> {
    // Paused: what comes before TLS is ready would be lost to it.
    const next = createServer({ pauseOnConnect: true }, accept);
    next.maxConnections = maxConnections;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    next.once('error', (error) => resolve(codeOf(error) ?? describe(error)));
    next.listen({ host, port }, () => resolve(undefined));
    const problem = await promise;
    if (problem === undefined) {
      next.on('error', (error) => log.error({ error: describe(error) }, 'the page failed'));
      server = next;
    }
    return problem;
  }

  async function tryAgain(): Promise<void> {
    for (;;) {
      await clock.sleep(againMs, stopping.signal);
      if (stopping.signal.aborted) return;
      if ((await listen()) !== undefined) continue;
      log.info({ host, port }, 'the page is open');
      return;
    }
  }

  return {
    async start() {
      const problem = await listen();
      if (problem === undefined) {
        log.info({ host, port }, 'the page is open');
        return;
      }
      const place = host + ':' + port;
      log.error(
        'Cannot open the page at ' + place + ': ' + problem + ', expected a free port; mail moves, it is tried again',
      );
      again = tryAgain();
    },
    async stop() {
      stopping.abort();
      await again;
      for (const socket of sockets) socket.destroy();
      const open = server;
      server = undefined;
      if (open !== undefined) await new Promise((resolve) => open.close(resolve));
      (await serving?.catch(() => undefined))?.stop();
    },
  };
}
