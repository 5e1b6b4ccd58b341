// Certificates against real mail servers, and against servers that do what no good one does.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { createCertificateChecks } from '../../../../agent/probe/certificate/certificate.ts';
import type { WatchedServer } from '../../../../agent/probe/certificate/certificate.ts';
import { lookAtTls } from '../../../../agent/probe/certificate/handshake.ts';
import { pinOf } from '../../../../agent/net/socket.ts';
import { X509Certificate } from 'node:crypto';
import { openOwnCertificate } from '../../../../agent/send/submission/own-certificate.ts';
import { createLab } from '../../../lab/lab.ts';

const never = new AbortController().signal;
type Told = { readonly level: string; readonly text: string; readonly remedy?: string };

async function look(servers: readonly WatchedServer[], clock: Clock = systemClock) {
  const points: Point[] = [];
  const ahead = new Map<string, number>();
  const meter = createMeter({ clock, sink: (point) => points.push(point) });
  const onTime = (server: string, aheadMs: number): void => void ahead.set(server, aheadMs);
  const checks = createCertificateChecks({ servers, everyMs: 1_000, clock, meter, onTime });
  const told = new Map<string, Told>();
  for (const check of checks) for (const finding of await check.run(never)) told.set(finding.target, finding);
  return { told, points, ahead };
}

test('servers of the provider and of this site in all four manners, believed and not believed', async (t) => {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({ users: { 'info@example.org': 'secret' } });
  const postfix = await lab.postfix({ role: 'relay', domains: ['example.org'], users: {} });
  const certificate = await lab.certificate();
  const own = pinOf(new X509Certificate(readFileSync(certificate.certFile)).publicKey);
  const { ca } = dovecot;
  const at = (name: string, protocol: WatchedServer['protocol'], port: number, rest: object = {}): WatchedServer => ({
    name,
    protocol,
    endpoint: { host: '127.0.0.1', port, tls: 'starttls', ca, ...rest },
  });
  const servers = [
    at('pop3s', 'pop3', dovecot.pop3s, { tls: 'implicit' }),
    at('stls', 'pop3', dovecot.pop3),
    at('imap', 'imap', dovecot.imap),
    at('smtp', 'smtp', postfix.submission),
    at('by name', 'smtp', postfix.submission, { host: 'localhost' }),
    at('pinned', 'smtp', postfix.submission, { pins: [own] }),
    at('other name', 'pop3', dovecot.pop3, { serverName: 'mail.example.org' }),
    {
      ...at('unknown authority', 'pop3', dovecot.pop3),
      endpoint: { host: '127.0.0.1', port: dovecot.pop3, tls: 'starttls' } as const,
    },
    at('other key', 'smtp', postfix.submission, { pins: ['sha256/' + 'A'.repeat(43) + '='] }),
    at('plain port', 'pop3', dovecot.pop3, { tls: 'implicit' }),
    at('nobody', 'smtp', await lab.freePort()),
  ];
  const { points, told } = await look(servers);
  for (const name of ['pop3s', 'stls', 'imap', 'smtp', 'by name', 'pinned']) {
    assert.equal(told.get(name)?.level, 'ok', name + ': ' + told.get(name)?.text);
    assert.match(told.get(name)?.text ?? '', /^valid for (?:\d+ days|4\d hours), handshake \d+ ms$/);
  }
  const bad: readonly (readonly [string, string, RegExp, RegExp])[] = [
    ['other name', 'critical', /^the certificate is for another name: .*mail\.example\.org/, /serverName/],
    ['unknown authority', 'critical', /does not send the certificates between|signed by nobody/, /caFile/],
    ['other key', 'critical', /its public key is sha256/, /pins/],
    ['plain port', 'critical', /^the TLS handshake fails/, /tls implicit/],
    ['nobody', 'unknown', /ECONNREFUSED/, /host and port/],
  ];
  for (const [name, level, text, remedy] of bad) {
    assert.equal(told.get(name)?.level, level, name + ': ' + told.get(name)?.text);
    assert.match(told.get(name)?.text ?? '', text, name);
    assert.match(told.get(name)?.remedy ?? '', remedy, name);
  }
  const point = points.find(({ tags }) => tags['server'] === 'pop3s');
  assert.equal(point?.fields['level'], 0);
  assert.ok(Number(point?.fields['handshake_seconds']) > 0);
  assert.ok(
    Number(point?.fields['days_left']) > 1.9 && Number(point?.fields['days_left']) <= 2,
    "the lab's certificates live for two days",
  );
  assert.ok(Number(point?.fields['share_left']) > 0.9);
  assert.equal(points.find(({ tags }) => tags['server'] === 'nobody')?.fields['handshake_seconds'], undefined);

  // The same certificates, some of their two days later.
  const later = async (days: number): Promise<Told | undefined> => {
    const clock = { ...systemClock, now: () => Date.now() + days * 86_400_000 };
    return (await look(servers.slice(0, 1), clock)).told.get('pop3s');
  };
  assert.equal((await later(1.5))?.level, 'ok');
  const warned = await later(1.7);
  assert.equal(warned?.level, 'warning');
  assert.match(warned?.text ?? '', /expires in \d+ hours$/);
  assert.equal((await later(1.9))?.level, 'critical');
});

