// A TCP proxy that says what went through each connection.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export type Passed = {
  readonly up: number;
  readonly down: number;
  /** From the connection to its end. */
  readonly seconds: number;
};
export type CountingProxy = {
  readonly host: string;
  readonly port: number;
  /** Connections that have ended, oldest first. */
  readonly ended: () => readonly Passed[];
  /** While off, connections are closed at once. */
  readonly serve: (on: boolean) => void;
  readonly close: () => Promise<void>;
};

export async function startCountingProxy(to: { readonly host: string; readonly port: number }): Promise<CountingProxy> {
  const ended: Passed[] = [];
  const open = new Set<Socket>();
  let serving = true;
  const server = createServer({ noDelay: true }, (client) => {
    open.add(client);
    client.on('error', () => client.destroy());
    if (!serving) {
      client.destroy();
      return;
    }
    const startedAt = performance.now();
    const upstream = connect({ ...to, noDelay: true });
    upstream.on('error', () => upstream.destroy());
    client.pipe(upstream).pipe(client);
    client.on('close', () => {
      open.delete(client);
      upstream.destroy();
      const seconds = (performance.now() - startedAt) / 1_000;
      ended.push({ up: client.bytesRead, down: upstream.bytesRead, seconds });
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo; // a TCP server
  return {
    host: '127.0.0.1',
    port,
    ended: () => ended,
    serve: (on) => void (serving = on),
    close: () => {
      for (const socket of open) socket.destroy();
      server.close();
      return Promise.resolve();
    },
  };
}
