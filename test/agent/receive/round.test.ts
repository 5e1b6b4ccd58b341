// What a round asks of the provider and writes to disk, and what it asks of a person, against a scripted server.
import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import type { ScriptedMail, ScriptedPop3Options } from '../../lab/scripted-pop3.ts';
import { waitFor } from '../../lab/wait.ts';
import { createBench } from './bench.ts';
import type { Bench, BenchAccount } from './bench.ts';

const letter = (
  name: string,
  more: { readonly uid?: string; readonly top?: string; readonly date?: string } = {},
): ScriptedMail => ({
  uid: more.uid ?? 'uid-' + name,
  bytes: Buffer.from(
    (more.top ?? '') +
      'Message-ID: <' +
      name +
      '@example.net>\r\nDate: ' +
      (more.date ?? 'Wed, 25 Nov 2026 08:00:00 +0000') +
      '\r\nFrom: <customer@example.net>\r\nSubject: ' +
      name +
      '\r\n\r\ntext of ' +
      name +
      '\r\n',
  ),
});
const letters = (count: number): ScriptedMail[] => Array.from({ length: count }, (_, index) => letter('m' + index));

async function setUp(
  t: TestContext,
  options: { readonly pop3?: ScriptedPop3Options; readonly account?: Partial<BenchAccount>; readonly name?: string },
) {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ password: 'right', ...options.pop3 });
  const smtp = await lab.scriptedSmtp({});
  const open = (account: Partial<BenchAccount> = {}): Promise<Bench> =>
    createBench(t, lab, {
      accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, ...options.account, ...account }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
    });
  const bench = await open();
  /** Commands since the last call, those of every login left out. */
  let read = 0;
  const asked = (): readonly string[] => {
    const fresh = pop3.commands.slice(read).filter((line) => !/^(?:CAPA|USER|PASS|STLS|NOOP)/.test(line));
    read = pop3.commands.length;
    return fresh;
  };
  const delivered = (): readonly string[] =>
    smtp.mails.map(({ bytes }) => /Subject: (.*)\r\n/.exec(bytes.toString())?.[1] ?? '?').sort();
  return { lab, pop3, smtp, bench, asked, delivered, open };
}

/** What shows that a database was written: its files and the changes of its connection. */
function traces(bench: Bench): unknown {
  const files = ['agent.db', 'agent.db-wal'].map((name) => {
    const { size, mtimeMs } = statSync(join(bench.folder, name));
    return { name, size, mtimeMs };
  });
  return { files, changes: bench.db.prepare('SELECT total_changes() AS n').get()?.['n'] };
}

test('a round in which STAT has not changed lists nothing, and no unchanged round writes anything', async (t) => {
  const { pop3, bench, asked } = await setUp(t, {
    pop3: { mails: letters(3) },
    account: { keep: 'forever', intervalSeconds: 1, listEvery: 3 },
  });
  await bench.fetch();
  asked();
  const before = traces(bench);
  const logins = (): number => pop3.commands.filter((line) => line === 'PASS').length;
  const first = logins();
  await waitFor('four more rounds', () => logins() >= first + 4, { timeoutMs: 20_000 });
  const commands = asked();
  assert.deepEqual(commands.slice(0, 8), ['STAT', 'QUIT', 'STAT', 'QUIT', 'STAT', 'UIDL', 'LIST', 'QUIT']);
  assert.deepEqual(traces(bench), before);
  const [status] = await bench.fetch();
  assert.deepEqual(traces(bench), before, 'nor does a full listing');
  assert.deepEqual([status?.up, status?.kept, status?.problem], [true, 3, '']);
  pop3.mails.push(letter('new'));
  await waitFor('the new mail', () => bench.mailIn().length === 4);
});

test('what is due is looked at although STAT is the same: a retry, a new day', async (t) => {
  const { bench, asked, pop3 } = await setUp(t, {
    pop3: { mails: letters(1) },
    account: { keep: { days: 1 }, intervalSeconds: 1 },
  });
  await bench.fetch();
  await waitFor('a quiet round', () => asked().join().includes('STAT,QUIT'));
  bench.passDays(1);
  await waitFor('a listing on a new day', () => asked().includes('UIDL'));
  bench.passDays(1);
  await waitFor('the mail to go', () => pop3.mails.length === 0);
});

