// The content check against scanners that misbehave.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createCheck } from '../../../../agent/receive/check/check.ts';
import type { Finding, Scanner } from '../../../../agent/receive/check/check.ts';
import { createClamd } from '../../../../agent/receive/check/clamd.ts';
import { createRspamd } from '../../../../agent/receive/check/rspamd.ts';
import { createLab } from '../../../lab/lab.ts';
import { mailOf, scripted } from '../scanner-rig.ts';

const log = createLog({ level: 'silent', name: 'test' });
const maxBytes = 10_000_000;
const clamdAt = (port: number, timeoutMs = 300) =>
  createClamd({ place: { host: '127.0.0.1', port }, timeoutMs, onFailure: 'wait', found: 'quarantine', maxBytes });
const rspamdAt = (port: number, timeoutMs = 300) =>
  createRspamd({ url: 'http://127.0.0.1:' + port, timeoutMs, onFailure: 'wait', reject: 'quarantine', maxBytes });
const textOf = (finding: Finding): string => (finding.kind === 'failure' ? finding.text : finding.kind);
const away = (finding: Finding): boolean | undefined => (finding.kind === 'failure' ? finding.away : undefined);
const http = (status: string, body: string): string =>
  'HTTP/1.1 ' + status + '\r\nContent-Length: ' + Buffer.byteLength(body) + '\r\nConnection: close\r\n\r\n' + body;

test('a scanner that is not there is away, one that fails with a mail is not', async (t) => {
  const lab = createLab(t);
  const free = await lab.freePort();
  for (const scanner of [clamdAt(free), rspamdAt(free)]) {
    const finding = await scanner.scan(mailOf('x'));
    assert.equal(away(finding), true);
    assert.match(
      textOf(finding),
      /^Cannot ask (clamd|rspamd) at .*: .*ECONNREFUSED.*, expected a scanner that answers there$/,
    );
  }
  const silent = await scripted(lab, () => {});
  const closing = await scripted(lab, (socket) => socket.once('data', () => socket.destroy()));
  for (const scanner of [clamdAt(silent), rspamdAt(silent)]) {
    const finding = await scanner.scan(mailOf('x'));
    assert.equal(away(finding), false);
    assert.match(textOf(finding), /: nothing moved for 0\.3 s, expected a verdict$/);
  }
  for (const scanner of [clamdAt(closing), rspamdAt(closing)])
    assert.equal(away(await scanner.scan(mailOf('x'))), false);
});

test('a scanner that reads nothing, or answers nonsense, fails within its deadline', async (t) => {
  const lab = createLab(t);
  const deaf = await scripted(lab, (socket) => socket.pause());
  const large = mailOf(Buffer.alloc(9_000_000, 'x'));
  for (const scanner of [clamdAt(deaf), rspamdAt(deaf)])
    assert.match(textOf(await scanner.scan(large)), /nothing moved/);
  for (const nonsense of ['x', 'stream: OK', 'stream: FOUND\0', '\0', 'stream: OK FOUND ERROR\0', 'y'.repeat(9_000)]) {
    const port = await scripted(lab, (socket) => socket.once('data', () => socket.end(nonsense)));
    assert.equal((await clamdAt(port).scan(mailOf('x'))).kind, 'failure', nonsense);
  }
  const verdict = '{"action":"no action","score":1,"required_score":15,"symbols":{}}';
  const replies = [
    'nonsense\r\n\r\n',
    http('200 OK', ''),
    http('200 OK', '[]'),
    http('200 OK', '{"action":"no action"}'),
    http('200 OK', '{"action":1,"score":1}'),
    http('200 OK', verdict.slice(0, -1)),
    http('500 No', verdict),
    http('200 OK', verdict.replace('{', '{"padding":"' + 'z'.repeat(2_000_000) + '",')),
    http('200 OK', verdict).slice(0, -1),
  ];
  for (const reply of replies) {
    const port = await scripted(lab, (socket) => socket.once('data', () => socket.end(reply)));
    assert.equal((await rspamdAt(port).scan(mailOf('x'))).kind, 'failure', reply.slice(0, 80));
  }
  const fine = await scripted(lab, (socket) => socket.once('data', () => socket.end(http('200 OK', verdict))));
  assert.equal((await rspamdAt(fine).scan(mailOf('x'))).kind, 'pass');
});

test('a mail that moves slowly is no failure, one that stands still is', async (t) => {
  const lab = createLab(t);
  const size = 30_000_000;
  let seen = 0;
  const port = await scripted(lab, (socket) => {
    socket.on('data', (bytes) => {
      seen += bytes.length;
      socket.pause();
      setTimeout(() => socket.resume(), 5);
      if (seen >= size) socket.write('stream: OK\0');
    });
  });
  const startedAt = performance.now();
  assert.equal((await clamdAt(port, 1_500).scan(mailOf(Buffer.alloc(size, 'x')))).kind, 'pass');
  assert.ok(performance.now() - startedAt > 1_500, 'longer in all than the deadline');
});

test('what rspamd says cannot become a header line of its own', async (t) => {
  const lab = createLab(t);
  const reply = {
    action: 'add header\r\nX-Evil: 1',
    score: 7,
    required_score: 15,
    symbols: { 'A\r\nB: c': {}, GOOD: {} },
  };
  const port = await scripted(lab, (socket) =>
    socket.once('data', () => socket.end(http('200 OK', JSON.stringify(reply)))),
  );
  const verdict = await createCheck({ scanners: [rspamdAt(port)], log, clock: systemClock }).check(mailOf('x'));
  assert.ok(verdict.kind === 'pass');
  assert.doesNotMatch(verdict.head, /^X-Evil|^B:/m);
  assert.match(verdict.head, /tests=GOOD\r\n/);
});

