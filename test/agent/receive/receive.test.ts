// The whole room against scripted servers: what real ones will not do on demand.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import type { ScriptedMail, ScriptedPop3, ScriptedPop3Options } from '../../lab/scripted-pop3.ts';
import type { ScriptedSmtp, ScriptedSmtpOptions } from '../../lab/scripted-smtp.ts';
import { waitFor } from '../../lab/wait.ts';
import { createBench } from './bench.ts';
import type { Bench, BenchAccount } from './bench.ts';

const letter = (name: string, uid = 'uid-' + name): ScriptedMail => ({
  uid,
  bytes: Buffer.from(
    'Return-Path: <customer@example.net>\r\nReceived: by mx.test; ' +
      new Date(Date.now() - 90_000).toUTCString().replace('GMT', '+0000') +
      '\r\nMessage-ID: <' +
      name +
      '@example.net>\r\nDate: Wed, 25 Nov 2026 08:00:00 +0000\r\nFrom: <customer@example.net>\r\nSubject: ' +
      name +
      '\r\n\r\ntext of ' +
      name +
      '\r\n',
  ),
});
const letters = (count: number): ScriptedMail[] => Array.from({ length: count }, (_, index) => letter('m' + index));

type Setup = { readonly pop3: ScriptedPop3; readonly smtp: ScriptedSmtp; readonly bench: Bench };

async function setUp(
  t: TestContext,
  options: {
    readonly pop3?: ScriptedPop3Options;
    readonly smtp?: ScriptedSmtpOptions;
    readonly account?: Partial<BenchAccount>;
    readonly bench?: Partial<Parameters<typeof createBench>[2]>;
  } = {},
): Promise<Setup> {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ password: 'right', ...options.pop3 });
  const smtp = await lab.scriptedSmtp(options.smtp ?? {});
  const bench = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, ...options.account }],
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
    ...options.bench,
  });
  return { pop3, smtp, bench };
}

const subjectOf = (bytes: Buffer): string => /Subject: (.*)\r\n/.exec(bytes.toString('latin1'))?.[1] ?? '?';
const delivered = (smtp: ScriptedSmtp): readonly string[] => smtp.mails.map(({ bytes }) => subjectOf(bytes)).sort();
const state = (bench: Bench): unknown =>
  bench.db
    .prepare('SELECT state, count(*) AS n FROM received GROUP BY state')
    .all()
    .map((row) => ({ ...row }));
const slowServer = ['USER', 'UIDL'];

test('mails are handed over as they are, recorded, reported, and deleted', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, { pop3: { mails: letters(3) } });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, status?.problem, status?.backlog, status?.kept], [true, '', 0, 0]);
  assert.deepEqual(delivered(smtp), ['m0', 'm1', 'm2']);
  for (const { from, recipients, bytes } of smtp.mails) {
    assert.deepEqual([from, recipients], ['customer@example.net', ['info@example.org']]);
    const trace = Buffer.from('X-Mailferry-Trace: in abc123\r\n');
    assert.ok(bytes.subarray(0, trace.length).equals(trace));
    assert.ok(
      letters(3).some(
        (mail) =>
          subjectOf(mail.bytes) === subjectOf(bytes) &&
          bytes.subarray(trace.length).toString().startsWith('Return-Path: <customer@example.net>\r\n'),
      ),
    );
  }
  assert.deepEqual([pop3.mails.length, pop3.deleted.length], [0, 3]);
  assert.equal(pop3.commands.at(-1), 'QUIT');
  assert.deepEqual(state(bench), [{ state: 'gone', n: 3 }]);
  const points = bench.mailIn();
  assert.equal(points.length, 3);
  for (const { tags, fields } of points) {
    assert.deepEqual(tags, { account: 'info', outcome: 'delivered' });
    assert.deepEqual([fields['count'], fields['size_bytes']], [1, letters(3)[0]?.bytes.length]);
    assert.ok(
      Number(fields['delay_seconds']) >= 90 && Number(fields['delay_seconds']) < 120,
      String(fields['delay_seconds']),
    );
    assert.ok(Number(fields['transfer_seconds']) > 0 && Number(fields['transfer_seconds']) < 10);
  }
  const gauge = bench.gauges.at(-1);
  assert.deepEqual(
    [gauge?.name, gauge?.tags, gauge?.fields['up'], gauge?.fields['problem']],
    ['account', { account: 'info' }, 1, ''],
  );
});