test('a session ends at its limits, and the next begins at once until all is fetched', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, {
    pop3: { mails: letters(7) },
    account: { session: { messages: 3, megabytes: 1_000, minutes: 30, deletions: 500 } },
  });
  await bench.fetch();
  await waitFor('all mails', () => delivered().length === 7);
  await waitFor('an empty mailbox', () => pop3.mails.length === 0);
  assert.equal(pop3.commands.filter((line) => line === 'PASS').length, 3);
});

test('a session is limited in bytes, and one mail may be larger than that', async (t) => {
  const big = (name: string): ScriptedMail => ({
    uid: name,
    bytes: Buffer.concat([letter(name).bytes, Buffer.from(('x'.repeat(70) + '\r\n').repeat(12_000))]),
  });
  const { bench, pop3, delivered } = await setUp(t, {
    pop3: { mails: [big('a'), big('b'), letter('c')] },
    account: { session: { messages: 100, megabytes: 1, minutes: 30, deletions: 500 } },
  });
  await bench.fetch();
  await waitFor('all mails', () => delivered().length === 3 && pop3.mails.length === 0);
  assert.ok(pop3.commands.filter((line) => line === 'PASS').length >= 2);
});

test('mails above maxSizeBytes stay at the provider, counted, and do not disturb', async (t) => {
  const large = { uid: 'large', bytes: Buffer.concat([letter('large').bytes, Buffer.alloc(5_000, 'x\r\n')]) };
  const { bench, pop3, delivered } = await setUp(t, {
    pop3: { mails: [letter('a'), large] },
    account: { maxSizeBytes: 2_000 },
  });
  const [status] = await bench.fetch();
  assert.deepEqual(delivered(), ['a']);
  assert.deepEqual([status?.up, status?.backlog, status?.oversized, pop3.mails.length], [true, 0, 1, 1]);
  assert.equal(status?.hint, '1 mails above maxSizeBytes stay at the provider');
});

test('an account that was never fetched and finds mails asks what to do with them', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, { pop3: { mails: letters(2) }, account: { undecided: true } });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, status?.paused, delivered().length, pop3.mails.length], [false, true, 0, 2]);
  assert.match(
    status?.problem ?? '',
    /^info: paused, this mailbox was never fetched and holds 2 mails; set firstRun of this account to all \(deliver them\), new-only \(leave them there\) or \{since: YYYY-MM-DD\}, and restart$/,
  );
  assert.deepEqual(bench.db.prepare('SELECT count(*) AS n FROM received').get()?.['n'], 0);
});

test('an empty mailbox needs no choice, and its first mail is new', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, { account: { undecided: true } });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, status?.paused], [true, false]);
  pop3.mails.push(letter('a'));
  await bench.fetch();
  assert.deepEqual(delivered(), ['a']);
});

test('firstRun: new-only leaves what is there, for ever', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, { pop3: { mails: letters(2) }, account: { firstRun: 'new-only' } });
  const [first] = await bench.fetch();
  assert.deepEqual([first?.up, first?.backlog, first?.passedOver, delivered().length], [true, 0, 2, 0]);
  pop3.mails.push(letter('new'));
  await bench.fetch();
  bench.passDays(30);
  await bench.fetch();
  assert.deepEqual(delivered(), ['new']);
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    ['uid-m0', 'uid-m1'],
  );
});

