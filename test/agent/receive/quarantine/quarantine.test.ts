// Quarantine from the round that fills it to the person who empties it, with scripted servers and a real ledger.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { UserError } from '#shared/failure.ts';
import { createBodyStore } from '../../../../agent/receive/delivery/body.ts';
import { createQuarantine } from '../../../../agent/receive/quarantine/quarantine.ts';
import { createLab } from '../../../lab/lab.ts';
import type { ScriptedSmtpOptions } from '../../../lab/scripted-smtp.ts';
import { createBench } from '../bench.ts';
import type { Bench, BenchAccount } from '../bench.ts';

const letter = (name: string, top = '') => ({
  uid: 'uid-' + name,
  bytes: Buffer.from(
    top + 'Return-Path: <customer@example.net>\r\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?= ' + name + '\r\n\r\ntext\r\n',
  ),
});

async function setUp(
  t: TestContext,
  options: {
    readonly mails?: readonly ReturnType<typeof letter>[];
    readonly account?: Partial<BenchAccount>;
    readonly smtp?: ScriptedSmtpOptions;
  } = {},
) {
  const lab = createLab(t);
  const pop3 = await lab.scriptedPop3({ mails: options.mails ?? [letter('bad')] });
  const smtp = await lab.scriptedSmtp(options.smtp ?? refusing(() => true));
  const open = (name = 'agent'): Promise<Bench> =>
    createBench(t, lab, {
      name,
      accounts: [{ endpoint: { host: pop3.host, port: pop3.port, tls: 'none' }, ...options.account }],
      local: { host: smtp.host, port: smtp.port, tls: 'none' },
    });
  return { lab, pop3, smtp, open, bench: await open() };
}

function refusing(isBad: () => boolean): ScriptedSmtpOptions {
  return { script: ({ verb }) => (verb === 'body' && isBad() ? '554 5.7.1 looks bad\r\n' : undefined) };
}
const stateOf = (bench: Bench): unknown =>
  bench.db
    .prepare('SELECT state FROM received')
    .all()
    .map((row) => row['state']);
const refused = (message: RegExp) => (error: unknown) => error instanceof UserError && message.test(error.message);

test('a mail in quarantine is listed with all that a person needs, and counted', async (t) => {
  const { bench } = await setUp(t);
  assert.deepEqual(bench.quarantine.summary(), { count: 0, bytes: 0, oldestSeconds: 0 });
  await bench.fetch();
  const [held, ...more] = await bench.quarantine.list();
  assert.ok(held);
  assert.equal(more.length, 0);
  const { id, account, from, subject, reason, sizeBytes, recipients } = held;
  assert.deepEqual(
    { id, account, from, subject, sizeBytes },
    {
      id: 'info-1',
      account: 'info',
      from: 'customer@example.net',
      subject: 'Grüße bad',
      sizeBytes: letter('bad').bytes.length,
    },
  );
  assert.match(reason, /554 5\.7\.1 looks bad/);
  assert.deepEqual([recipients[0]?.address, recipients[0]?.verdict], ['info@example.org', 'refused']);
  const shown = await bench.quarantine.show('info-1');
  assert.match(shown.header, /^Return-Path: <customer@example\.net>\r\nSubject: [^]*bad\r\n$/);
  assert.ok(existsSync(shown.file));
  bench.passDays(1);
  const { count, bytes, oldestSeconds } = bench.quarantine.summary();
  assert.deepEqual([count, bytes], [1, sizeBytes]);
  assert.ok(oldestSeconds > 86_000 && oldestSeconds < 87_000);
});