test('a kept mail is delivered once and deleted when the agent has seen its days pass', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, { pop3: { mails: letters(2) }, account: { keep: { days: 2 } } });
  for (let day = 0; day < 3; day += 1) {
    const [status] = await bench.fetch();
    assert.deepEqual([status?.kept, pop3.mails.length], [2, 2], 'day ' + day);
    bench.passDays(day === 1 ? 500 : 1); // a clock jump counts as one day
  }
  await bench.fetch();
  assert.deepEqual([pop3.mails.length, pop3.deleted.length], [0, 2]);
  assert.deepEqual(delivered(smtp), ['m0', 'm1']);
});

test('keep: forever never deletes', async (t) => {
  const { pop3, bench } = await setUp(t, { pop3: { mails: letters(1) }, account: { keep: 'forever' } });
  for (let n = 0; n < 3; n += 1) {
    await bench.fetch();
    bench.passDays(4_000);
  }
  assert.equal(pop3.mails.length, 1);
  assert.ok(!pop3.commands.some((line) => line.startsWith('DELE')));
});

test('a RETR that breaks off hands nothing over and deletes nothing; the next round brings all', async (t) => {
  for (const capabilities of [slowServer, ['PIPELINING']]) {
    const { pop3, smtp, bench } = await setUp(t, {
      pop3: {
        mails: letters(4),
        capabilities,
        script: ({ verb, argument, before, good }) =>
          verb === 'RETR' && argument === '3' && before < 3
            ? [good.subarray(0, good.length - 9), { end: 'reset' }]
            : undefined,
      },
      bench: { name: capabilities.join('') },
    });
    const [status] = await bench.fetch();
    assert.match(
      status?.problem ?? '',
      /^info at 127\.0\.0\.1:\d+: Cannot read the answer to RETR.*, will be tried again$/,
    );
    assert.ok(!smtp.mails.some(({ bytes }) => subjectOf(bytes) === 'm2'));
    assert.deepEqual([pop3.mails.length, status?.up], [4, false]);
    await bench.fetch();
    assert.deepEqual(delivered(smtp), ['m0', 'm1', 'm2', 'm3']);
    assert.equal(pop3.mails.length, 0);
  }
});

test('a mail that the local server takes later stays, without holding up the others', async (t) => {
  let full = true;
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: letters(3) },
    smtp: {
      script: ({ verb, before }) =>
        verb === 'body' && full && before === 0 ? '452 4.2.2 mailbox full\r\n' : undefined,
    },
    bench: { sessions: 1 },
  });
  const [status] = await bench.fetch();
  assert.deepEqual(delivered(smtp), ['m1', 'm2']);
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    ['uid-m0'],
  );
  assert.deepEqual([status?.up, status?.backlog], [false, 1]);
  assert.match(status?.problem ?? '', /^info: mails that wait at the provider.*: 1, .*452 4\.2\.2 mailbox full/);
  full = false;
  const [after] = await bench.fetch();
  assert.deepEqual([after?.up, after?.problem, pop3.mails.length], [true, '', 0]);
  assert.deepEqual(delivered(smtp), ['m0', 'm1', 'm2']);
});

test('of several recipients only those are tried again that did not get the mail', async (t) => {
  const recipients = ['info@example.org', 'sales@example.org', 'ops@example.org'];
  let full = true;
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: letters(1) },
    account: { recipients },
    smtp: {
      script: ({ verb, argument }) =>
        verb === 'RCPT' && argument.includes('sales') && full ? '451 4.7.1 wait\r\n' : undefined,
    },
  });
  await bench.fetch();
  assert.deepEqual([pop3.mails.length, bench.mailIn().length], [1, 0]);
  full = false;
  await bench.fetch();
  assert.deepEqual(
    smtp.mails.map((mail) => mail.recipients),
    [['info@example.org', 'ops@example.org'], ['sales@example.org']],
  );
  assert.deepEqual([pop3.mails.length, bench.mailIn().length], [0, 1]);
});

