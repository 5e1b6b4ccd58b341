// Single mails without a usable UIDL, beside others that have one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createBench } from '../bench.ts';
import type { BenchAccount } from '../bench.ts';
import { count, delivered, left, mail, setScene } from '../failures/scene.ts';
import type { Scene } from '../failures/scene.ts';

const odd = (name: string, date = 'Wed, 25 Nov 2026'): ReturnType<typeof mail> => ({
  uid: '',
  bytes: Buffer.from(
    'Date: ' + date + ' 08:00:00 +0000\r\nMessage-ID: <' + name + '@x.test>\r\nSubject: ' + name + '\r\n\r\ntext\r\n',
  ),
});

async function restart(t: TestContext, { lab, pop3, smtp, bench }: Scene, account: Partial<BenchAccount>) {
  await bench.stop();
  return createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, ...account }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
}

test('a restart, a listing that changes, mails that others delete: each mail comes once', async (t) => {
  const account = { keep: 'forever' as const };
  const scene = await setScene(t, { pop3: { mails: [odd('a'), mail('b'), odd('c'), odd('c')] }, account });
  const { pop3, smtp } = scene;
  await scene.bench.fetch();
  const again = await restart(t, scene, account);
  await again.fetch();
  pop3.mails.splice(0, 1);
  pop3.mails.push(mail('d'), { ...odd('e'), uid: 'z'.repeat(700) });
  await again.fetch();
  pop3.mails.splice(1, 1);
  await again.fetch();
  assert.deepEqual(delivered(smtp), ['a', 'b', 'c', 'c', 'd', 'e']);
  assert.deepEqual([again.status()[0]?.problem, again.status()[0]?.kept, pop3.deleted], ['', 4, []]);
});

test('mails that were there first are passed over, those that come later are not', async (t) => {
  for (const firstRun of ['new-only', { since: '2026-11-10' }] as const) {
    const account = { keep: 'forever' as const, firstRun };
    const old = 'Mon, 02 Nov 2026';
    const scene = await setScene(t, { pop3: { mails: [odd('a', old), mail('b'), odd('a', old)] }, account });
    const { pop3, smtp, bench } = scene;
    await bench.fetch();
    const first = firstRun === 'new-only' ? [] : ['b'];
    assert.deepEqual(delivered(smtp), first);
    pop3.mails.push(odd('n', old));
    await bench.fetch();
    const again = await restart(t, scene, account);
    await again.fetch();
    assert.deepEqual(delivered(smtp), [...first, 'n']);
    assert.equal(left(pop3).length, 4);
    await again.stop();
  }
});

test('a mail that gets its UIDL later, or loses it, is known', async (t) => {
  const scene = await setScene(t, { pop3: { mails: [odd('a'), mail('b')] }, account: { keep: { days: 1 } } });
  const { pop3, smtp, bench } = scene;
  await bench.fetch();
  const [a, b] = pop3.mails;
  assert.ok(a && b);
  a.uid = 'uid-a';
  await bench.fetch();
  await bench.fetch();
  a.uid = '';
  b.uid = '';
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3).length], [['a', 'b'], 2]);
  for (let day = 0; day < 2; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b'], []]);
});

test('one that waits is tried at its time, without the others being read again', async (t) => {
  let full = true;
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: [odd('a'), odd('b'), odd('c')] },
    smtp: {
      script: ({ verb, before }) => (verb === 'body' && full && before === 1 ? '451 4.2.0 full\r\n' : undefined),
    },
    account: { keep: 'forever' },
    bench: { sessions: 1 },
  });
  await bench.fetch();
  full = false;
  const read = count(pop3.commands, /^RETR/);
  await bench.fetch();
  assert.deepEqual([delivered(smtp), count(pop3.commands, /^RETR/) - read], [['a', 'b', 'c'], 1]);
});
