// Wake by IMAP IDLE, against a real dovecot: the provider has both POP3 and IMAP.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createTokenSource } from '../../../agent/accounts/oauth.ts';
import { passwordSource } from '../../../agent/accounts/secret.ts';
import type { SecretSource } from '../../../agent/accounts/secret.ts';
import { pinOf } from '../../../agent/net/socket.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { createWake } from '../../../agent/receive/wake.ts';
import type { Dovecot } from '../../lab/dovecot.ts';
import { startAuthorizationServer, tokenPassdb } from '../accounts/authorization-server.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { createBench } from './bench.ts';

const users = { 'info@example.org': 'secret' };
const mail = (n: number): Buffer =>
  Buffer.from('Message-ID: <' + n + '@example.net>\r\nFrom: x@example.net\r\nSubject: wake ' + n + '\r\n\r\ntext\r\n');

test('a new mail is in the local mailbox within a second, at an interval of an hour; without IMAP the interval holds', async (t) => {
  const lab = createLab(t);
  const [provider, local] = await Promise.all([lab.dovecot({ users }), lab.dovecot({ users })]);
  const proxy = await lab.proxy({ to: { host: '127.0.0.1', port: provider.imap } });
  const bench = await createBench(t, lab, {
    accounts: [
      {
        endpoint: { host: '127.0.0.1', port: provider.pop3, tls: 'none' },
        secret: 'secret',
        wake: { host: '127.0.0.1', port: proxy.port, tls: 'none' },
      },
    ],
    local: { host: '127.0.0.1', port: local.lmtp, tls: 'none' },
    protocol: 'lmtp',
  });
  await bench.fetch();
  await waitFor('IDLE', () => bench.status()[0]?.wake === 'ok');
  const measured = (): unknown => bench.gauges.findLast(({ name }) => name === 'account')?.fields['wake'];
  await waitFor('its measurement', () => measured() === 1);
  const took: number[] = [];
  for (let n = 1; n <= 10; n += 1) {
    const at = performance.now();
    await provider.put('info@example.org', mail(n));
    await waitFor('mail ' + n, async () => (await local.count('info@example.org')) === n, { everyMs: 5 });
    took.push(performance.now() - at);
  }
  took.sort((a, b) => a - b);
  t.diagnostic('arrival to local mailbox, ms: ' + took.map((ms) => Math.round(ms)).join(' '));
  assert.ok((took[5] ?? Infinity) < 1_000, 'median ' + took[5]);

  await proxy.refuse(true);
  proxy.cut();
  await waitFor('the state to tell', () => /127\.0\.0\.1/.test(bench.status()[0]?.wake ?? ''));
  assert.equal(measured(), 0, 'told before the next round, which is an hour away');
  assert.equal(bench.gauges.findLast(({ name }) => name === 'account')?.fields['up'], 1);
  await provider.put('info@example.org', mail(11));
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, await local.count('info@example.org')], [true, 11]);
  await proxy.refuse(false);
  await waitFor('IDLE again', () => bench.status()[0]?.wake === 'ok', { timeoutMs: 30_000 });
});

const log = createLog({ level: 'silent', name: 'test' });

/** Waits until it waits for mail, then until a mail wakes it; or gives why it does not. */
async function tryWake(dovecot: Dovecot, endpoint: Endpoint, secret: SecretSource): Promise<string> {
  const end = new AbortController();
  let woken = 0;
  const onMail = (): void => void (woken += 1);
  const user = 'info@example.org';
  const wake = createWake({
    account: 'info',
    endpoint,
    user,
    secret,
    onMail,
    clock: systemClock,
    random: () => 0,
    log,
  });
  const running = wake.run(end.signal);
  try {
    const { problem } = wake.state();
    await waitFor('an answer', () => wake.state().up || wake.state().problem !== problem);
    if (!wake.state().up) return wake.state().problem;
    const before = woken;
    await dovecot.put(user, mail(100));
    await waitFor('the wake by ' + JSON.stringify(endpoint), () => woken > before);
    return '';
  } finally {
    end.abort();
    await running;
  }
}

test('IDLE in clear, in TLS, after STARTTLS, with pins; whoever is not the server gets no password', async (t) => {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({ users });
  const { certFile } = await lab.certificate();
  const pin = pinOf(new X509Certificate(readFileSync(certFile)).publicKey);
  const other = 'sha256/' + 'B'.repeat(43) + '=';
  const { ca, imap, imaps } = dovecot;
  const host = '127.0.0.1';
  const secret = passwordSource(() => 'secret');
  const good: readonly Endpoint[] = [
    { host, port: imap, tls: 'none' },
    { host, port: imap, tls: 'starttls', ca },
    { host: 'localhost', port: imaps, tls: 'implicit', ca },
    { host, port: imap, tls: 'starttls', ca, pins: [other, pin] },
    { host, port: imaps, tls: 'implicit', ca, pins: [pin] },
    { host, port: imaps, tls: 'implicit', ca, serverName: 'localhost' },
  ];
  for (const endpoint of good) assert.equal(await tryWake(dovecot, endpoint, secret), '', JSON.stringify(endpoint));
  const logins = (): number => dovecot.log().split('Login: user=<info@example.org>').length - 1;
  await waitFor('its log', () => logins() >= good.length);
  const before = logins();
  const bad: readonly (readonly [Endpoint, RegExp])[] = [
    [{ host, port: imaps, tls: 'implicit' }, /certificate/],
    [{ host, port: imap, tls: 'starttls' }, /certificate/],
    [{ host, port: imaps, tls: 'implicit', ca, pins: [other] }, /its public key is sha256/],
    [{ host, port: imap, tls: 'starttls', ca, pins: [other] }, /its public key is sha256/],
    [{ host, port: imaps, tls: 'implicit', ca, serverName: 'imap.example.net' }, /imap\.example\.net/],
  ];
  for (const [endpoint, expected] of bad)
    assert.match(await tryWake(dovecot, endpoint, secret), expected, JSON.stringify(endpoint));
  assert.equal(logins(), before);
  assert.match(
    await tryWake(
      dovecot,
      { host, port: imap, tls: 'none' },
      passwordSource(() => 'wrong'),
    ),
    /./,
  );
});

test('IDLE with an access token, in TLS and after STARTTLS', async (t) => {
  const lab = createLab(t);
  const server = await startAuthorizationServer(t, 'info@example.org');
  const passdb = tokenPassdb(lab.dir, server);
  const dovecot = await lab.dovecot({
    users,
    extra: 'auth_mechanisms = xoauth2\n' + passdb,
  });
  let stored = await server.issue();
  const source = createTokenSource({
    account: 'info',
    client: () => server.client,
    read: () => stored,
    write: async (token) => void (stored = token),
    clock: systemClock,
    log,
  });
  const { ca, imap, imaps } = dovecot;
  for (const line of [
    { port: imaps, tls: 'implicit' },
    { port: imap, tls: 'starttls' },
  ] as const)
    assert.equal(await tryWake(dovecot, { host: '127.0.0.1', ca, ...line }, source), '', line.tls);
});