test('a refused mail is kept in quarantine, never deleted, and does not hold up the others', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: letters(3) },
    smtp: { script: ({ verb, before }) => (verb === 'body' && before === 1 ? '554 5.7.1 looks bad\r\n' : undefined) },
    bench: { sessions: 1 },
  });
  await bench.fetch();
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['m0', 'm2']);
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    ['uid-m1'],
  );
  const folder = join(bench.folder, 'quarantine');
  const names = readdirSync(folder).sort();
  assert.equal(names.length, 2);
  const [eml = '', json = ''] = names;
  assert.ok(/^info-\d+\.eml$/.test(eml) && json === eml.replace('.eml', '.json'), names.join());
  assert.deepEqual(readFileSync(join(folder, eml)), pop3.mails[0]?.bytes);
  const note = readFileSync(join(folder, json), 'utf8');
  assert.match(note, /"uidl": "uid-m1"[^]*"verdict": "refused"[^]*554 5\.7\.1 looks bad/);
  const outcomes = bench.mailIn().map(({ tags }) => tags['outcome'] ?? '');
  assert.deepEqual(outcomes.sort(), ['delivered', 'delivered', 'quarantined']);
});

test('five refusals in a row pause the account until it is asked to fetch', async (t) => {
  let wrong = true;
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: letters(12) },
    account: { intervalSeconds: 1 },
    smtp: { script: ({ verb }) => (verb === 'RCPT' && wrong ? '550 5.1.1 no such user\r\n' : undefined) },
    bench: { sessions: 1 },
  });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.up, status?.paused, status?.backlog, status?.nextRoundAt], [false, true, 7, 0]);
  assert.match(
    status?.problem ?? '',
    /^info: paused, the local server refused 5 mails in a row \(".*550 5\.1\.1 no such user.*"\); mend it, then fetch or restart$/,
  );
  assert.equal(readdirSync(join(bench.folder, 'quarantine')).length, 10);
  const logins = pop3.commands.length;
  await new Promise((resolve) => setTimeout(resolve, 1_500)); // longer than the interval: nothing may happen
  assert.equal(pop3.commands.length, logins);
  wrong = false;
  const [after] = await bench.fetch();
  assert.deepEqual([after?.up, after?.paused], [true, false]);
  assert.deepEqual([smtp.mails.length, pop3.mails.length], [7, 5]);
});

test('copies under one UIDL are all delivered, and none is deleted before all are', async (t) => {
  let full = true;
  const copies = [letter('one', 'same'), letter('two', 'same'), letter('three')];
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: copies },
    smtp: {
      script: ({ verb, before }) => (verb === 'body' && full && before === 1 ? '451 4.3.0 wait\r\n' : undefined),
    },
    bench: { sessions: 1 },
  });
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['one', 'three']);
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    ['same', 'same'],
  );
  full = false;
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['one', 'three', 'two']);
  assert.equal(pop3.mails.length, 0);
});

test('a UIDL that comes back for another mail is another mail; for the same mail it is not', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, { pop3: { mails: [letter('one', '1')] } });
  await bench.fetch();
  pop3.mails.push(letter('two', '1'));
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['one', 'two']);
  assert.equal(pop3.mails.length, 0);
  const [again] = [letter('three', '1')];
  assert.ok(again);
  pop3.mails.push(again);
  await bench.fetch();
  pop3.mails.push(again);
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['one', 'three', 'two']);
  assert.equal(pop3.mails.length, 0);
});

test('a mail that ends early at a lone dot is never handed over, and the others are delivered and deleted', async (t) => {
  for (const capabilities of [slowServer, ['PIPELINING']]) {
    const { pop3, smtp, bench } = await setUp(t, {
      pop3: {
        mails: letters(4),
        capabilities,
        script: ({ verb, argument, good }) =>
          verb === 'RETR' && good.includes('Subject: m1\r\n') && argument !== ''
            ? '+OK\r\nSubject: m1\r\n\r\n.\r\nrest\r\n.\r\n'
            : undefined,
      },
      account: { intervalSeconds: 2 },
      bench: { name: capabilities.join('') },
    });
    const [first] = await bench.fetch();
    assert.match(first?.problem ?? '', /Cannot go on after RETR: .*, nothing was deleted, will be tried again$/);
    // Asked again at once, it comes last; left alone, it is not tried each time, so that sessions end well.
    await bench.fetch();
    assert.deepEqual(delivered(smtp), ['m0', 'm2', 'm3']);
    await waitFor('the others', () => delivered(smtp).length === 3 && pop3.mails.length === 1, { timeoutMs: 20_000 });
    assert.deepEqual(delivered(smtp), ['m0', 'm2', 'm3']);
    assert.deepEqual(
      pop3.mails.map(({ uid }) => uid),
      ['uid-m1'],
    );
    await bench.stop();
  }
});