test('firstRun: {since: DATE} looks at the date of what is there, by TOP or without', async (t) => {
  const mails = [
    letter('old', { date: 'Mon, 02 Nov 2026 08:00:00 +0000' }),
    letter('young', { date: 'Fri, 20 Nov 2026 08:00:00 +0000' }),
    letter('undated', { date: 'some day' }),
  ];
  for (const capabilities of [['UIDL', 'TOP', 'PIPELINING'], ['UIDL']]) {
    const { bench, pop3, delivered } = await setUp(t, {
      pop3: { mails, capabilities },
      account: { firstRun: { since: '2026-11-10' } },
    });
    await bench.fetch();
    assert.deepEqual(delivered(), ['undated', 'young']);
    pop3.mails.push(letter('late', { date: 'Mon, 02 Nov 2026 08:00:00 +0000' }));
    const [status] = await bench.fetch();
    assert.deepEqual(delivered(), ['late', 'undated', 'young'], 'it came after the first run');
    assert.deepEqual([status?.passedOver, pop3.mails.length], [1, 1]);
    await bench.stop();
  }
});

test('a provider that has no UIDL: fetched and deleted in one session, once', async (t) => {
  let lost = true;
  const { bench, pop3, delivered, asked } = await setUp(t, {
    pop3: {
      mails: [...letters(3), letter('m1')],
      capabilities: ['USER', 'TOP', 'PIPELINING'],
      script: ({ verb }) => {
        if (verb === 'UIDL') return '-ERR unknown command\r\n';
        return verb === 'QUIT' && lost ? { end: 'reset' } : undefined;
      },
    },
  });
  await bench.fetch();
  assert.deepEqual(delivered(), ['m0', 'm1', 'm1', 'm2']);
  assert.equal(pop3.mails.length, 4);
  lost = false;
  asked();
  const [status] = await bench.fetch();
  assert.deepEqual([pop3.mails.length, status?.up], [0, true]);
  assert.deepEqual(delivered(), ['m0', 'm1', 'm1', 'm2'], 'known by content after the QUIT was lost');
  pop3.mails.push(letter('m1'));
  await bench.fetch();
  assert.deepEqual(delivered(), ['m0', 'm1', 'm1', 'm1', 'm2'], 'the same bytes again are another mail');
});

test('without UIDL any other keep than none is refused, and nothing is touched', async (t) => {
  const { bench, asked } = await setUp(t, {
    pop3: {
      mails: letters(2),
      capabilities: ['USER'],
      script: ({ verb }) => (verb === 'UIDL' ? '-ERR unknown command\r\n' : undefined),
    },
    account: { keep: { days: 14 } },
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /^info: paused, the provider knows no UIDL, .*set keep: none .* and restart$/);
  assert.ok(!asked().some((line) => /^(?:RETR|DELE)/.test(line)));
});

const addHeader = 'X-Provider: moved\r\nReceived: by new.test; Wed, 25 Nov 2026 09:00:00 +0000\r\n';

test('a migration: 1,000 mails under new UIDLs and with changed headers are not delivered again, and go in their time', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, {
    pop3: { mails: letters(1_000) },
    account: { keep: { days: 2 } },
  });
  await bench.fetch();
  await waitFor('all', () => delivered().length === 1_000 && bench.status()[0]?.backlog === 0, { timeoutMs: 60_000 });
  const moved = Array.from({ length: 1_000 }, (_, index) => letter('m' + index, { uid: 'x' + index, top: addHeader }));
  pop3.mails.splice(0, 1_000, ...moved.toReversed(), letter('new', { uid: 'x-new' }));
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, status?.kept], ['', 1_001]);
  assert.equal(delivered().length, 1_001);
  assert.equal(delivered().at(-1), 'new');
  for (let day = 0; day < 3; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  // Not all in one round: they were not read in it.
  await bench.fetch();
  await bench.fetch();
  assert.equal(pop3.mails.length, 0);
  assert.equal(delivered().length, 1_001);
});

