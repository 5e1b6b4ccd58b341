// What happens to small offices, played with the whole room: each ends with every mail once in the local mailbox, or at the
// provider.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import { createBench } from './bench.ts';
import { count, delivered, left, mail, setScene, taken } from './failures/scene.ts';

const files = (folder: string): readonly string[] =>
  readdirSync(join(folder, 'quarantine')).filter((name) => name.endsWith('.eml'));

test('two mails share a UIDL and the local server refuses one: nothing unread is deleted', async (t) => {
  for (const refused of [0, 1]) {
    const { pop3, smtp, bench } = await setScene(t, {
      pop3: { mails: [mail('a', 'one\r\n', 'same'), mail('b', 'two\r\n', 'same'), mail('c')] },
      smtp: {
        script: ({ verb, before }) => (verb === 'body' && before === refused ? '554 5.7.1 no\r\n' : undefined),
      },
      bench: { sessions: 1 },
    });
    for (let n = 0; n < 3; n += 1) await bench.fetch();
    assert.deepEqual(delivered(smtp), [refused === 0 ? 'b' : 'a', 'c']);
    // Both stay: the refused one is in quarantine, and the other cannot be told from it.
    assert.deepEqual([left(pop3), files(bench.folder).length], [['same', 'same'], 1]);
  }
});

test('every mail is refused by the local server: the account pauses, nothing is deleted, then all arrive', async (t) => {
  let wrong = true;
  const mails = Array.from({ length: 40 }, (_, index) => mail('m' + index));
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails },
    smtp: { script: ({ verb }) => (verb === 'RCPT' && wrong ? '550 5.1.1 no such user\r\n' : undefined) },
  });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, status?.paused, pop3.deleted.length], [false, true, 0]);
  assert.match(status?.problem ?? '', /paused, the local server refused \d mails in a row/);
  const asked = count(smtp.commands, /^RCPT/);
  assert.ok(asked >= 5 && asked <= 8, 'tried ' + asked + ' mails');
  wrong = false;
  await bench.fetch();
  assert.equal(smtp.mails.length, 40 - asked);
  // Those that were refused are in quarantine and at the provider.
  assert.deepEqual([left(pop3).length, files(bench.folder).length], [asked, asked]);
});

test(
  '50 MB over a line of 1 Mbit/s, both scaled by 40 with all time limits, arrive whole',
  { timeout: 60_000 },
  async (t) => {
    const lab = createLab(t);
    const large = mail('large', ('line of a slow mail ' + 'x'.repeat(55) + '\r\n').repeat(16_300));
    const pop3 = await lab.scriptedPop3({ mails: [large, mail('small')] });
    const smtp = await lab.scriptedSmtp({});
    const proxy = await lab.proxy({ to: pop3 });
    proxy.throttle(125_000);
    const bench = await createBench(t, lab, {
      accounts: [{ endpoint: { host: proxy.host, port: proxy.port, tls: 'none' } }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
      timeouts: { replyMs: 2_250, progressMs: 1_500 },
    });
    const startedAt = performance.now();
    const [status] = await bench.fetch();
    assert.equal(status?.problem, '');
    assert.ok(performance.now() - startedAt > 4 * 1_500, 'the line was not slow');
    assert.deepEqual([delivered(smtp), left(pop3)], [['large', 'small'], []]);
    assert.ok(taken(smtp, 'large')?.equals(large.bytes));
  },
);
