import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import type { Server } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connectByName } from '../../../agent/net/race.ts';
import { openSocket } from '../../../agent/net/socket.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const at =
  (...addresses: readonly string[]) =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })));
const timeoutMs = 60_000;

async function listen(
  t: TestContext,
  host: string,
  port = 0,
): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((socket) => socket.on('error', () => {}));
  t.after(() => server.close());
  await new Promise<void>((resolve) => server.listen(port, host, resolve));
  const place = server.address();
  return { server, port: typeof place === 'object' && place !== null ? place.port : 0 };
}

/** Something that listens at 127.0.0.2 and answers nobody, as a line does that loses every packet; `wake` ends that. */
async function startDeaf(t: TestContext, port: number): Promise<{ readonly wake: () => void }> {
  const lab = createLab(t);
  const text =
    'require("node:net").createServer((s) => s.on("error", () => {})).listen({ port: ' +
    port +
    ', host: "127.0.0.2", backlog: 1 }, () => console.log("listens"))';
  const child = await lab.run({ name: 'deaf', command: process.execPath, args: ['-e', text] });
  await waitFor('it to listen', () => child.log().includes('listens'));
  process.kill(child.pid, 'SIGSTOP');
  const wake = (): void => void process.kill(child.pid, 'SIGCONT');
  lab.onStop(wake);
  // Its queue of connections is filled: what comes after is dropped by the kernel, without a word.
  const states = Array.from({ length: 8 }, () => {
    const socket = connect(port, '127.0.0.2');
    t.after(() => socket.destroy());
    socket.on('error', () => {});
    return socket;
  });
  await waitFor(
    'a full queue',
    () => states.some((socket) => !socket.connecting) && states.at(-1)?.connecting === true,
  );
  return { wake };
}

test('an address that never answers costs a moment, not the connection', async (t) => {
  const { port, server } = await listen(t, '127.0.0.1');
  await startDeaf(t, port);
  const socket = await connectByName('mail.example.org', port, { timeoutMs, find: at('127.0.0.2', '127.0.0.1') });
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
  await waitFor(
    'no connection to be left',
    () => new Promise((resolve) => server.getConnections((_, count) => resolve(count === 0))),
  );
});

test('an address that answers slowly is not given up for one that refuses', async (t) => {
  const { port, server } = await listen(t, '127.0.0.1');
  server.close();
  const { wake } = await startDeaf(t, port);
  const opening = connectByName('mail.example.org', port, { timeoutMs, find: at('127.0.0.2', '127.0.0.1', '::1') });
  // The others have refused by then.
  setTimeout(wake, 800);
  const socket = await opening;
  assert.equal(socket.remoteAddress, '127.0.0.2');
  socket.destroy();
});

test('who refuses is passed over at once; when all do, the first says why', async (t) => {
  const { port, server } = await listen(t, '127.0.0.1');
  const socket = await connectByName('h', port, { timeoutMs, find: at('::1', '127.0.0.3', '127.0.0.1') });
  assert.equal(socket.remoteAddress, '127.0.0.1');
  socket.destroy();
  server.close();
  await assert.rejects(connectByName('h', port, { timeoutMs, find: at('127.0.0.1', '127.0.0.3') }), {
    code: 'ECONNREFUSED',
  });
  await assert.rejects(connectByName('h', port, { timeoutMs, find: at() }), /no address/);
  const unknown = Object.assign(new Error('unknown'), { code: 'ENOTFOUND' });
  await assert.rejects(connectByName('h', port, { timeoutMs, find: () => Promise.reject(unknown) }), {
    code: 'ENOTFOUND',
  });
});

test('a wait ends by its limit and by an abort, also while the name is looked up', async (t) => {
  const { port, server } = await listen(t, '127.0.0.1');
  server.close();
  await startDeaf(t, port);
  await assert.rejects(connectByName('h', port, { timeoutMs: 300, find: at('127.0.0.2') }), /no answer within 300 ms/);
  const never = () => new Promise<never>(() => {});
  await assert.rejects(connectByName('h', port, { timeoutMs: 100, find: never }), /no answer within 100 ms/);
  const stop = new AbortController();
  const opening = connectByName('h', port, { timeoutMs, find: never, signal: stop.signal });
  stop.abort();
  await assert.rejects(opening, /stopped/);
  await assert.rejects(connectByName('h', port, { timeoutMs, find: at('127.0.0.2'), signal: stop.signal }), /stopped/);
});

test('openSocket() takes a name, and tells its trouble as that of an address', async (t) => {
  const { port, server } = await listen(t, '127.0.0.1');
  const socket = await openSocket({ host: 'localhost', port, tls: 'none' }, { timeoutMs });
  assert.equal(socket.remotePort, port);
  socket.destroy();
  server.close();
  await assert.rejects(openSocket({ host: 'localhost', port, tls: 'none' }, { timeoutMs }), {
    name: 'ConnectError',
    stage: 'tcp',
    message:
      'Cannot connect to localhost:' +
      port +
      ': ECONNREFUSED, expected a mail server that answers there; check host and port',
  });
});
