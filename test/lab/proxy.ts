// A TCP proxy on loopback that makes the line between two programs bad.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export type Direction = 'up' | 'down';
export type Proxy = {
  readonly host: string;
  readonly port: number;
  /** Resets all connections that are open now; new ones are taken. */
  readonly cut: () => void;
  /**
   * Resets a connection as soon as so many bytes went through it in that direction (up: client to server); the bytes
   * before arrive. Holds for connections opened later too, for `times` connections in all; 0 bytes switches it off.
   */
  readonly cutAfter: (direction: Direction, bytes: number, times?: number) => void;
  /** While on: connecting is refused, as by a machine where nothing listens. Open connections stay. */
  readonly refuse: (on: boolean) => Promise<void>;
  /** While on: connections are taken, bytes are swallowed in both directions. */
  readonly swallow: (on: boolean) => void;
  /** Each direction takes so long; a round trip takes twice that. */
  readonly delay: (ms: number) => void;
  /** Bytes a second for each direction of each connection; 0 is as fast as it goes. */
  readonly throttle: (bytesPerSecond: number) => void;
  /**
   * Cuts what comes from the server into pieces of these sizes, over and over, each sent as a packet of its own with a
   * short pause; an empty list switches it off.
   */
  readonly rechunk: (sizes: readonly number[]) => void;
  /** Connections taken so far. */
  readonly opened: () => number;
  /** Connections open now. */
  readonly open: () => number;
  readonly close: () => Promise<void>;
};

type Line = {
  delayMs: number;
  bytesPerSecond: number;
  sizes: readonly number[];
  swallows: boolean;
  cutAfter: { direction: Direction; bytes: number; times: number } | undefined;
};

/** Pieces that wait for their time, at most; then the sender is held back. */
const maxWaitingBytes = 4 * 1024 * 1024;

export async function startProxy(options: {
  readonly to: { readonly host: string; readonly port: number };
}): Promise<Proxy> {
  const line: Line = { delayMs: 0, bytesPerSecond: 0, sizes: [], swallows: false, cutAfter: undefined };
  const pairs = new Set<readonly [Socket, Socket]>();
  let opened = 0;
  // allowHalfOpen: the end of one direction must not end the other.
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    opened += 1;
    const upstream = connect({ ...options.to, noDelay: true, allowHalfOpen: true });
    const pair = [client, upstream] as const;
    pairs.add(pair);
    const reset = (): void => {
      pairs.delete(pair);
      for (const socket of pair) socket.resetAndDestroy();
    };
    for (const socket of pair) socket.on('error', reset);
    const both = [
      carry({ from: client, to: upstream, direction: 'up', line, reset }),
      carry({ from: upstream, to: client, direction: 'down', line, reset }),
    ];
    void Promise.all(both).then(() => pairs.delete(pair));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server
  const cut = (): void => {
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    pairs.clear();
  };
  return {
    host: '127.0.0.1',
    port,
    cut,
    cutAfter: (direction, bytes, times = 1) => {
      line.cutAfter = bytes === 0 ? undefined : { direction, bytes, times };
    },
    refuse: async (on) => {
      // close() stops listening at once; waiting for its callback would wait for the open connections, which stay.
      if (on && server.listening) server.close();
      else if (!on && !server.listening) await once(server.listen(port, '127.0.0.1'), 'listening');
    },
    swallow: (on) => void (line.swallows = on),
    delay: (ms) => void (line.delayMs = ms),
    throttle: (bytesPerSecond) => void (line.bytesPerSecond = bytesPerSecond),
    rechunk: (sizes) => void (line.sizes = sizes),
    opened: () => opened,
    open: () => pairs.size,
    close: () => {
      cut();
      if (server.listening) server.close();
      return Promise.resolve();
    },
  };
}

/** One direction of one connection. Ends quietly when either side goes. */
async function carry(options: {
  readonly from: Socket;
  readonly to: Socket;
  readonly direction: Direction;
  readonly line: Line;
  readonly reset: () => void;
}): Promise<void> {
  const { from, to, direction, line } = options;
  let passed = 0;
  let waiting = 0;
  // Pieces wait in a queue of their own, so that a delay does not turn into a lower rate.
  let last = Promise.resolve();
  try {
    for await (const data of from.iterator({ destroyOnReturn: false })) {
      const chunk = data as Buffer; // a socket without encoding gives Buffers
      if (line.swallows) continue;
      const { cutAfter } = line;
      const limit = cutAfter?.direction === direction && cutAfter.times > 0 ? cutAfter.bytes - passed : Infinity;
      const part = chunk.subarray(0, Math.max(0, limit));
      const dueAt = performance.now() + line.delayMs;
      passed += part.length;
      waiting += part.length;
      last = last.then(async () => {
        await deliver({
          bytes: part,
          dueAt,
          to,
          sizes: direction === 'down' ? line.sizes : [],
          rate: line.bytesPerSecond,
        });
        waiting -= part.length;
      });
      last.catch(() => {}); // whoever awaits it hears of it; nobody may, when the connection is reset before
      if (waiting > maxWaitingBytes || line.delayMs === 0) await last;
      if (cutAfter === undefined || part.length < limit) continue;
      await last;
      await sleep(20); // a reset throws away what the kernel has not delivered yet
      cutAfter.times -= 1;
      options.reset();
      return;
    }
    await last;
    to.end();
  } catch {
    options.reset();
  }
}

async function deliver(options: {
  readonly bytes: Buffer;
  readonly dueAt: number;
  readonly to: Socket;
  readonly sizes: readonly number[];
  readonly rate: number;
}): Promise<void> {
  const { bytes, to, sizes, rate } = options;
  const wait = options.dueAt - performance.now();
  if (wait > 0) await sleep(wait);
  const turn = rate > 0 ? Math.max(1, Math.floor(rate / 20)) : Math.max(1, bytes.length);
  let at = 0;
  for (let n = 0; at < bytes.length && !to.destroyed; n += 1) {
    const size = sizes.length > 0 ? (sizes[n % sizes.length] ?? turn) : turn;
    const piece = bytes.subarray(at, at + Math.max(1, Math.min(size, turn)));
    at += piece.length;
    if (!to.write(piece)) await Promise.race([once(to, 'drain'), once(to, 'close')]);
    if (rate > 0) await sleep((piece.length / rate) * 1_000);
    else if (sizes.length > 0) await sleep(1); // else the kernel would join the pieces again
  }
}
