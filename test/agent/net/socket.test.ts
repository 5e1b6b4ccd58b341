import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { test } from 'node:test';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import { ConnectError, openSocket, upgradeSocket } from '../../../agent/net/socket.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

type Owner = { readonly after: (work: () => Promise<void>) => void };
const deadline = { timeoutMs: 5_000 };

async function listen(t: Owner, server: Server): Promise<{ readonly port: number; readonly open: () => number }> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy()));
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return { port: (server.address() as AddressInfo).port, open: () => sockets.size }; // a TCP server
}

async function certificate(t: Owner) {
  const { keyFile, certFile, ca } = await createLab(t).certificate();
  return { key: await readFile(keyFile), cert: await readFile(certFile), ca };
}

async function failing(sending: Promise<Socket>, stage: 'tcp' | 'tls', message: RegExp): Promise<void> {
  await assert.rejects(sending, (error: unknown) => {
    assert.ok(error instanceof ConnectError, String(error));
    assert.equal(error.stage, stage);
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

test('a plain socket opens without delay between small writes', async (t) => {
  const { port } = await listen(
    t,
    createServer((socket) => void socket.end('hello')),
  );
  const socket = await openSocket({ host: '127.0.0.1', port, tls: 'none' }, deadline);
  const [chunk] = (await once(socket, 'data')) as [Buffer]; // a socket without encoding
  assert.equal(chunk.toString(), 'hello');
  socket.destroy();
});

test('TLS from the first byte, by name and by address, with the authority given', async (t) => {
  const { key, cert, ca } = await certificate(t);
  const { port } = await listen(
    t,
    createTlsServer({ key, cert }, (socket) => void socket.end('hello')),
  );
  for (const host of ['127.0.0.1', 'localhost']) {
    const socket = await openSocket({ host, port, tls: 'implicit', ca }, deadline);
    assert.ok(socket instanceof TLSSocket);
    assert.equal(socket.authorized, true);
    socket.destroy();
  }
});

test('TLS later on the same socket', async (t) => {
  const { key, cert, ca } = await certificate(t);
  const { port } = await listen(
    t,
    createServer((socket) => void new TLSSocket(socket, { isServer: true, key, cert }).write('secret')),
  );
  const endpoint: Endpoint = { host: 'localhost', port, tls: 'starttls', ca };
  const secure = await upgradeSocket(await openSocket(endpoint, deadline), endpoint, deadline);
  const [chunk] = (await once(secure, 'data')) as [Buffer]; // a socket without encoding
  assert.equal(chunk.toString(), 'secret');
  secure.destroy();
});

test('what is no valid TLS is refused in one line that names the remedy, and the socket is gone', async (t) => {
  const { key, cert, ca } = await certificate(t);
  const tls = await listen(t, createTlsServer({ key, cert }));
  const base = { host: '127.0.0.1', port: tls.port, tls: 'implicit' } as const;
  await failing(
    openSocket(base, deadline),
    'tls',
    /Cannot start TLS with 127\.0\.0\.1:\d+: [A-Z_]+, expected a valid certificate for 127\.0\.0\.1; check .* caFile/,
  );
  await failing(
    openSocket({ ...base, ca, serverName: 'mail.example.net' }, deadline),
    'tls',
    /ERR_TLS_CERT_ALTNAME_INVALID, expected a valid certificate for mail\.example\.net/,
  );
  const plain = await listen(
    t,
    createServer((socket) => void socket.resume().write('220 plain\r\n')),
  );
  await failing(
    openSocket({ ...base, port: plain.port, ca }, deadline),
    'tls',
    /seems to speak plain text first: check port, and tls/,
  );
  const closing = await listen(
    t,
    createServer((socket) => void socket.once('data', () => socket.end())),
  );
  await failing(openSocket({ ...base, port: closing.port, ca }, deadline), 'tls', /Cannot start TLS/);
  await waitFor('the sockets to be gone', () => tls.open() + plain.open() + closing.open() === 0);
});

test('nobody there, an unknown host, a silent handshake and a stop end in time', async (t) => {
  const silent = await listen(
    t,
    createServer((socket) => void socket.resume()),
  );
  const base = { host: '127.0.0.1', port: silent.port, tls: 'implicit' } as const;
  await failing(openSocket(base, { timeoutMs: 100 }), 'tls', /no answer within 100 ms/);
  await failing(
    openSocket({ ...base, host: 'nobody.invalid' }, deadline),
    'tcp',
    /Cannot connect to nobody\.invalid:\d+: E\w+, expected/,
  );
  const gone = createServer();
  await once(gone.listen(0, '127.0.0.1'), 'listening');
  const goneAddress = gone.address() as AddressInfo; // a TCP server
  await new Promise((resolve) => gone.close(resolve));
  await failing(openSocket({ ...base, port: goneAddress.port }, deadline), 'tcp', /ECONNREFUSED/);
  await failing(openSocket(base, { ...deadline, signal: AbortSignal.abort() }), 'tcp', /stopped/);
  const stop = new AbortController();
  const opening = openSocket(base, { ...deadline, signal: stop.signal });
  await waitFor('the connection', () => silent.open() > 0);
  stop.abort();
  await assert.rejects(opening, /stopped/);
  await waitFor('the sockets to be gone', () => silent.open() === 0);
});