test('release hands the mail over, records it, and retention may delete it at the provider', async (t) => {
  let bad = true;
  const { bench, pop3, smtp } = await setUp(t, { smtp: refusing(() => bad), account: { keep: { days: 1 } } });
  await bench.fetch();
  for (let day = 0; day < 5; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  assert.deepEqual([pop3.mails.length, stateOf(bench)], [1, ['quarantined']]);
  await assert.rejects(
    bench.quarantine.release('info-1'),
    refused(
      /^Cannot release info-1: for info@example\.org the local server said ".*554 5\.7\.1 looks bad", expected that it takes the mail; it stays in quarantine$/,
    ),
  );
  assert.equal(bench.quarantine.summary().count, 1);
  bad = false;
  assert.deepEqual(await bench.quarantine.release('info-1'), { id: 'info-1', recipients: ['info@example.org'] });
  assert.equal(smtp.mails.length, 1);
  const { from, recipients, bytes } = smtp.mails[0] ?? { from: '', recipients: [], bytes: Buffer.alloc(0) };
  assert.deepEqual([from, recipients], ['customer@example.net', ['info@example.org']]);
  assert.equal(bytes.toString(), 'X-Mailferry-Trace: in abc123\r\n' + letter('bad').bytes.toString());
  assert.deepEqual([stateOf(bench), readdirSync(join(bench.folder, 'quarantine'))], [['handed-over'], []]);
  await bench.fetch();
  assert.equal(pop3.mails.length, 1, 'the keeping time begins with the delivery');
  for (let day = 0; day < 2; day += 1) {
    bench.passDays(1);
    await bench.fetch();
  }
  assert.deepEqual([pop3.mails.length, smtp.mails.length, stateOf(bench)], [0, 1, ['gone']]);
  await assert.rejects(bench.quarantine.release('info-1'), refused(/it is not in quarantine/));
});

test('drop lets retention delete the mail at the provider, and nobody gets it', async (t) => {
  const { bench, pop3, smtp } = await setUp(t);
  await bench.fetch();
  assert.equal(pop3.mails.length, 1);
  assert.deepEqual(await bench.quarantine.drop('info-1'), { id: 'info-1' });
  assert.deepEqual(readdirSync(join(bench.folder, 'quarantine')), []);
  await bench.fetch();
  assert.deepEqual([pop3.mails.length, smtp.mails.length, bench.quarantine.summary().count], [0, 0, 0]);
});

test('of several recipients only those get a released mail that have not got it', async (t) => {
  const accepts = new Set(['a']);
  const { bench, smtp } = await setUp(t, {
    account: { recipients: ['a@example.org', 'b@example.org', 'c@example.org'] },
    smtp: {
      script: ({ verb, argument }) =>
        verb === 'RCPT' && ![...accepts].some((name) => argument.includes('<' + name + '@'))
          ? '550 5.1.1 no\r\n'
          : undefined,
    },
  });
  await bench.fetch();
  accepts.add('b');
  await assert.rejects(bench.quarantine.release('info-1'), refused(/for c@example\.org the local server said/));
  accepts.add('c');
  assert.deepEqual(await bench.quarantine.release('info-1'), { id: 'info-1', recipients: ['c@example.org'] });
  assert.deepEqual(
    smtp.mails.map(({ recipients }) => recipients),
    [['a@example.org'], ['b@example.org'], ['c@example.org']],
  );
});

test('a record that fails after a release is written at the next try, without a second delivery', async (t) => {
  let bad = true;
  const { bench, smtp } = await setUp(t, { smtp: refusing(() => bad) });
  await bench.fetch();
  bad = false;
  bench.db.exec("CREATE TRIGGER full BEFORE UPDATE ON received BEGIN SELECT RAISE(ABORT, 'disk full'); END");
  await assert.rejects(
    bench.quarantine.release('info-1'),
    refused(/^Cannot record that info-1 was released: disk full/),
  );
  bench.db.exec('DROP TRIGGER full');
  await bench.quarantine.release('info-1');
  assert.deepEqual([smtp.mails.length, stateOf(bench)], [1, ['handed-over']]);
});

test('what a crash left between record and removal is finished at the next start', async (t) => {
  const { bench, smtp, open } = await setUp(t, { mails: [letter('released'), letter('dropped'), letter('kept')] });
  await bench.fetch();
  bench.db.exec(
    "UPDATE received SET state = 'handed-over' WHERE id = 1; UPDATE received_recipient SET verdict = 'delivered' WHERE mail = 1",
  );
  bench.db.exec("UPDATE received SET state = 'gone' WHERE id = 2; DELETE FROM received_recipient WHERE mail = 2");
  bench.db.exec("UPDATE received SET state = 'gone' WHERE id = 3");
  const folder = join(bench.folder, 'quarantine');
  writeFileSync(join(folder, 'half.eml.tmp'), 'x');
  writeFileSync(join(folder, 'nonsense.json'), '{');
  await bench.stop();
  const next = await open();
  await next.fetch();
  assert.deepEqual(readdirSync(folder).sort(), ['info-3.eml', 'info-3.json', 'nonsense.json']);
  assert.equal(next.quarantine.summary().count, 1);
  assert.equal(smtp.mails.length, 0);
});

test('a mail that is gone at the provider, or forgotten by the ledger, can still be released', async (t) => {
  let bad = true;
  const { bench, pop3, smtp } = await setUp(t, { mails: [letter('a'), letter('b')], smtp: refusing(() => bad) });
  await bench.fetch();
  pop3.mails.splice(0);
  await bench.fetch();
  bench.db.exec('DELETE FROM received WHERE id = 2');
  bad = false;
  await bench.quarantine.release('info-1');
  await bench.quarantine.release('info-2');
  assert.deepEqual([smtp.mails.length, stateOf(bench), bench.quarantine.summary().count], [2, ['gone'], 0]);
});

test('an id that is unknown, or no id at all, is refused, and touches no file', async (t) => {
  const { bench } = await setUp(t);
  await bench.fetch();
  for (const id of ['info-2', '../agent', 'info-1.eml', '', 'x'.repeat(200), 'INFO-1', 'info-1\0']) {
    for (const act of ['show', 'release', 'drop'] as const)
      await assert.rejects(
        bench.quarantine[act](id),
        refused(/it is not in quarantine, expected an id of quarantine list$/),
        act + id,
      );
  }
  assert.equal(readdirSync(join(bench.folder, 'quarantine')).length, 2);
});

test('two commands do not work on one mail at once', async (t) => {
  let bad = true;
  const { bench, smtp } = await setUp(t, { smtp: refusing(() => bad) });
  await bench.fetch();
  bad = false;
  const results = await Promise.allSettled([
    bench.quarantine.release('info-1'),
    bench.quarantine.release('info-1'),
    bench.quarantine.drop('info-1'),
  ]);
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'rejected'],
  );
  assert.equal(smtp.mails.length, 1);
});