test('a migration in which nobody can tell the mails pauses and asks; both answers are kept', async (t) => {
  for (const answer of ['known', 'new'] as const) {
    const { bench, pop3, delivered } = await setUp(t, {
      pop3: { mails: letters(12), capabilities: ['UIDL', 'PIPELINING'] },
      account: { keep: 'forever' },
    });
    await bench.fetch();
    const moved = Array.from({ length: 12 }, (_, index) => letter('m' + index, { uid: 'x' + index, top: addHeader }));
    pop3.mails.splice(0, 12, ...moved);
    const [status] = await bench.fetch();
    assert.deepEqual([status?.paused, delivered().length], [true, 12]);
    assert.match(
      status?.problem ?? '',
      /12 known mails are gone and 12 stand there under other UIDLs.*mailferry confirm info known/,
    );
    const [after] = await bench.confirm('info', answer);
    assert.deepEqual([after?.paused, after?.problem], [false, '']);
    await bench.fetch();
    assert.equal(delivered().length, answer === 'known' ? 12 : 24);
    assert.equal(pop3.mails.length, 12);
    await bench.stop();
  }
});

test('a migration without TOP that keeps the bytes is known by the digests of the mails, and asks nothing', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, {
    pop3: { mails: letters(30), capabilities: ['UIDL', 'PIPELINING'] },
    account: { keep: { days: 1 } },
  });
  await bench.fetch();
  const moved = letters(30).map(({ uid, bytes }) => ({ uid: 'x' + uid, bytes }));
  pop3.mails.splice(0, 30, ...moved, letter('new'));
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, status?.kept, delivered().length], ['', 31, 31]);
  for (let day = 0; day < 2; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  assert.deepEqual([pop3.mails.length, delivered().length], [0, 31]);
});

test('a mailbox that somebody emptied while new mail came is no migration', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, { pop3: { mails: letters(20) }, account: { keep: 'forever' } });
  await bench.fetch();
  pop3.mails.splice(0, 20, ...Array.from({ length: 15 }, (_, index) => letter('n' + index)));
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, delivered().length], ['', 35]);
});

test('a kept mail goes only after TOP has shown that it is the one', async (t) => {
  const { bench, pop3, asked, delivered } = await setUp(t, {
    pop3: { mails: letters(2) },
    account: { keep: { days: 1 } },
  });
  await bench.fetch();
  // The provider rebuilds its mailbox: another mail of the same size stands under a known UIDL.
  pop3.mails.splice(0, 1, letter('M0', { uid: 'uid-m0' }));
  for (let day = 0; day < 2; day += 1) {
    bench.passDays(1);
    asked();
    await bench.fetch();
  }
  assert.ok(asked().includes('TOP 2 0'));
  await waitFor('the other mail', () => delivered().includes('M0'));
  await waitFor('the known mail to go', () => pop3.deleted.length > 0);
  assert.deepEqual([delivered(), pop3.deleted], [['M0', 'm0', 'm1'], ['uid-m1']]);
});

test('another mail under a known UIDL that has another size is fetched at once', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, { pop3: { mails: letters(2) }, account: { keep: { days: 9 } } });
  await bench.fetch();
  pop3.mails.splice(0, 1, letter('another', { uid: 'uid-m0' }));
  await bench.fetch();
  await waitFor('the other mail', () => delivered().includes('another'));
  assert.equal(pop3.deleted.length, 0);
});

test('a provider without TOP: a kept mail is read before it goes', async (t) => {
  const { bench, pop3, asked } = await setUp(t, {
    pop3: { mails: letters(1), capabilities: ['UIDL'] },
    account: { keep: { days: 1 } },
  });
  await bench.fetch();
  bench.passDays(1);
  await bench.fetch();
  bench.passDays(1);
  asked();
  await bench.fetch();
  assert.deepEqual(asked(), ['STAT', 'UIDL', 'LIST', 'RETR 1', 'DELE 1', 'QUIT']);
  assert.equal(pop3.mails.length, 0);
});