test('mails that the server does not name in its listing are counted, the others are fetched', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: {
      mails: [letter('a'), letter('b'), letter('c'), letter('d', 'with  blanks ')],
      script: ({ verb, good }) =>
        verb === 'UIDL' ? good.toString().replace('2 uid-b', 'garbage').replace('3 uid-c\r\n', '') : undefined,
    },
  });
  const [status] = await bench.fetch();
  assert.deepEqual(delivered(smtp), ['a', 'd']);
  assert.deepEqual([status?.backlog, pop3.mails.length, status?.up], [2, 2, false]);
  assert.match(status?.problem ?? '', /no usable UIDL for them: 2$/);
});

test('a session whose QUIT is lost is cleaned up by the next one, without a second delivery', async (t) => {
  for (const verb of ['QUIT', 'DELE']) {
    const { pop3, smtp, bench } = await setUp(t, {
      pop3: {
        mails: letters(3),
        script: (step) => (step.verb === verb && step.before === 0 ? { end: 'reset' } : undefined),
      },
      bench: { name: verb },
    });
    const [status] = await bench.fetch();
    assert.deepEqual([status?.up, pop3.mails.length], [false, 3], verb);
    assert.deepEqual(state(bench), [{ state: 'delete-pending', n: 3 }]);
    const [after] = await bench.fetch();
    assert.deepEqual([after?.up, pop3.mails.length], [true, 0], verb);
    assert.deepEqual(delivered(smtp), ['m0', 'm1', 'm2']);
    assert.equal(pop3.commands.filter((line) => line.startsWith('RETR')).length, 3);
  }
});

test('a mail whose listed size changed is not deleted without being read', async (t) => {
  let lost = true;
  const { pop3, bench } = await setUp(t, {
    pop3: {
      mails: letters(2),
      script: ({ verb, good, before }) => {
        if (verb === 'QUIT' && lost) return { end: 'reset' };
        return verb === 'LIST' && before > 0 ? good.toString().replace(/^1 \d+/m, '1 9') : undefined;
      },
    },
  });
  await bench.fetch();
  lost = false;
  await bench.fetch();
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    [],
  );
  const last = pop3.commands.slice(pop3.commands.lastIndexOf('LIST'));
  assert.deepEqual(
    last.filter((line) => /^(?:RETR|TOP)/.test(line)),
    ['TOP 1 0', 'RETR 1', 'TOP 2 0'],
  );
});

test('-ERR to DELE leaves the mail for the next round', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: {
      mails: letters(2),
      script: ({ verb, before }) => (verb === 'DELE' && before === 0 ? '-ERR not now\r\n' : undefined),
    },
  });
  await bench.fetch();
  await waitFor('QUIT', () => pop3.mails.length < 2);
  await bench.fetch();
  assert.equal(smtp.mails.length, 2);
});

test('a record that cannot be written is owed: nothing is fetched, nothing delivered twice', async (t) => {
  let broken = true;
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: letters(20) },
    bench: {
      sessions: 2,
      reached: (checkpoint, db) => {
        if (checkpoint === 'receive.after-handover' && broken) db.exec('PRAGMA query_only = 1');
      },
    },
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /readonly database/);
  const count = smtp.mails.length;
  assert.ok(count >= 1 && count <= 2, 'delivered ' + count);
  await bench.fetch();
  assert.deepEqual([smtp.mails.length, pop3.mails.length], [count, 20]);
  broken = false;
  bench.db.exec('PRAGMA query_only = 0');
  await bench.fetch();
  assert.equal(new Set(delivered(smtp)).size, 20);
  assert.deepEqual([smtp.mails.length, pop3.mails.length, bench.mailIn().length], [20, 0, 20]);
});

