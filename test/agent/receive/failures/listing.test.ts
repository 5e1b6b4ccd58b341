// Failures of POP3 fetchers at UIDL, LIST and TOP.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createLab } from '../../../lab/lab.ts';
import { createBench } from '../bench.ts';
import { count, delivered, failure, left, mail, mails, setScene, taken } from './scene.ts';

failure('13', 'of two mails that share a UIDL none is deleted while one is not handed over', async (t) => {
  let full = true;
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: [mail('a', 'one\r\n', 'same'), mail('b', 'another\r\n', 'same'), mail('c')] },
    smtp: {
      script: ({ verb, before }) =>
        verb === 'body' && full && before === 1 ? '452 4.2.2 mailbox full\r\n' : undefined,
    },
    bench: { sessions: 1 },
  });
  await bench.fetch();
  assert.deepEqual(
    [delivered(smtp), left(pop3)],
    [
      ['a', 'c'],
      ['same', 'same'],
    ],
  );
  full = false;
  await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['a', 'b', 'c'], []]);
});

failure('14', 'mails without a UIDL are known by their content, the others by their UIDL', async (t) => {
  const odd = [mail('b', 'x\r\n', ''), mail('c', 'y\r\n', ''), mail('c', 'y\r\n', '')];
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: [mail('a'), ...odd, mail('d')] },
    account: { keep: { days: 1 } },
  });
  const reads = (): number => count(pop3.commands, /^RETR/);
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, delivered(smtp)], ['', ['a', 'b', 'c', 'c', 'd']]);
  await bench.fetch();
  assert.equal(reads(), 5, 'the same listing is not read again');
  pop3.mails.push(mail('e', 'z\r\n', ''), mail('b', 'x\r\n', ''));
  await bench.fetch();
  assert.deepEqual(
    delivered(smtp),
    ['a', 'b', 'b', 'c', 'c', 'd', 'e'],
    'a second one of the same bytes is a mail too',
  );
  for (let day = 0; day < 2; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  await bench.fetch();
  assert.deepEqual([left(pop3), delivered(smtp).length], [[], 7]);
});

failure('15', 'a provider without UIDL is refused when mails are to be kept there', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a'),
      capabilities: ['USER'],
      script: ({ verb }) => (verb === 'UIDL' ? '-ERR unknown command\r\n' : undefined),
    },
    account: { keep: { days: 14 } },
  });
  for (let n = 0; n < 2; n += 1) {
    const [status] = await bench.fetch();
    assert.match(status?.problem ?? '', /UIDL/);
  }
  assert.deepEqual([delivered(smtp), left(pop3)], [[], ['uid-a']]);
});

failure('17', 'a UIDL of slashes is no path, one of 600 bytes is no harm', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: [mail('a', 'x\r\n', '../../../../stray/a'), mail('b', 'y\r\n', 'z'.repeat(600)), mail('c')] },
    smtp: { script: ({ verb, before }) => (verb === 'body' && before === 0 ? '554 5.7.1 no\r\n' : undefined) },
    bench: { sessions: 1 },
  });
  await bench.fetch();
  assert.deepEqual([delivered(smtp), left(pop3)], [['b', 'c'], ['../../../../stray/a']]);
  const kept = readdirSync(join(bench.folder, 'quarantine')).sort();
  assert.equal(kept.length, 2, kept.join());
  assert.match(kept.join(), /^info-\d+\.eml,info-\d+\.json$/);
});

failure('18', 'a malformed line in a listing costs its mail alone, and no other account', async (t) => {
  const lab = createLab(t);
  const smtp = await lab.scriptedSmtp({});
  const odd = await lab.scriptedPop3({
    mails: mails('a', 'b', 'c'),
    script: ({ verb, good }) => {
      if (verb === 'UIDL') return good.toString().replace('2 uid-b', 'garbage');
      return verb === 'LIST' ? good.toString().replace(/^1 .*$/m, '1 many octets') : undefined;
    },
  });
  const good = await lab.scriptedPop3({ mails: mails('d') });
  const bench = await createBench(t, lab, {
    accounts: [odd, good].map(({ host, port }, index) => ({
      id: 'account-' + index,
      endpoint: { host, port, tls: 'none' as const },
    })),
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['a', 'c', 'd']);
  assert.deepEqual([left(odd), left(good)], [['uid-b'], []]);
});

failure('19', 'a mail is known by its UIDL, not by its number', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: { mails: mails('a', 'b', 'c') },
    account: { keep: 'forever' },
  });
  await bench.fetch();
  pop3.mails.splice(0, 1); // somebody else deleted it: all numbers move
  pop3.mails.push(mail('d'));
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['a', 'b', 'c', 'd']);
  // None of them was looked at again.
  assert.deepEqual([count(pop3.commands, /^RETR/), count(pop3.commands, /^TOP/)], [4, 0]);
});

failure('22', 'sizes that are wrong in the listing change nothing', async (t) => {
  const large = mail('b', 'line of text\r\n'.repeat(500));
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: [mail('a'), large],
      script: ({ verb }) => (verb === 'LIST' ? '+OK\r\n1 1024\r\n2 3\r\n.\r\n' : undefined),
    },
  });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, delivered(smtp), left(pop3)], ['', ['a', 'b'], []]);
  assert.deepEqual(taken(smtp, 'b'), large.bytes);
});

failure('23', 'mails are taken from RETR alone, whatever TOP says', async (t) => {
  const large = mail('a', 'line of text\r\n'.repeat(8_000));
  const { smtp, bench } = await setScene(t, {
    pop3: {
      mails: [large],
      script: ({ verb, good }) => (verb === 'TOP' ? [good.subarray(0, 64_000), '\r\n.\r\n'] : undefined),
    },
  });
  await bench.fetch();
  assert.ok(taken(smtp, 'a')?.equals(large.bytes));
});

failure('24', 'UIDL is asked for the whole mailbox, never for one mail', async (t) => {
  const { pop3, smtp, bench } = await setScene(t, {
    pop3: {
      mails: mails('a', 'b'),
      script: ({ verb, argument }) => (verb === 'UIDL' && argument !== '' ? '+OK uid-a\r\n' : undefined),
    },
  });
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['a', 'b']);
  assert.deepEqual([count(pop3.commands, /^UIDL$/), count(pop3.commands, /^UIDL \d/)], [1, 0]);
});
