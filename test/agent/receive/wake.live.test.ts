// Wake by IMAP IDLE, against a real dovecot: the provider has both POP3 and IMAP.
import assert from 'node:assert/strict';
import { test } from 'node:test';
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
  await provider.put('info@example.org', mail(11));
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, await local.count('info@example.org')], [true, 11]);
  await proxy.refuse(false);
  await waitFor('IDLE again', () => bench.status()[0]?.wake === 'ok', { timeoutMs: 30_000 });
});