test('a mail whose header the provider has changed is neither deleted nor delivered again', async (t) => {
  const { bench, pop3, delivered } = await setUp(t, { pop3: { mails: letters(1) }, account: { keep: { days: 1 } } });
  await bench.fetch();
  pop3.mails.splice(0, 1, letter('m0', { top: addHeader }));
  for (let day = 0; day < 4; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  assert.deepEqual([delivered(), pop3.mails.length], [['m0'], 1]);
});

test('on the day of a clock jump nothing is deleted because days have passed', async (t) => {
  const { bench, pop3 } = await setUp(t, { pop3: { mails: letters(1) }, account: { keep: { days: 1 } } });
  await bench.fetch();
  bench.passDays(1);
  await bench.fetch();
  bench.setClock(1);
  await bench.fetch();
  assert.equal(pop3.mails.length, 1);
  bench.passDays(1);
  await bench.fetch();
  assert.equal(pop3.mails.length, 0);
});

test('with the clock a year ahead no kept mail goes', async (t) => {
  const { bench, pop3 } = await setUp(t, { pop3: { mails: letters(5) }, account: { keep: { days: 14 } } });
  await bench.fetch();
  bench.setClock(365);
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  bench.setClock(-365);
  for (let n = 0; n < 3; n += 1) await bench.fetch();
  assert.equal(pop3.mails.length, 5);
});

test('a shortened keep does not count before a person confirms it', async (t) => {
  const { bench, pop3, open, delivered } = await setUp(t, {
    pop3: { mails: letters(3) },
    account: { keep: { days: 14 } },
  });
  await bench.fetch();
  await bench.stop();
  const again = await open({ keep: 'none' });
  pop3.mails.push(letter('new'));
  const [status] = await again.fetch();
  assert.deepEqual([delivered().length, pop3.mails.length], [4, 4], 'mail comes in all the same');
  assert.match(
    status?.problem ?? '',
    /^info: keep was shortened from 14 days to none, so that mails kept at the provider \(4 now\) go earlier; until that is confirmed \(`mailferry confirm info`\) the old time holds$/,
  );
  const [after] = await again.confirm('info');
  assert.deepEqual([after?.problem, pop3.mails.length], ['', 0]);
});

test('not more mails than allowed are deleted in one round without having been read', async (t) => {
  const { bench, pop3 } = await setUp(t, {
    pop3: { mails: letters(7) },
    account: { keep: { days: 1 }, session: { messages: 500, megabytes: 100, minutes: 30, deletions: 3 } },
  });
  await bench.fetch();
  bench.passDays(1);
  await bench.fetch();
  bench.passDays(1);
  for (const left of [4, 1, 0]) {
    await bench.fetch();
    assert.equal(pop3.mails.length, left);
  }
});

test('a round tells its parts, the size of the mailbox and the kind of a trouble', async (t) => {
  const { pop3, bench } = await setUp(t, { pop3: { mails: letters(2) }, account: { keep: 'forever', listEvery: 100 } });
  const last = () => bench.gauges.findLast(({ name }) => name === 'account')?.fields ?? {};
  await bench.fetch();
  const { round_seconds: total, mailbox_mails: mails, mailbox_bytes: bytes, trouble, error } = last();
  const names = ['connect_seconds', 'login_seconds', 'list_seconds', 'first_byte_seconds'];
  const parts = names.map((name) => Number(last()[name]));
  for (const seconds of parts) assert.ok(seconds >= 0 && seconds < 60, String(parts));
  const all = parts.reduce((sum, seconds) => sum + seconds, 0);
  assert.ok(all <= Number(total), all + ' of ' + total);
  assert.equal(last()['tls_seconds'], undefined, 'there is none');
  const sizes = pop3.mails.reduce((sum, mail) => sum + mail.bytes.length, 0);
  assert.deepEqual([mails, bytes, trouble, error], [2, sizes, '', 'none']);
  for (const { fields } of bench.mailIn()) {
    const { retrieve_seconds: read, handover_seconds: given, transfer_seconds: both } = fields;
    assert.ok(Number(read) >= 0 && Number(given) >= 0, JSON.stringify(fields));
    assert.ok(Number(read) + Number(given) <= Number(both) + 1e-6, JSON.stringify(fields));
  }
  await bench.fetch();
  assert.equal(last()['first_byte_seconds'], undefined, 'nothing was fetched');
  await pop3.close();
  await bench.fetch();
  assert.deepEqual([last()['trouble'], last()['error']], ['session', 'connect']);
  assert.equal(last()['connect_seconds'], undefined, 'nobody was there');
  assert.equal(last()['wake'], undefined, 'no wake is configured');
});
