// The path on certificates as openssl makes them: an intermediate, a root, and the same root signed once more by an older one.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { lifeOf, pathOf } from '../../../../agent/probe/certificate/path.ts';
import { timeIn } from '../../../../agent/probe/certificate/dialog.ts';
import { judge } from '../../../../agent/probe/certificate/certificate.ts';

function makeAll(): Readonly<Record<'leaf' | 'middle' | 'root' | 'cross' | 'older' | 'stranger', X509Certificate>> {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-path-'));
  const file = (name: string): string => join(folder, name);
  const openssl = (...args: readonly string[]): void =>
    void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  try {
    writeFileSync(file('ca.ext'), 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n');
    writeFileSync(file('leaf.ext'), 'basicConstraints=critical,CA:FALSE\nsubjectAltName=DNS:mail.example.org\n');
    const request = (name: string, subject: string): void =>
      openssl(
        'req',
        '-new',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:prime256v1',
        '-nodes',
        '-keyout',
        name + '.key',
        '-out',
        name + '.csr',
        '-subj',
        '/CN=' + subject,
      );
    const sign = (name: string, out: string, by: readonly string[], days: number, extension: string): void =>
      openssl(
        'x509',
        '-req',
        '-in',
        name + '.csr',
        '-out',
        out + '.pem',
        '-days',
        String(days),
        '-extfile',
        extension,
        ...by,
      );
    const signedBy = (name: string): readonly string[] => [
      '-CA',
      name + '.pem',
      '-CAkey',
      name + '.key',
      '-CAcreateserial',
    ];
    for (const [name, subject] of [
      ['older', 'Older Root'],
      ['root', 'Root'],
      ['middle', 'Middle'],
      ['leaf', 'mail.example.org'],
      ['stranger', 'Stranger'],
    ] as const)
      request(name, subject);
    sign('older', 'older', ['-signkey', 'older.key'], 3, 'ca.ext');
    sign('stranger', 'stranger', ['-signkey', 'stranger.key'], 1, 'ca.ext');
    sign('root', 'root', ['-signkey', 'root.key'], 4_000, 'ca.ext');
    sign('root', 'cross', signedBy('older'), 2, 'ca.ext');
    sign('middle', 'middle', signedBy('root'), 900, 'ca.ext');
    sign('leaf', 'leaf', signedBy('middle'), 90, 'leaf.ext');
    const read = (name: string): X509Certificate => new X509Certificate(readFileSync(file(name + '.pem')));
    return {
      leaf: read('leaf'),
      middle: read('middle'),
      root: read('root'),
      cross: read('cross'),
      older: read('older'),
      stranger: read('stranger'),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const { cross, leaf, middle, older, root, stranger } = makeAll();
const names = (path: readonly X509Certificate[]): readonly string[] =>
  path.map(({ subject }) => subject.replace('CN=', ''));
const dayMs = 86_400_000;

test('the path ends at the first authority that is trusted, however the server goes on', () => {
  assert.deepEqual(names(pathOf([leaf, middle, cross, older], [root, older])), ['mail.example.org', 'Middle', 'Root']);
  assert.deepEqual(names(pathOf([leaf, middle, cross], [older])), ['mail.example.org', 'Middle', 'Root', 'Older Root']);
  assert.deepEqual(
    names(pathOf([leaf, stranger, middle], [root])),
    ['mail.example.org', 'Middle', 'Root'],
    'order and strangers do not matter',
  );
  assert.deepEqual(names(pathOf([leaf], [root])), ['mail.example.org'], 'the server did not send what is between');
  assert.deepEqual(names(pathOf([leaf, middle], [leaf])), ['mail.example.org'], 'trusted by itself');
  assert.deepEqual(names(pathOf([root], [])), ['Root'], 'signed by itself');
  assert.deepEqual(pathOf([], [root]), []);
});

test('the life is that of the first one to end on the path, not of what stands beside it', () => {
  const now = Date.now();
  const sent = [leaf, middle, cross, older, stranger];
  const life = lifeOf(pathOf(sent, [root]), now);
  assert.equal(life?.name, 'mail.example.org');
  assert.ok(Math.abs((life?.daysLeft ?? 0) - 90) < 0.1);
  assert.equal(lifeOf(pathOf(sent, [older]), now)?.name, 'Root', 'by the older one it ends in two days');
  const late = lifeOf(pathOf(sent, [root]), now + 80 * dayMs);
  assert.ok(Math.abs((late?.shareLeft ?? 0) - 1 / 9) < 0.01);
  assert.equal(lifeOf(pathOf(sent, [root]), now + 100 * dayMs)?.shareLeft, 0);
  assert.equal(lifeOf([], now), undefined);
});

test('warnings come by the share of life left, and never for what lives for years', () => {
  const endpoint = { host: 'mail.example.org', port: 993, tls: 'implicit' } as const;
  const server = { name: 'x', protocol: 'imap', endpoint } as const;
  const level = (shareLeft: number, daysLeft: number): string =>
    judge(server, { kind: 'seen', handshakeMs: 12, path: [leaf] }, { name: 'x', daysLeft, shareLeft }).level;
  assert.equal(level(0.5, 45), 'ok');
  assert.equal(level(0.19, 17), 'warning', 'of 90 days');
  assert.equal(level(0.06, 5), 'critical');
  assert.equal(level(0.3, 1.8), 'ok', 'of 6 days: not due yet');
  assert.equal(level(0.19, 1.1), 'warning');
  assert.equal(level(0.19, 700), 'ok', 'of ten years');
  assert.equal(level(0.01, 40), 'warning');
});

test('the time in a greeting is read where there is one', () => {
  assert.equal(
    timeIn('220 mail.example.org ESMTP Exim 4.96 Tue, 25 Nov 2025 10:00:00 +0100'),
    Date.parse('2025-11-25T09:00:00Z'),
  );
  assert.equal(
    timeIn('220 mx Microsoft ESMTP MAIL Service ready at Tue, 25 Nov 2025 09:00:00 +0000'),
    Date.parse('2025-11-25T09:00:00Z'),
  );
  assert.equal(timeIn('220 mail.example.org ESMTP Postfix'), undefined);
});