test('while the local server is away one mail at a time is tried; afterwards nothing is lost or doubled', async (t) => {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ mails: letters(30) });
  const port = await lab.freePort();
  const bench = await createBench(t, lab, {
    accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' } }],
    local: { host: '127.0.0.1', port, tls: 'none' },
  });
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', new RegExp('^info: Cannot .*127.0.0.1:' + port + '.*ECONNREFUSED'));
  assert.deepEqual([status?.up, status?.backlog], [false, 30]);
  const retrs = (): number => pop3.commands.filter((line) => line.startsWith('RETR')).length;
  const before = retrs();
  await bench.fetch();
  assert.equal(retrs() - before, 1);
  const smtp = await lab.scriptedSmtp({ port });
  await bench.fetch();
  await bench.fetch();
  assert.deepEqual([smtp.mails.length, new Set(delivered(smtp)).size, pop3.mails.length], [30, 30, 0]);
});

test('not more mails are between RETR and hand-over than sessions and read-ahead', async (t) => {
  for (const [capabilities, most] of [
    [slowServer, 3],
    [['PIPELINING'], 66],
  ] as const) {
    const release = Promise.withResolvers<void>();
    const { pop3, smtp, bench } = await setUp(t, {
      pop3: { mails: letters(80), capabilities },
      smtp: {
        script: ({ verb, before }) => (verb === 'MAIL' && before < 2 ? [{ pauseMs: 700 }, '250 ok\r\n'] : undefined),
      },
      bench: { sessions: 2, name: capabilities.join('') },
    });
    const done = bench.fetch().finally(release.resolve);
    await waitFor(
      'the first mails to hang',
      () => smtp.commands.filter((line) => line.startsWith('MAIL')).length === 2,
    );
    await new Promise((resolve) => setTimeout(resolve, 300)); // time in which more could be asked for
    assert.equal(pop3.commands.filter((line) => line.startsWith('RETR')).length, most);
    await done;
    assert.equal(smtp.mails.length, 80);
  }
});

test('a large mail goes through a temporary file that does not stay', async (t) => {
  const bytes = Buffer.concat([Buffer.from('Subject: large\r\n\r\n'), Buffer.alloc(11 * 270_000, '.0123456\0\r\n')]);
  const { pop3, smtp, bench } = await setUp(t, { pop3: { mails: [{ uid: 'large', bytes }, letter('small')] } });
  await bench.fetch();
  assert.deepEqual(delivered(smtp), ['large', 'small']);
  const taken = smtp.mails.find((mail) => subjectOf(mail.bytes) === 'large')?.bytes;
  assert.ok(taken?.subarray(taken.indexOf('\n') + 1).equals(bytes));
  assert.deepEqual(readdirSync(join(bench.folder, 'incoming')), []);
  assert.equal(pop3.mails.length, 0);
});

test('a stop lets mails that are being handed over finish and records them', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, {
    pop3: { mails: letters(10) },
    smtp: { script: ({ verb }) => (verb === 'body' ? [{ pauseMs: 300 }, '250 ok\r\n'] : undefined) },
    bench: { sessions: 2 },
  });
  void bench.fetch();
  await waitFor('a mail on its way', () => smtp.commands.includes('DATA'));
  const startedAt = performance.now();
  await bench.stop();
  assert.ok(performance.now() - startedAt < 3_500);
  assert.ok(smtp.mails.length >= 1 && smtp.mails.length <= 2, 'delivered ' + smtp.mails.length);
  assert.equal(pop3.mails.length, 10);
  const db = new DatabaseSync(join(bench.folder, 'agent.db'), { readOnly: true });
  const row = db.prepare("SELECT count(*) AS n FROM received WHERE state = 'handed-over'").get();
  db.close();
  assert.equal(row?.['n'], smtp.mails.length);
});

