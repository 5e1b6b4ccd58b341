// The life of an authority, on a clock of the test's own; openssl is the judge of what it makes.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect, createServer } from 'node:tls';
import { fingerprintOf } from '#shared/enrolment.ts';
import { createLog } from '#shared/log.ts';
import {
  announceDays,
  authorityDays,
  namesOf,
  nextDays,
  openAuthority,
  serverDays,
} from '../../../collector/broker/authority.ts';

const dayMs = 86_400_000;

function setup(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-authority-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const time = { now: Date.now() };
  const open = (names = ['collector.example.net', '192.0.2.1', '2001:db8::1'], place = folder) =>
    openAuthority({ folder: place, names, now: () => time.now, log: createLog({ name: 'test', level: 'silent' }) });
  return { folder, time, open, pass: (days: number) => void (time.now += days * dayMs) };
}

const verify = (folder: string, tls: { readonly cert: string }, authority: string, at: number, name: string): void => {
  writeFileSync(join(folder, 'ca.test'), authority);
  writeFileSync(join(folder, 'leaf.test'), tls.cert);
  const when = ['-attime', String(Math.floor(at / 1_000))];
  const who = /^[0-9.:a-f]+$/.test(name) ? ['-verify_ip', name] : ['-verify_hostname', name];
  execFileSync('openssl', [
    'verify',
    '-x509_strict',
    '-purpose',
    'sslserver',
    ...when,
    ...who,
    '-CAfile',
    join(folder, 'ca.test'),
    join(folder, 'leaf.test'),
  ]);
};

test('openssl believes the certificate for each of its names and for no other', async (t) => {
  const { folder, open, time } = setup(t);
  const authority = open();
  assert.equal(await authority.renew(), true);
  const [ca = ''] = authority.authorities();
  for (const name of ['collector.example.net', '192.0.2.1', '2001:db8::1'])
    verify(folder, authority.tls(), ca, time.now, name);
  assert.throws(() => verify(folder, authority.tls(), ca, time.now, 'other.example.net'));
  assert.throws(() =>
    verify(folder, authority.tls(), ca, time.now + (serverDays + 1) * dayMs, 'collector.example.net'),
  );
  assert.equal(authority.fingerprint(), fingerprintOf(new X509Certificate(ca).raw));
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.pem')))
    assert.equal(statSync(join(folder, name)).mode & 0o777, 0o600, name);
  assert.equal(statSync(folder).mode & 0o077, 0);
});

test('a client that has only the fingerprint sees the authority in the handshake, and believes it afterwards', async (t) => {
  const { open } = setup(t);
  const authority = open(['localhost']);
  await authority.renew();
  const server = createServer({ ...authority.tls() }, (socket) => socket.end());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo; // a TCP server
  const first = connect({ host: '127.0.0.1', port, servername: 'localhost', rejectUnauthorized: false });
  await once(first, 'secureConnect');
  const shown = first.getPeerCertificate(true).issuerCertificate;
  assert.equal(fingerprintOf(shown.raw), authority.fingerprint());
  first.destroy();
  const ca = new X509Certificate(shown.raw).toString();
  const second = connect({ host: '127.0.0.1', port, servername: 'localhost', ca });
  await once(second, 'secureConnect');
  assert.equal(second.authorized, true);
  second.destroy();
});

test('nothing changes between two looks, and a copy of the folder is the same authority', async (t) => {
  const { folder, open } = setup(t);
  const authority = open();
  await authority.renew();
  assert.equal(await authority.renew(), false);
  const copy = mkdtempSync(join(tmpdir(), 'mailferry-authority-'));
  t.after(() => rmSync(copy, { recursive: true }));
  cpSync(folder, copy, { recursive: true });
  const restored = open(undefined, copy);
  await restored.renew();
  assert.deepEqual(restored.tls(), authority.tls());
  assert.equal(restored.fingerprint(), authority.fingerprint());
});

test('through thirty years every certificate is believed by whoever was told the authorities half a year before', async (t) => {
  const { folder, open, pass, time } = setup(t);
  let authority = open();
  await authority.renew();
  const told: { readonly at: number; readonly list: readonly string[] }[] = [];
  const signers = new Set<string>();
  let seen = '';
  for (let day = 0; day < 30 * 365; day += 30) {
    // Also over restarts of the collector.
    if (day % 900 === 0) authority = open();
    await authority.renew();
    told.push({ at: time.now, list: authority.authorities() });
    signers.add(authority.fingerprint());
    const known = told.findLast(({ at }) => at <= time.now - (announceDays - 30) * dayMs) ?? told[0];
    const believed = known?.list.join('') ?? '';
    // openssl is slow: it is asked when something is new.
    if (seen !== authority.tls().cert + believed)
      verify(folder, authority.tls(), believed, time.now, 'collector.example.net');
    seen = authority.tls().cert + believed;
    assert.ok(Date.parse(new X509Certificate(authority.tls().cert).validTo) > time.now);
    assert.equal(authority.problem(), undefined);
    pass(30);
  }
  assert.ok(signers.size >= 3, String(signers.size));
  assert.ok(authorityDays - nextDays < 10 * 365);
});

test('the next authority is made on demand, told at once, and signs half a year later', async (t) => {
  const { open, pass } = setup(t);
  const authority = open();
  await authority.renew();
  const first = authority.fingerprint();
  assert.equal(await authority.renew({ next: true }), true);
  assert.equal(authority.authorities().length, 2);
  assert.equal(authority.fingerprint(), first);
  pass(announceDays);
  assert.equal(await authority.renew(), true);
  assert.notEqual(authority.fingerprint(), first);
  assert.equal(authority.authorities().length, 2);
});

test('a backup so old that its authority has ended is told in plain words', async (t) => {
  const { open, pass } = setup(t);
  const authority = open();
  await authority.renew();
  pass(authorityDays + 10);
  assert.match(
    authority.problem() ?? '',
    /^the authority has ended on 20..-..-..: agents refuse the broker until they enrol again$/,
  );
  // A collector that starts then goes on with a new one: who enrols, is served.
  const again = open();
  await again.renew();
  assert.equal(again.problem(), undefined);
});

test('a new name gets a new certificate of the same authority; a lost key is told with its remedy', async (t) => {
  const { folder, open } = setup(t);
  const authority = open();
  await authority.renew();
  const moved = open(['collector.example.org']);
  await moved.renew();
  assert.equal(moved.fingerprint(), authority.fingerprint());
  assert.notEqual(moved.tls().cert, authority.tls().cert);
  writeFileSync(join(folder, 'authority-1-key.pem'), readFileSync(join(folder, 'server.pem')));
  await assert.rejects(open().renew(), {
    name: 'UserError',
    message: /its key is another one.*put the folder back from a backup/,
  });
});

test('namesOf() takes names and addresses out of addresses of brokers, each once', () => {
  assert.deepEqual(
    namesOf(['mqtts://a.example:8883', 'wss://a.example/mqtt', 'mqtts://[2001:db8::1]:8883', 'mqtts://192.0.2.1']),
    ['a.example', '2001:db8::1', '192.0.2.1'],
  );
});