async function listen(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => void server.close());
  return (server.address() as AddressInfo).port; // a TCP server
}

test('a certificate that has expired is told as such, by whom and since when', async (t) => {
  const lab = createLab(t);
  const old = Date.parse('2020-01-01T00:00:00Z');
  const { cert, key } = await openOwnCertificate({ folder: lab.dir, names: ['mail.example.org'], now: () => old });
  const port = await listen(t, createTlsServer({ cert, key }));
  const endpoint = { host: '127.0.0.1', port, tls: 'implicit', ca: cert, serverName: 'mail.example.org' } as const;
  const { points, told } = await look([{ name: 'old', protocol: 'pop3', endpoint }]);
  assert.equal(told.get('old')?.level, 'critical');
  assert.match(told.get('old')?.text ?? '', /^the certificate .*has expired \d{3,} days ago$/);
  assert.equal(points[0]?.fields['share_left'], 0);
});

test('servers that say nothing, refuse TLS, say too much, or hang up are told so, in time', async (t) => {
  const clock = systemClock;
  const talk = (greeting: string, answer: (line: string) => string | undefined) =>
    createServer((socket) => {
      socket.on('error', () => {});
      socket.write(greeting);
      socket.on('data', (data) => {
        for (const line of data.toString().trim().split('\r\n')) {
          const reply = answer(line);
          if (reply === undefined) socket.destroy();
          else socket.write(reply);
        }
      });
    });
  const ask = async (server: Server, protocol: WatchedServer['protocol'], timeoutMs = 15_000) => {
    const endpoint = { host: '127.0.0.1', port: await listen(t, server), tls: 'starttls' } as const;
    return lookAtTls({ endpoint, protocol, timeoutMs, signal: never, clock });
  };
  const hello = (line: string): string | undefined =>
    line.startsWith('EHLO') ? '250-mail\r\n250 SIZE 1\r\n' : '502 5.5.1 no TLS here\r\n';
  const cases: readonly (readonly [string, Promise<Awaited<ReturnType<typeof ask>>>, RegExp])[] = [
    [
      'silent',
      ask(
        talk('', () => ''),
        'smtp',
        400,
      ),
      /does not answer in time/,
    ],
    ['no TLS', ask(talk('220 mail\r\n', hello), 'smtp'), /answers STARTTLS with 502 5\.5\.1 no TLS here/],
    ['busy', ask(talk('421 too many connections\r\n', hello), 'smtp'), /its greeting is 421 too many connections/],
    [
      'hangs up',
      ask(
        talk('+OK ready\r\n', () => undefined),
        'pop3',
      ),
      /closed the connection/,
    ],
    [
      'endless',
      ask(
        talk('x'.repeat(20_000), () => ''),
        'imap',
      ),
      /says too much before TLS/,
    ],
    [
      'no handshake',
      ask(
        talk('+OK ready\r\n', () => '+OK go on\r\n'),
        'pop3',
        400,
      ),
      /does not answer in time|EPROTO|SSL/,
    ],
  ];
  const startedAt = performance.now();
  for (const [what, asked, text] of cases) {
    const looked = await asked;
    assert.equal(looked.kind, 'failed', what);
    assert.match(looked.kind === 'failed' ? looked.text : '', text, what);
  }
  assert.ok(performance.now() - startedAt < 60_000, 'those that are given 400 ms do not take a minute');
});

test('a server that tells its time in the greeting is believed about the time alone', async (t) => {
  const lab = createLab(t);
  const { cert, key } = await openOwnCertificate({ folder: lab.dir, names: ['127.0.0.1'], now: Date.now });
  const { createSecureContext, TLSSocket } = await import('node:tls');
  const at = new Date(Date.now() + 300_000).toUTCString().replace('GMT', '+0000');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.write('220 mail.example.org ESMTP Exim 4.96 ' + at + '\r\n');
    socket.on('data', (data) => {
      const line = data.toString();
      if (line.startsWith('EHLO')) socket.write('250-mail\r\n250 STARTTLS\r\n');
      if (!line.startsWith('STARTTLS')) return;
      socket.removeAllListeners('data');
      socket.write('220 go on\r\n');
      new TLSSocket(socket, { isServer: true, secureContext: createSecureContext({ cert, key }) }).on(
        'error',
        () => {},
      );
    });
  });
  const endpoint = { host: '127.0.0.1', port: await listen(t, server), tls: 'starttls', ca: cert } as const;
  const { ahead, told } = await look([{ name: 'exim', protocol: 'smtp', endpoint }]);
  assert.equal(told.get('exim')?.level, 'ok', told.get('exim')?.text);
  const aheadMs = ahead.get('127.0.0.1') ?? 0;
  assert.ok(aheadMs > 240_000 && aheadMs <= 300_000, String(aheadMs));
});
