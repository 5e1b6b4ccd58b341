// Where agents come in: MQTT on a port of its own (TCP or TLS), and MQTT in WebSockets for networks whose firewall lets out
// nothing but HTTPS. Promise: every connection is bounded in number, in time until its TLS stands, and in what it may send.
import { createServer as createHttp } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer as createTlsServer } from 'node:tls';
import { WebSocketServer, createWebSocketStream } from 'ws';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { maxMessageBytes } from '#shared/wire.ts';
import type { ServerTls } from './authority.ts';
import { createFrameLimit } from './frame-limit.ts';

export type Doors = {
  /** Throws UserError when a port cannot be had. */
  readonly open: () => Promise<void>;
  readonly close: () => Promise<void>;
  readonly isOpen: () => boolean;
  /** Ports in use: the one of MQTT, and the one of WebSockets. */
  readonly ports: () => { readonly mqtt: number; readonly websocket: number | undefined };
  /** From the next connection on. */
  readonly renew: (tls: ServerTls) => void;
};

/** A topic and the fixed header come on top of the largest message. */
const maxPacketBytes = maxMessageBytes + 1_024;
const handshakeMs = 10_000;
/** An agent that works off a week's backlog over a fast line stays far below. */
const packets = { aSecond: 1_000, atOnce: 5_000, now: () => performance.now() };

export function createDoors(options: {
  readonly host: string;
  readonly port: number;
  readonly websocketPort: number | undefined;
  readonly tls: ServerTls | undefined;
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** `address`: of the other side. */
  readonly enter: (stream: Duplex, address: string) => void;
}): Doors {
  const { host, tls, enter } = options;
  const sockets = new Set<Socket>();
  const perAddress = new Map<string, number>();
  const secure = { handshakeTimeout: handshakeMs, minVersion: 'TLSv1.2' as const };
  const mqtt =
    tls === undefined
      ? createServer({ noDelay: true }, take)
      : createTlsServer({ ...tls, ...secure, noDelay: true }, take);
  const web = options.websocketPort === undefined ? undefined : createWeb();
  const servers: readonly Server[] = web === undefined ? [mqtt] : [mqtt, web];
  for (const server of servers) server.on('connection', admit);

  /** Every TCP connection, also one whose TLS never comes about. */
  function admit(socket: Socket): void {
    const address = socket.remoteAddress ?? '';
    const already = perAddress.get(address) ?? 0;
    if (sockets.size >= options.maxConnections || already >= options.maxConnectionsPerAddress) {
      socket.on('error', () => {});
      socket.destroy();
      return;
    }
    sockets.add(socket);
    perAddress.set(address, already + 1);
    socket.on('close', () => {
      sockets.delete(socket);
      const left = (perAddress.get(address) ?? 1) - 1;
      if (left > 0) perAddress.set(address, left);
      else perAddress.delete(address);
    });
  }

  function take(stream: Socket): void {
    limit(stream);
    enter(stream, stream.remoteAddress ?? '');
  }

  function limit(stream: Duplex): void {
    stream.on('error', () => stream.destroy());
    stream.on('data', createFrameLimit({ maxBytes: maxPacketBytes, packets, onExceeded: () => stream.destroy() }));
  }

  function createWeb() {
    const http = tls === undefined ? createHttp() : createHttps({ ...tls, ...secure });
    http.headersTimeout = handshakeMs;
    http.on('request', (_request, response) => void response.writeHead(426, { connection: 'close' }).end());
    const sessions = new WebSocketServer({
      noServer: true,
      maxPayload: maxPacketBytes,
      perMessageDeflate: false,
      handleProtocols: (offered) => (offered.has('mqtt') ? 'mqtt' : false),
    });
    http.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on('error', () => socket.destroy());
      // A page in somebody's browser sends its origin; an agent has none.
      if (request.headers.origin !== undefined) {
        socket.end('HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n');
        return;
      }
      sessions.handleUpgrade(request, socket, head, (session) => {
        const stream = createWebSocketStream(session);
        limit(stream);
        enter(stream, request.socket.remoteAddress ?? '');
      });
    });
    return http;
  }

  return {
    async open() {
      await listen(mqtt, { host, port: options.port, option: 'broker.port' });
      if (web !== undefined)
        await listen(web, { host, port: options.websocketPort ?? 0, option: 'broker.websocketPort' });
    },
    async close() {
      const closed = servers
        .filter((server) => server.listening)
        .map((server) => new Promise<void>((resolve) => void server.close(() => resolve())));
      for (const socket of sockets) socket.destroy();
      await Promise.all(closed);
    },
    isOpen: () => servers.every((server) => server.listening),
    ports: () => ({
      mqtt: portOf(mqtt) ?? options.port,
      websocket: web === undefined ? undefined : portOf(web),
    }),
    renew(next) {
      for (const server of servers) if ('setSecureContext' in server) renewContext(server, next);
    },
  };
}

function renewContext(server: Server, tls: ServerTls): void {
  const { setSecureContext } = server as Server & { setSecureContext: (tls: ServerTls) => void }; // the caller has looked
  setSecureContext.call(server, tls);
}

function portOf(server: Server): number | undefined {
  return (server.address() as AddressInfo | null)?.port; // a TCP server
}

async function listen(
  server: Server,
  { host, port, option }: { readonly host: string; readonly port: number; readonly option: string },
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(port, host, resolve);
  try {
    await promise;
  } catch (error) {
    const found = codeOf(error) === 'EADDRINUSE' ? 'it is in use' : (codeOf(error) ?? describe(error));
    throw new UserError(
      'Cannot listen for agents on ' +
        host +
        ':' +
        port +
        ': ' +
        found +
        ', expected a free port; change option ' +
        option,
      { cause: error },
    );
  }
  server.on('error', () => {}); // a single connection that fails is not the server's end
}
