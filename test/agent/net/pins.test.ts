import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { TLSSocket, createServer as createTlsServer } from 'node:tls';
import { ConnectError, openSocket, pinOf, upgradeSocket } from '../../../agent/net/socket.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { createLab } from '../../lab/lab.ts';

const deadline = { timeoutMs: 5_000 };
const other = 'sha256/' + 'A'.repeat(43) + '=';

async function start(t: TestContext, secure: boolean) {
  const { keyFile, certFile, ca } = await createLab(t).certificate();
  const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)];
  const received: string[] = [];
  const server = secure ? createTlsServer({ key, cert }) : createServer();
  server.on(secure ? 'secureConnection' : 'connection', (socket: TLSSocket) => {
    const talk = secure ? socket : new TLSSocket(socket, { isServer: true, key, cert });
    talk.on('data', (bytes) => void received.push(bytes.toString())).on('error', () => {});
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo; // a TCP server
  const base: Endpoint = { host: 'localhost', port, tls: secure ? 'implicit' : 'starttls', ca };
  return { base, received, certFile, pin: pinOf(new X509Certificate(cert).publicKey) };
}

/** As a configured server is reached: with TLS at the end, whichever kind. */
async function open(endpoint: Endpoint) {
  const socket = await openSocket(endpoint, deadline);
  return endpoint.tls === 'implicit' ? socket : upgradeSocket(socket, endpoint, deadline);
}

for (const secure of [true, false]) {
  const kind = secure ? 'TLS from the first byte' : 'TLS later';
  test(kind + ': the pin of the server, or a backup beside it, lets through', async (t) => {
    const { base, pin } = await start(t, secure);
    for (const pins of [[pin], [other, pin], [pin, other]]) (await open({ ...base, pins })).destroy();
    (await open(base)).destroy();
  });

  test(kind + ': another key is refused, named, and nothing is sent to it', async (t) => {
    const { base, pin, received } = await start(t, secure);
    await assert.rejects(open({ ...base, pins: [other] }), (error: unknown) => {
      assert.ok(error instanceof ConnectError && error.stage === 'tls');
      assert.equal(
        error.message,
        'Cannot start TLS with localhost:' +
          base.port +
          ': its public key is ' +
          pin +
          ', expected one of pins (' +
          other +
          ')',
      );
      return true;
    });
    assert.deepEqual(received, []);
  });

  test(kind + ': a pin does not stand in for the authority or the name', async (t) => {
    const { base, pin } = await start(t, secure);
    const { ca: _, ...unknown } = base;
    await assert.rejects(open({ ...unknown, pins: [pin] }), /expected a valid certificate/);
    await assert.rejects(open({ ...base, serverName: 'mail.example.net', pins: [pin] }), /ALTNAME/);
  });
}

test('the pin is what openssl makes of the key', async (t) => {
  const { pin, certFile } = await start(t, true);
  const command =
    'openssl x509 -in "$1" -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64';
  assert.equal(pin, 'sha256/' + execFileSync('sh', ['-c', command, 'sh', certFile], { encoding: 'utf8' }).trim());
});