test('an abort ends a scan at once and is not the failure of the scanner', async (t) => {
  const lab = createLab(t);
  const silent = await scripted(lab, () => {});
  for (const scanner of [clamdAt(silent, 60_000), rspamdAt(silent, 60_000)]) {
    const controller = new AbortController();
    const check = createCheck({ scanners: [scanner], log, clock: systemClock });
    const scan = check.check(mailOf('x', { signal: controller.signal }));
    controller.abort();
    assert.equal((await scan).kind, 'wait');
    assert.equal(check.problem(), undefined);
  }
});

const always = (
  name: Scanner['name'],
  finding: Finding,
  onFailure: Scanner['onFailure'] = 'wait',
  limit = maxBytes,
): Scanner => ({
  name,
  onFailure,
  maxBytes: limit,
  scan: async () => finding,
});
const pass: Finding = { kind: 'pass', word: 'clean', lines: ['X-A: 1'] };
const failure: Finding = { kind: 'failure', away: false, text: 'broken' };
const found: Finding = { kind: 'quarantine', reason: 'clamd found X' };

test('of two scanners, a find wins over a failure, and a failure over a pass, by its onFailure', async () => {
  const run = async (...scanners: Scanner[]) => createCheck({ scanners, log, clock: systemClock }).check(mailOf('x'));
  assert.deepEqual(await run(), { kind: 'pass', head: '' });
  assert.deepEqual(await run(always('rspamd', failure), always('clamd', found)), found);
  assert.deepEqual(await run(always('clamd', failure), always('rspamd', pass)), {
    kind: 'wait',
    text: 'clamd: broken',
  });
  assert.deepEqual(await run(always('clamd', failure, 'deliver'), always('rspamd', pass)), {
    kind: 'pass',
    head: 'X-Mailferry-Check: clamd failed; rspamd clean\r\nX-A: 1\r\n',
  });
});

test('a mail that is empty or too large is not scanned, and its header says so', async () => {
  const check = createCheck({ scanners: [always('clamd', found, 'wait', 10)], log, clock: systemClock });
  assert.deepEqual(await check.check(mailOf('')), {
    kind: 'pass',
    head: 'X-Mailferry-Check: clamd not asked (empty)\r\n',
  });
  const large = await check.check(mailOf('x'.repeat(11)));
  assert.deepEqual(large, { kind: 'pass', head: 'X-Mailferry-Check: clamd not asked (larger than 10 bytes)\r\n' });
  assert.equal((await check.check(mailOf('x'.repeat(10)))).kind, 'quarantine');
});

test('one mail that fails is the mail, three in a row or nobody there is the scanner', async () => {
  let finding: Finding = failure;
  const scanner: Scanner = { name: 'clamd', onFailure: 'wait', maxBytes, scan: async () => finding };
  const check = createCheck({ scanners: [scanner], log, clock: systemClock });
  const problems: (string | undefined)[] = [];
  for (const next of [failure, pass, failure, failure, failure, pass, { ...failure, away: true }, pass]) {
    finding = next;
    await check.check(mailOf('x'));
    problems.push(check.problem());
  }
  const broken = 'clamd: broken';
  assert.deepEqual(problems, [undefined, undefined, undefined, undefined, broken, undefined, broken, undefined]);
  const open = createCheck({
    scanners: [always('rspamd', { ...failure, away: true }, 'deliver')],
    log,
    clock: systemClock,
  });
  await open.check(mailOf('x'));
  assert.equal(open.problem(), undefined, 'it holds nothing up');
  assert.deepEqual(open.states(), [{ name: 'rspamd', problem: 'rspamd: broken' }]);
});

test('a scanner that hangs and must not hold up the mail is left alone for a minute', async () => {
  let now = 0;
  let asked = 0;
  let finding: Finding = failure;
  const scan = async (): Promise<Finding> => {
    asked += 1;
    return finding;
  };
  const clock = { ...systemClock, monotonic: () => now };
  for (const [onFailure, expected] of [
    ['deliver', 3],
    ['wait', 10],
  ] as const) {
    asked = 0;
    const check = createCheck({ scanners: [{ name: 'rspamd', onFailure, maxBytes, scan }], log, clock });
    for (let n = 0; n < 10; n += 1) await check.check(mailOf('x'));
    assert.equal(asked, expected, onFailure);
    if (onFailure === 'wait') continue;
    now += 61_000;
    finding = pass;
    assert.deepEqual(await check.check(mailOf('x')), {
      kind: 'pass',
      head: 'X-Mailferry-Check: rspamd clean\r\nX-A: 1\r\n',
    });
    await check.check(mailOf('x'));
    assert.equal(asked, 5);
    finding = failure;
  }
});

test('four mails at once are scanned, no more', async () => {
  let now = 0;
  let most = 0;
  const scan = async (): Promise<Finding> => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setImmediate(resolve));
    now -= 1;
    return pass;
  };
  const check = createCheck({
    scanners: [{ name: 'clamd', onFailure: 'wait', maxBytes, scan }],
    log,
    clock: systemClock,
  });
  await Promise.all(Array.from({ length: 30 }, () => check.check(mailOf('x'))));
  assert.equal(most, 4);
});
