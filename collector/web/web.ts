// The collector's face: API, live feed, Prometheus text and page, on one port. It only reads.
import type { AddressInfo } from 'node:net';
import fastifyWebsocket from '@fastify/websocket';
import Fastify from 'fastify';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '#shared/clock.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { serveApi } from './api.ts';
import { createFeed } from './feed.ts';
import type { Feed, FeedLimits } from './feed.ts';
import { createGate } from './gate.ts';
import { guard, securityHeaders } from './guard.ts';
import { isOwnOrigin } from './host.ts';
import { HttpError, handleErrors, sendError } from './http-error.ts';
import { servePage } from './page-files.ts';
import { createRecent } from './recent.ts';
import type { Sources } from './sources.ts';

export type WebOptions = Sources & {
  readonly config: { readonly host: string; readonly port: number };
  /** Asked of every visitor, name `mailferry`. */
  readonly password?: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly feedLimits?: Partial<FeedLimits>;
};
export type Web = {
  /** Resolves when it listens. Throws UserError when it cannot. */
  readonly start: () => Promise<void>;
  /** Idempotent, bounded: open connections are cut. */
  readonly stop: () => Promise<void>;
  /** Where it listens, after start(). */
  readonly address: () => { readonly host: string; readonly port: number };
};

const stopWithinMs = 3_000;

export function createWeb(options: WebOptions): Web {
  const { config, clock } = options;
  let app: FastifyInstance | undefined;
  let stopping: Promise<void> | undefined;

  async function stop(): Promise<void> {
    const ended = app;
    if (ended === undefined) return;
    const late = new AbortController();
    const closed = ended.close().then(() => late.abort());
    const limit = clock.sleep(stopWithinMs, late.signal).then(() => ended.server.closeAllConnections());
    await Promise.race([closed, limit]);
  }

  return {
    async start() {
      app = buildWeb(options);
      try {
        await app.listen({ host: config.host, port: config.port });
      } catch (error) {
        await stop();
        throw new UserError(
          'Cannot listen on ' +
            config.host +
            ':' +
            config.port +
            ': ' +
            listenProblem(error) +
            ' (options web.host and web.port)',
          { cause: error },
        );
      }
    },
    stop: () => (stopping ??= stop()),
    address() {
      const address = app?.server.address();
      return { host: config.host, port: isAddressInfo(address) ? address.port : config.port };
    },
  };
}

/** Everything but listening, for tests that inject requests. */
export function buildWeb(options: WebOptions): FastifyInstance {
  const { config, password, fleet, store, alert, health, clock, log } = options;
  const sources = { fleet, store, alert, health };
  const app = Fastify({
    logger: false,
    bodyLimit: 1_024,
    requestTimeout: 30_000,
    connectionTimeout: 60_000,
    keepAliveTimeout: 30_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 100 },
    frameworkErrors: (error, _request, reply) => {
      void reply.headers(securityHeaders);
      sendError(reply, 'bad-request', describe(error));
    },
  });
  app.server.maxConnections = 2_000;
  const gate = createGate({ clock, running: 4, waiting: 64, deadlineMs: 10_000 });
  const recent = createRecent({ store, gate, clock, log });
  const feed = createFeed({
    ...sources,
    recent,
    clock,
    log,
    ...(options.feedLimits === undefined ? {} : { limits: options.feedLimits }),
  });
  handleErrors(app, log);
  app.register(fastifyWebsocket, {
    // Nothing is expected of a client. Compression would cost 300 kB of memory each.
    options: { maxPayload: 1_024, perMessageDeflate: false },
    errorHandler: (error, socket) => {
      log.debug({ error: describe(error) }, 'live client failed');
      socket.terminate();
    },
  });
  // Before the routes, since hooks guard only what is added after them; after the plugin, since it closes the sockets of
  // refused upgrades only when its own hook has seen them first.
  app.after(() => guard(app, { host: config.host, password, clock }));
  app.register(async (inner) => {
    serveApi(inner, { ...sources, gate, clock });
    servePage(inner);
    const preValidation = async (request: FastifyRequest): Promise<void> => admitToFeed(request, feed);
    inner.route({
      method: 'GET',
      url: '/live',
      preValidation,
      handler: () => {
        throw new HttpError('upgrade-needed', 'Cannot answer here: /live is a WebSocket, expected an upgrade');
      },
      wsHandler: (socket) => feed.add(socket),
    });
  });
  app.addHook('preClose', () => feed.stop());
  return app;
}

/** Before the upgrade: a refusal is still an HTTP answer. */
function admitToFeed(request: FastifyRequest, feed: Feed): void {
  const { origin, host } = request.headers;
  const forwarded = request.headers['x-forwarded-host'];
  if (!isOwnOrigin({ origin, host, forwardedHost: typeof forwarded === 'string' ? forwarded : undefined })) {
    throw new HttpError('wrong-origin', 'Cannot open the live feed: asked by a page of another site');
  }
  if (!feed.hasRoom()) throw new HttpError('busy', 'Cannot open the live feed: too many are open; close some pages');
}

function listenProblem(error: unknown): string {
  switch (codeOf(error)) {
    case 'EADDRINUSE':
      return 'the port is taken by another program, expected a free one';
    case 'EACCES':
      return 'not allowed, expected a port above 1023';
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return 'this machine has no such address, expected one of its own';
    default:
      return describe(error);
  }
}

function isAddressInfo(address: unknown): address is AddressInfo {
  return typeof address === 'object' && address !== null && 'port' in address;
}