test('a looping mail goes to quarantine without being offered, and five of them do not pause the account', async (t) => {
  const received = 'Received: from a by b.test; Wed, 25 Nov 2026 10:00:00 +0000\r\n';
  const loops = Array.from({ length: 6 }, (_, n) => letter('loop' + n, received.repeat(51)));
  const own = letter('own', 'X-Mailferry-Trace: in abc123\r\n'.repeat(3));
  const twice = letter('twice', 'X-Mailferry-Trace: in abc123\r\n'.repeat(2));
  const { bench, smtp, pop3 } = await setUp(t, { mails: [twice, ...loops, own], smtp: {} });
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, status?.paused, smtp.mails.length, pop3.mails.length], ['', false, 1, 7]);
  const reasons = (await bench.quarantine.list()).map(({ reason }) => reason);
  assert.equal(
    reasons.filter((reason) => /^mail loop: 51 Received lines, expected at most 50$/.test(reason)).length,
    6,
  );
  assert.equal(
    reasons.filter((reason) => reason.startsWith('mail loop: this agent has handed it over 3 times')).length,
    1,
  );
  const outcomes = bench.mailIn().map(({ tags }) => tags['outcome']);
  assert.equal(outcomes.filter((outcome) => outcome === 'quarantined').length, 7);
});

test('multidrop: each mail goes to whom the provider delivered it, one copy each', async (t) => {
  const own = 'Received: from x by mx.provider.test; Wed, 25 Nov 2026 10:00:00 +0000\r\n';
  const { bench, smtp, pop3 } = await setUp(t, {
    mails: [
      letter('both', 'X-Envelope-To: a@example.org\r\nX-Envelope-To: b@example.org\r\n' + own),
      letter('forged', own + 'X-Envelope-To: boss@example.org\r\n'),
    ],
    smtp: {},
    account: {
      multidrop: {
        header: 'X-Envelope-To',
        domains: ['example.org'],
        fallback: 'office@example.org',
        provider: 'provider.test',
      },
      sender: null,
    },
  });
  await bench.fetch();
  const sent = smtp.mails.map(({ from, recipients }) => [from, ...recipients].join(' ')).sort();
  assert.deepEqual(sent, [' a@example.org b@example.org', ' office@example.org']);
  assert.equal(pop3.mails.length, 0);
});

test('a full quarantine keeps what it has; further mails wait, the same mail again is no further one', async (t) => {
  const folder = createLab(t).dir;
  const quarantine = createQuarantine({ folder: join(folder, 'quarantine'), maxBytes: 100 });
  mkdirSync(join(folder, 'quarantine'));
  const store = createBodyStore({ folder: join(folder, 'incoming') });
  const keep = async (mail: number, text: string): Promise<string> => {
    const collector = store.collect();
    await collector.write(Buffer.from(text));
    const at = new Date().toISOString();
    const note = { account: 'info', mail, uidl: 'x', from: '', subject: '', reason: 'r', recipients: [], at };
    return quarantine.keep(await collector.finish(), note);
  };
  assert.equal(await keep(1, 'a'.repeat(60)), 'info-1');
  await assert.rejects(
    keep(2, 'b'.repeat(60)),
    /^Error: Cannot keep a mail in quarantine: it holds 1 mails of 60 bytes, expected at most/,
  );
  assert.equal(await keep(1, 'a'.repeat(60)), 'info-1');
  // After a lost database the numbers begin anew.
  assert.match(await keep(1, 'c'.repeat(10)), /^info-1-[\da-f]{12}$/);
  assert.equal(quarantine.summary(Date.now()).count, 2);
});
