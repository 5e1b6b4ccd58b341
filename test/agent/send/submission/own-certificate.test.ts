// The certificate that the agent makes for itself, judged by openssl and by Node's own TLS.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { openOwnCertificate } from '../../../../agent/send/submission/own-certificate.ts';

const run = promisify(execFile);
const names = ['nas.office.test', 'localhost', '127.0.0.1', '::1', '2001:db8::7:0:1'];
const dayMs = 86_400_000;

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mailferry-certificate-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test('openssl reads it, verifies it, and finds names, use and validity as they should be', async (t) => {
  const folder = await tempFolder(t);
  await openOwnCertificate({ folder, names, now: Date.now });
  const file = join(folder, 'submission-cert.pem');
  const { stdout } = await run('openssl', ['x509', '-in', file, '-noout', '-text']);
  assert.match(stdout, /Version: 3 \(0x2\)/);
  assert.match(stdout, /Signature Algorithm: sha256WithRSAEncryption/);
  assert.match(stdout, /Subject: CN = nas\.office\.test/);
  assert.match(stdout, /Public-Key: \(2048 bit\)/);
  assert.match(stdout, /X509v3 Basic Constraints: critical\s+CA:FALSE/);
  assert.match(stdout, /X509v3 Key Usage: critical\s+Digital Signature, Key Encipherment/);
  assert.match(stdout, /TLS Web Server Authentication/);
  assert.match(
    stdout,
    /DNS:nas\.office\.test, DNS:localhost, IP Address:127\.0\.0\.1, IP Address:0:0:0:0:0:0:0:1, IP Address:2001:DB8:0:0:0:7:0:1/,
  );
  const verified = await run('openssl', ['verify', '-x509_strict', '-CAfile', file, '-purpose', 'sslserver', file]);
  assert.match(verified.stdout, /: OK/);
  const asn1 = await run('openssl', ['asn1parse', '-in', file]);
  assert.doesNotMatch(asn1.stderr, /error/i);
});

for (const name of ['nas.office.test', '127.0.0.1', '::1'])
  test('a TLS client that trusts it accepts it for ' + name + ', and for no other name', async (t) => {
    const { key, cert } = await openOwnCertificate({ folder: await tempFolder(t), names, now: Date.now });
    const server = createServer({ key, cert }, (socket) => socket.end('hello'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const reach = (host: string): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const servername = /^[\d:]/.test(host) ? {} : { servername: host };
        const socket = connect({
          port,
          host: '127.0.0.1',
          ca: cert,
          ...servername,
          checkServerIdentity: checkAs(host),
        });
        socket.on('secureConnect', () => resolve(socket.end().authorized)).on('error', reject);
      });
    assert.equal(await reach(name), true);
    await assert.rejects(reach('other.office.test'), /altname/i);
  });

/** As Node does it for the host that was asked for. */
function checkAs(host: string) {
  return (_: string, cert: PeerCertificate): Error | undefined => {
    const found = new X509Certificate(cert.raw);
    const fits = /^[\d:]/.test(host) ? found.checkIP(host) : found.checkHost(host);
    return fits === undefined ? new Error('no altname for ' + host) : undefined;
  };
}

test('it is made once; renewed in time with the same key; made anew for another name or without its key', async (t) => {
  const folder = await tempFolder(t);
  let now = Date.UTC(2026, 10, 25);
  const open = (wanted = names) => openOwnCertificate({ folder, names: wanted, now: () => now });
  const first = await open();
  assert.deepEqual(await open(), { ...first, made: false });
  for (const name of await readdir(folder)) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name);
  now += 700 * dayMs;
  assert.equal((await open()).made, false, 'two years are not enough');
  now += 80 * dayMs;
  const renewed = await open();
  assert.deepEqual([renewed.made, renewed.key === first.key, renewed.cert === first.cert], [true, true, false]);
  const { validFrom, validTo } = new X509Certificate(renewed.cert);
  assert.ok(Date.parse(validTo) - Date.parse(validFrom) <= 825 * dayMs);
  const moved = await open(['mail.office.test', ...names]);
  assert.deepEqual([moved.made, moved.key === first.key], [true, true]);
  await writeFile(join(folder, 'submission-key.pem'), 'half a ke');
  const other = await open(['mail.office.test', ...names]);
  assert.deepEqual([other.made, other.key === first.key], [true, false]);
  now -= 3_000 * dayMs;
  assert.equal((await open(['mail.office.test', ...names])).made, true, 'a clock that was wrong is right now');
});
