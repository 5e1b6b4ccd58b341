import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { codeOf } from '#shared/failure.ts';
import { startProxy } from './proxy.ts';
import { waitFor } from './wait.ts';

/** A server that answers each connection by `serve`, behind a proxy. */
async function start(t: TestContext, serve: (socket: Socket) => void) {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    socket.on('error', () => socket.destroy());
    serve(socket);
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const proxy = await startProxy({ to: { host: '127.0.0.1', port: (server.address() as AddressInfo).port } });
  t.after(async () => {
    await proxy.close();
    server.close();
  });
  const client = () => {
    const socket = connect({ host: proxy.host, port: proxy.port, allowHalfOpen: true });
    const seen = { bytes: Buffer.alloc(0), chunks: [] as number[], code: undefined as string | undefined };
    socket.on('data', (chunk) => {
      seen.bytes = Buffer.concat([seen.bytes, chunk]);
      seen.chunks.push(chunk.length);
    });
    socket.on('error', (error) => void (seen.code = codeOf(error)));
    t.after(() => socket.destroy());
    return { socket, seen };
  };
  return { proxy, client };
}
const echo = (socket: Socket): void => void socket.pipe(socket);

test('the proxy passes bytes both ways and keeps a half-closed connection', async (t) => {
  const { proxy, client } = await start(t, (socket) => {
    let length = 0;
    socket.on('data', (chunk) => void (length += chunk.length));
    socket.on('end', () => socket.end('got ' + length));
  });
  const { socket, seen } = client();
  socket.end(Buffer.alloc(300_000, 7));
  await once(socket, 'end');
  assert.equal(seen.bytes.toString(), 'got 300000');
  await waitFor('the pair to be forgotten', () => proxy.open() === 0);
  assert.equal(proxy.opened(), 1);
});

test('cut() resets open connections, later ones are taken', async (t) => {
  const { proxy, client } = await start(t, echo);
  const first = client();
  first.socket.write('a');
  await waitFor('an echo', () => first.seen.bytes.length === 1);
  proxy.cut();
  await waitFor('the reset', () => first.seen.code === 'ECONNRESET');
  const second = client();
  second.socket.write('b');
  await waitFor('an echo', () => second.seen.bytes.toString() === 'b');
});

test('refuse() refuses new connections and keeps the open one', async (t) => {
  const { proxy, client } = await start(t, echo);
  const first = client();
  first.socket.write('a');
  await waitFor('an echo', () => first.seen.bytes.length === 1);
  await proxy.refuse(true);
  const second = client();
  await waitFor('the refusal', () => second.seen.code === 'ECONNREFUSED');
  first.socket.write('b');
  await waitFor('an echo', () => first.seen.bytes.length === 2);
  await proxy.refuse(false);
  const third = client();
  third.socket.write('c');
  await waitFor('an echo', () => third.seen.bytes.length === 1);
});

test('cutAfter() lets exactly so many bytes through, on as many connections as asked', async (t) => {
  const { proxy, client } = await start(t, (socket) => socket.write(Buffer.alloc(100_000)));
  proxy.cutAfter('down', 70_000);
  const first = client();
  await waitFor('the reset', () => first.seen.code === 'ECONNRESET');
  assert.equal(first.seen.bytes.length, 70_000);
  const second = client();
  await waitFor('everything', () => second.seen.bytes.length === 100_000);
});

test('delay() makes a round trip take twice its time', async (t) => {
  const { proxy, client } = await start(t, echo);
  proxy.delay(60);
  const { socket, seen } = client();
  const began = performance.now();
  socket.write('a');
  await waitFor('an echo', () => seen.bytes.length === 1, { everyMs: 1 });
  const took = performance.now() - began;
  assert.ok(took >= 118, 'took ' + took + ' ms');
});

test('throttle() bounds the rate', async (t) => {
  const { proxy, client } = await start(t, (socket) => socket.end(Buffer.alloc(60_000)));
  proxy.throttle(200_000);
  const began = performance.now();
  const { socket, seen } = client();
  await once(socket, 'end');
  const took = performance.now() - began;
  assert.equal(seen.bytes.length, 60_000);
  assert.ok(took >= 280, 'took ' + took + ' ms');
});

test('rechunk() cuts what the server says into the given pieces', async (t) => {
  const { proxy, client } = await start(t, (socket) => socket.end(Buffer.from('0123456789')));
  proxy.rechunk([1, 3]);
  const { socket, seen } = client();
  await once(socket, 'end');
  assert.equal(seen.bytes.toString(), '0123456789');
  // On a busy machine the kernel may join two pieces; it never cuts them elsewhere.
  const ends = seen.chunks.map((_, index) => seen.chunks.slice(0, index + 1).reduce((sum, length) => sum + length, 0));
  assert.ok(ends.length >= 3 && ends.every((end) => [1, 4, 5, 8, 9, 10].includes(end)), ends.join(' '));
});

test('swallow() loses bytes without closing', async (t) => {
  const { proxy, client } = await start(t, echo);
  const { socket, seen } = client();
  proxy.swallow(true);
  socket.write('lost');
  await waitFor('the bytes to be swallowed', () => socket.bytesWritten === 4 && proxy.open() === 1);
  await new Promise((resolve) => setTimeout(resolve, 30)); // nothing tells that something does not happen
  proxy.swallow(false);
  socket.write('kept');
  await waitFor('the echo', () => seen.bytes.length > 0);
  assert.equal(seen.bytes.toString(), 'kept');
});