const clearLines: readonly (readonly [string, (t: TestContext) => Promise<Setup>, RegExp])[] = [
  [
    'a wrong password',
    (t) => setUp(t, { account: { secret: 'mistaken' } }),
    /^info at 127\.0\.0\.1:\d+: login refused, Cannot PASS: the server said "-ERR \[AUTH\] wrong user or password", expected \+OK; check user and password, and that POP3 is switched on at the provider$/,
  ],
  [
    'a mailbox in use',
    (t) =>
      setUp(t, {
        pop3: { script: ({ verb }) => (verb === 'PASS' ? '-ERR mailbox is locked, try again\r\n' : undefined) },
      }),
    /^info at 127\.0\.0\.1:\d+: Cannot PASS: the server said "-ERR mailbox is locked, try again", expected \+OK, will be tried again$/,
  ],
  [
    'a port with another protocol',
    (t) => setUp(t, { pop3: { script: ({ verb }) => (verb === 'connect' ? '220 mail ESMTP\r\n' : undefined) } }),
    /^info at 127\.0\.0\.1:\d+: Cannot talk: it greets with "220 mail ESMTP", expected \+OK of a POP3 server; check host and port$/,
  ],
  [
    'a port that waits for TLS',
    (t) =>
      setUp(t, {
        pop3: { script: ({ verb }) => (verb === 'connect' ? { end: 'hang' } : undefined) },
        bench: { timeouts: { replyMs: 100 } },
      }),
    /^info at 127\.0\.0\.1:\d+: Cannot read the answer to greeting: nothing more came within 0 s, expected \+OK; check port and tls \(port 995 needs tls: implicit\)$/,
  ],
  [
    'nobody there',
    (t) => setUp(t, { account: { endpoint: { host: '127.0.0.1', port: 1, tls: 'none' } } }),
    /^info at 127\.0\.0\.1:1: Cannot connect: ECONNREFUSED, expected a mail server that answers there; check host and port$/,
  ],
  [
    'a server without UIDL',
    (t) =>
      setUp(t, { pop3: { mails: letters(1), script: ({ verb }) => (verb === 'UIDL' ? '-ERR what\r\n' : undefined) } }),
    /^info at 127\.0\.0\.1:\d+: Cannot UIDL: the server said "-ERR what", expected \+OK/,
  ],
];
for (const [name, setup, expected] of clearLines) {
  test('one clear line about ' + name, async (t) => {
    const { bench } = await setup(t);
    const [status] = await bench.fetch();
    assert.match(status?.problem ?? '', expected);
    const gauge = bench.gauges.at(-1);
    assert.equal(gauge?.fields['up'], 0);
    assert.equal(gauge?.fields['problem'], status?.problem.slice(0, 200).trim());
    assert.ok((status?.nextRoundAt ?? 0) >= Date.now() + 3_500_000, 'not faster than the interval');
  });
}

test('the trouble of one account does not touch another', async (t) => {
  const lab = createLab(t);
  const good = await lab.scriptedPop3({ mails: letters(2) });
  const bad = await lab.scriptedPop3({ script: ({ verb }) => (verb === 'STAT' ? '+OK what\r\n' : undefined) });
  const smtp = await lab.scriptedSmtp({});
  const bench = await createBench(t, lab, {
    accounts: [bad, good].map(({ host, port }, index) => ({
      id: 'account-' + index,
      endpoint: { host, port, tls: 'none' as const },
    })),
    local: { host: smtp.host, port: smtp.port, tls: 'none' },
  });
  const statuses = await bench.fetch();
  assert.deepEqual(
    statuses.map(({ id, up }) => [id, up]),
    [
      ['account-0', false],
      ['account-1', true],
    ],
  );
  assert.equal(smtp.mails.length, 2);
  assert.throws(
    () => void bench.fetch('account-2'),
    /Cannot fetch account account-2: unknown, expected one of account-0, account-1/,
  );
});

test('rounds come by themselves, and a login delay of the server is kept', async (t) => {
  const { pop3, smtp, bench } = await setUp(t, { account: { intervalSeconds: 1 } });
  await bench.fetch();
  pop3.mails.push(letter('late'));
  await waitFor('the mail', () => smtp.mails.length === 1);
  const slow = await setUp(t, {
    account: { intervalSeconds: 1 },
    pop3: { capabilities: ['UIDL', 'LOGIN-DELAY 900'] },
    bench: { name: 'slow' },
  });
  const [status] = await slow.bench.fetch();
  assert.ok((status?.nextRoundAt ?? 0) - Date.now() > 890_000);
});
