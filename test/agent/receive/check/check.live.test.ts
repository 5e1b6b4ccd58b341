// The content check with a real rspamd and a real clamd, in front of a real room.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import type { CheckConfig } from '../../../../agent/receive/delivery-options.ts';
import { openCheck } from '../../../../agent/receive/check/scanners.ts';
import { labVirus, labVirusName } from '../../../lab/clamd.ts';
import type { Clamd } from '../../../lab/clamd.ts';
import { createLab } from '../../../lab/lab.ts';
import type { Lab } from '../../../lab/lab.ts';
import type { Rspamd } from '../../../lab/rspamd.ts';
import { waitFor } from '../../../lab/wait.ts';
import { createBench } from '../bench.ts';
import { mailOf } from '../scanner-rig.ts';

const lab: Lab = createLab({ after });
let rspamd: Rspamd;
let clamd: Clamd;
before(async () => {
  [rspamd, clamd] = await Promise.all([lab.rspamd(), lab.clamd()]);
});

const log = createLog({ level: 'silent', name: 'test' });
const gtube = 'XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X';
const letter = (subject: string, body = 'text'): string =>
  'From: <customer@example.net>\r\nSubject: ' + subject + '\r\n\r\n' + body + '\r\n';
const standard = { timeoutSeconds: 10, maxBytes: 26_214_400 } as const;
const rspamdOptions = () => ({ ...standard, url: rspamd.url, onFailure: 'wait', reject: 'quarantine' }) as const;
const clamdOptions = () =>
  ({ ...standard, socket: clamd.socket, port: 3_310, onFailure: 'wait', found: 'quarantine' }) as const;
const ask = (config: CheckConfig, text: string | Buffer, password?: string) =>
  openCheck({ config, ...(password === undefined ? {} : { password }) }, { clock: systemClock, log }).check(
    mailOf(text),
  );

test('rspamd: what is fine gets its score, what is spam its mark, what is to be rejected goes to quarantine', async () => {
  const fine = await ask({ rspamd: rspamdOptions() }, letter('hello'));
  assert.ok(fine.kind === 'pass');
  assert.equal(
    fine.head,
    [
      'X-Mailferry-Check: rspamd no action',
      'X-Spam-Status: No, score=0.50 required=15.00 tests=LAB_ENVELOPE',
      'X-Spam-Score: 0.50',
      'X-Spam-Action: no action',
      '',
    ].join('\r\n'),
  );
  assert.match(rspamd.log(), /LAB_ENVELOPE\(0\.50\)\{customer@example\.net\|2\|info@example\.org;\}/);
  const spam = await ask({ rspamd: rspamdOptions() }, letter('lab spam'));
  assert.ok(spam.kind === 'pass');
  assert.match(
    spam.head,
    /^X-Mailferry-Check: rspamd add header\r\nX-Spam: Yes\r\nX-Spam-Flag: YES\r\nX-Spam-Status: Yes, score=7\.50 /,
  );
  const worst = await ask({ rspamd: rspamdOptions() }, letter('hello', gtube));
  assert.deepEqual(worst, { kind: 'quarantine', reason: 'rspamd says reject, score 15.00 of 15.00: GTUBE' });
  const through = await ask({ rspamd: { ...rspamdOptions(), reject: 'deliver' } }, letter('hello', gtube));
  assert.ok(through.kind === 'pass' && /^X-Spam: Yes\r$/m.test(through.head));
});

test('rspamd: the controller wants its password, and says so', async () => {
  const config = { rspamd: { ...rspamdOptions(), url: rspamd.controllerUrl } };
  assert.equal((await ask(config, letter('hello'), rspamd.password)).kind, 'pass');
  const denied = await ask(config, letter('hello'), 'wrong');
  assert.ok(denied.kind === 'wait');
  assert.match(
    denied.text,
    /it answered HTTP 401 "Unauthorized", expected a password that it takes; set check\.rspamd\.password$/,
  );
});

test('clamd: finds what it knows, by TCP and by unix socket, in a small mail and at the end of a large one', async () => {
  const { host, port } = clamd;
  for (const place of [{}, { socket: undefined, host, port }]) {
    const { socket, ...rest } = { ...clamdOptions(), ...place };
    const config = { clamd: socket === undefined ? rest : { ...rest, socket } };
    assert.deepEqual(await ask(config, letter('x')), { kind: 'pass', head: 'X-Mailferry-Check: clamd clean\r\n' });
    for (const body of [labVirus, ('z'.repeat(70) + '\r\n').repeat(30_000) + labVirus]) {
      const verdict = await ask(config, letter('x', body));
      assert.deepEqual(verdict, { kind: 'quarantine', reason: 'clamd found ' + labVirusName });
    }
  }
  const deliver = await ask({ clamd: { ...clamdOptions(), found: 'deliver' } }, letter('x', labVirus));
  const head = 'X-Mailferry-Check: clamd found ' + labVirusName + '\r\nX-Virus-Found: ' + labVirusName + '\r\n';
  assert.deepEqual(deliver, { kind: 'pass', head });
});

test('clamd: a mail that is larger than it takes is a failure with a remedy, not with the line', async () => {
  const large = Buffer.alloc(6_000_000, 'x');
  const verdict = await ask({ clamd: clamdOptions() }, large);
  assert.ok(verdict.kind === 'wait');
  assert.match(
    verdict.text,
    /INSTREAM size limit exceeded\. ERROR", expected a verdict; raise StreamMaxLength at clamd, or lower check\.clamd\.maxBytes$/,
  );
  const skipped = await ask({ clamd: { ...clamdOptions(), maxBytes: 4_000_000 } }, large);
  assert.deepEqual(skipped, {
    kind: 'pass',
    head: 'X-Mailferry-Check: clamd not asked (larger than 4000000 bytes)\r\n',
  });
});

async function setUp(t: TestContext, name: string, check: CheckConfig, letters: readonly string[]) {
  const mails = letters.map((text, index) => ({ uid: 'u' + index, bytes: Buffer.from(text) }));
  const pop3 = await lab.scriptedPop3({ mails });
  const local = await lab.dovecot({ users: { 'info@example.org': 'secret' } });
  const endpoint = { host: pop3.host, port: pop3.port, tls: 'none' } as const;
  const bench = await createBench(t, lab, {
    name,
    accounts: [{ endpoint, intervalSeconds: 1 }],
    local: { host: '127.0.0.1', port: local.lmtp, tls: 'none' },
    protocol: 'lmtp',
    check: { config: check },
  });
  return { pop3, local, bench };
}

test('mails on their way: marked, put aside, delivered as they are; none deleted that was not handed over', async (t) => {
  const letters = [
    letter('fine'),
    letter('lab spam'),
    letter('worst', gtube),
    letter('virus', labVirus),
    letter('both', gtube + labVirus),
  ];
  const { pop3, local, bench } = await setUp(t, 'way', { rspamd: rspamdOptions(), clamd: clamdOptions() }, letters);
  const [status] = await bench.fetch();
  assert.equal(status?.problem, '');
  const arrived = (await local.mails('info@example.org')).map(String);
  assert.equal(arrived.length, 2);
  for (const text of arrived) {
    assert.match(text, /\nX-Mailferry-Trace: in abc123\r?\nX-Mailferry-Check: clamd clean; rspamd /);
    assert.equal(/^X-Spam: Yes\r?$/m.test(text), /Subject: lab spam/.test(text));
  }
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    ['u2', 'u3', 'u4'],
  );
  const reasons = (await bench.quarantine.list()).map(({ reason }) => reason).sort();
  assert.deepEqual(reasons, [
    'clamd found ' + labVirusName,
    'clamd found ' + labVirusName,
    'rspamd says reject, score 15.00 of 15.00: GTUBE',
  ]);
  await bench.quarantine.release('info-3');
  assert.equal(await local.count('info@example.org'), 3, 'released without another check');
  await bench.quarantine.drop('info-4');
  await bench.fetch();
  assert.deepEqual(
    pop3.mails.map(({ uid }) => uid),
    ['u4'],
  );
});

test('with onFailure wait nothing is lost while a scanner is down: mails stay, and arrive when it is back', async (t) => {
  const letters = Array.from({ length: 120 }, (_, n) => letter('m' + n));
  const { pop3, local, bench } = await setUp(t, 'wait', { clamd: clamdOptions() }, letters);
  await clamd.stop();
  const [status] = await bench.fetch();
  assert.match(
    status?.problem ?? '',
    /^info: clamd: Cannot ask clamd at .*: .*(ENOENT|ECONNREFUSED).*, expected a scanner that answers there$/,
  );
  assert.deepEqual(
    [status?.up, status?.backlog, pop3.mails.length, await local.count('info@example.org')],
    [false, 120, 120, 0],
  );
  const before = pop3.commands.filter((line) => line.startsWith('RETR')).length;
  assert.ok(before < 120, 'the rest is not fetched while the scanner is away: ' + before);
  await clamd.start();
  await waitFor('all mails', () => pop3.mails.length === 0, { timeoutMs: 60_000 });
  assert.equal(await local.count('info@example.org'), 120);
  assert.deepEqual(bench.scanners(), [{ name: 'clamd', problem: '' }]);
});

test('with onFailure deliver mails arrive while a scanner is down, and their header says so', async (t) => {
  await rspamd.stop();
  const config = { rspamd: { ...rspamdOptions(), onFailure: 'deliver' as const } };
  const { pop3, local, bench } = await setUp(t, 'deliver', config, [letter('a'), letter('b')]);
  const [status] = await bench.fetch();
  assert.deepEqual([status?.problem, pop3.mails.length], ['', 0]);
  for (const bytes of await local.mails('info@example.org'))
    assert.match(String(bytes), /\nX-Mailferry-Check: rspamd failed\r?\n/);
  assert.match(bench.scanners()[0]?.problem ?? '', /^rspamd: Cannot ask rspamd at http:.*ECONNREFUSED/);
  await rspamd.start();
});

test('a scanner that dies in the middle of a mail loses nothing', async (t) => {
  const { port, host } = clamd;
  const proxy = await lab.proxy({ to: { host, port } });
  const { socket, ...rest } = clamdOptions();
  assert.ok(socket);
  const config = { clamd: { ...rest, host: '127.0.0.1', port: proxy.port } };
  const { pop3, local, bench } = await setUp(t, 'dies', config, [
    letter('large', ('y'.repeat(70) + '\r\n').repeat(30_000)),
  ]);
  proxy.cutAfter('up', 1_000_000);
  const [status] = await bench.fetch();
  assert.match(status?.problem ?? '', /^info: mails that wait at the provider.*clamd: Cannot ask clamd/);
  assert.deepEqual([pop3.mails.length, await local.count('info@example.org')], [1, 0]);
  await bench.fetch();
  assert.deepEqual([pop3.mails.length, await local.count('info@example.org')], [0, 1]);
});
