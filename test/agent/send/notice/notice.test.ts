import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeNotice } from '../../../../agent/send/notice/notice.ts';
import type { NoticeOptions } from '../../../../agent/send/notice/notice.ts';
import { nextState, wants } from '../../../../agent/send/relay/outcome.ts';
import type { Outcome, Recipient } from '../../../../agent/send/relay/outcome.ts';
import { statusOf } from '../../../../agent/send/notice/report.ts';

const base: NoticeOptions = {
  id: 'notice-1.abc',
  kind: 'failed',
  to: 'sales@office.test',
  reports: [
    {
      address: 'nobody@world.test',
      action: 'failed',
      status: '5.1.1',
      reply: '550 5.1.1 no such user',
      mayHaveArrived: false,
      attemptedAt: Date.UTC(2026, 10, 25, 7, 59),
    },
  ],
  original: Buffer.from('Received: x\r\nMessage-ID: <orig@office.test>\r\nSubject: offer\r\n\r\nsecret body'),
  arrivedAt: Date.UTC(2026, 10, 25, 7),
  createdAt: Date.UTC(2026, 10, 25, 8),
  hostname: 'nas.office.test',
  relayHost: 'smtp.provider.test',
  traceId: 'test-trace',
};

test('a notice of failure is a multipart/report, answers the mail it is about, and shows its header only', () => {
  const text = composeNotice(base).toString();
  assert.equal(
    text,
    [
      'From: Mail Delivery System <mailer-daemon@nas.office.test>',
      'To: <sales@office.test>',
      'Subject: Your mail could not be delivered',
      'Date: Wed, 25 Nov 2026 08:00:00 +0000',
      'Message-ID: <notice-1.abc@nas.office.test>',
      'In-Reply-To: <orig@office.test>',
      'References: <orig@office.test>',
      'Auto-Submitted: auto-replied',
      'Precedence: bulk',
      'X-Auto-Response-Suppress: All',
      'X-Mailferry-Trace: in test-trace',
      'MIME-Version: 1.0',
      'Content-Type: multipart/report; report-type=delivery-status;',
      '\tboundary="=_mailferry_notice-1.abc"',
      '',
      '--=_mailferry_notice-1.abc',
      'Content-Type: text/plain; charset=utf-8',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Your mail of Wed, 25 Nov 2026 07:00:00 +0000 could not be delivered to:',
      '',
      '  nobody@world.test',
      '      550 5.1.1 no such user',
      '',
      'It will not be tried again. The header of the mail follows.',
      '',
      '--=_mailferry_notice-1.abc',
      'Content-Type: message/delivery-status',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Reporting-MTA: dns; nas.office.test',
      'Arrival-Date: Wed, 25 Nov 2026 07:00:00 +0000',
      '',
      'Final-Recipient: rfc822; nobody@world.test',
      'Action: failed',
      'Status: 5.1.1',
      'Remote-MTA: dns; smtp.provider.test',
      'Diagnostic-Code: smtp; 550 5.1.1 no such user',
      'Last-Attempt-Date: Wed, 25 Nov 2026 07:59:00 +0000',
      '',
      '--=_mailferry_notice-1.abc',
      'Content-Type: text/rfc822-headers',
      'Content-Transfer-Encoding: 7bit',
      '',
      'Received: x',
      'Message-ID: <orig@office.test>',
      'Subject: offer',
      '',
      '--=_mailferry_notice-1.abc--',
      '',
    ].join('\r\n'),
  );
});

test('a notice stays well-formed whatever relay and mail contain', () => {
  const reply = '550 5.7.1 gr\u00fcn \r\n.\r\n--=_mailferry_notice-1.abc ' + 'x'.repeat(900);
  const original = Buffer.from(
    'Subject: \u00e4\0\r\nX-Long: ' + 'y'.repeat(5_000) + '\nMessage-ID: <a b>\r\n\r\n',
    'latin1',
  );
  const address = 'b\u00fcro@world.test';
  const report = { address, action: 'failed' as const, status: '5.7.1', reply, mayHaveArrived: true };
  const bytes = composeNotice({ ...base, reports: [report], original });
  const text = bytes.toString();
  for (const line of text.split('\r\n')) {
    assert.ok(Buffer.byteLength(line) <= 998, 'a line of ' + line.length);
    assert.doesNotMatch(line, /[\r\n\0]/);
  }
  assert.match(text, /boundary="=_mailferry_notice-1\.abc_"/);
  assert.match(text, /Final-Recipient: utf-8; b\\x\{FC\}ro@world\.test/);
  assert.match(text, /may have arrived all the same/);
  assert.doesNotMatch(text, /In-Reply-To/);
  const encoded = /base64\r\n\r\n([A-Za-z0-9+/=\r\n]+)\r\n--/.exec(text)?.[1] ?? '';
  assert.equal(
    Buffer.from(encoded, 'base64').toString('latin1'),
    original.toString('latin1').replaceAll(/\r?\n/g, '\r\n').slice(0, -2),
  );
});

test('a delayed mail is told as such', () => {
  const [report] = base.reports;
  assert.ok(report);
  const text = composeNotice({
    ...base,
    kind: 'delayed',
    reports: [{ ...report, action: 'delayed', status: '4.4.1' }],
  }).toString();
  assert.match(
    text,
    /Subject: Your mail is delayed[^]*has not been delivered yet to[^]*You need not send it again[^]*Action: delayed\r\nStatus: 4\.4\.1/,
  );
});

test('a report carries what RFC 3461 asked for, the meaning in plain words, and how long a delayed mail is tried', () => {
  const [report] = base.reports;
  assert.ok(report);
  const delayed = {
    ...report,
    action: 'delayed' as const,
    status: '4.2.2',
    reply: '452 4.2.2 over quota',
    original: 'rfc822;Nobody+list@world.test',
    meaning: "The recipient's mailbox is full",
    remedy: 'Tell the recipient in another way',
    host: 'second.provider.test',
  };
  const retryUntil = Date.UTC(2026, 10, 30, 7);
  const text = composeNotice({
    ...base,
    kind: 'delayed',
    reports: [delayed],
    envid: 'QQ314159\r\nX: y',
    retryUntil,
  }).toString();
  assert.match(
    text,
    /\r\n\r\nOriginal-Envelope-Id: QQ314159 X: y\r\nReporting-MTA: dns; nas\.office\.test\r\nArrival-Date: /,
  );
  assert.match(
    text,
    /\r\n\r\nOriginal-Recipient: rfc822; Nobody\+list@world\.test\r\nFinal-Recipient: rfc822; nobody@world\.test\r\nAction: delayed\r\nStatus: 4\.2\.2\r\nRemote-MTA: dns; second\.provider\.test\r\nDiagnostic-Code: smtp; 452 4\.2\.2 over quota\r\nLast-Attempt-Date: .*\r\nWill-Retry-Until: Mon, 30 Nov 2026 07:00:00 \+0000\r\n/,
  );
  assert.match(
    text,
    /This means: The recipient's mailbox is full\.\r\n {6}What helps: Tell the recipient in another way\.\r\n/,
  );
});

test('words of ours are not given out as the answer of a server', () => {
  const [report] = base.reports;
  assert.ok(report);
  const { attemptedAt, ...never } = report;
  assert.ok(attemptedAt);
  const text = composeNotice({
    ...base,
    reports: [{ ...never, reply: 'Not sent within 10 hours', status: '4.4.7' }],
  }).toString();
  assert.match(text, /Status: 4\.4\.7\r\nDiagnostic-Code: x-mailferry; Not sent within 10 hours\r\n\r\n--/);
  assert.doesNotMatch(text, /Remote-MTA|Last-Attempt-Date/);
});

test('a mail that was handed on to a server without confirmations is told as relayed, not as delivered', () => {
  const [report] = base.reports;
  assert.ok(report);
  const text = composeNotice({
    ...base,
    kind: 'relayed',
    reports: [{ ...report, action: 'relayed', status: '2.0.0', reply: '250 2.0.0 taken' }],
  }).toString();
  assert.match(text, /Subject: Your mail was handed on\r\n[^]*Action: relayed\r\nStatus: 2\.0\.0\r\n/);
});

test('the operator reads whose mail it was, and the mail itself as far as it can be shown', () => {
  const original = Buffer.from('Subject: offer\r\n\r\nThe price is 5 \u20ac.\n');
  const text = composeNotice({
    ...base,
    to: 'postmaster@office.test',
    sender: 'stranger@other.test',
    original,
    whole: true,
  }).toString();
  assert.match(text, /To: <postmaster@office\.test>\r\nSubject: A mail could not be delivered\r\n/);
  assert.match(text, /A mail of stranger@other\.test of Wed, 25 Nov 2026 07:00:00 \+0000 could not be delivered to:/);
  assert.match(
    text,
    /Content-Type: message\/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: offer\r\n\r\nThe price is 5 \u20ac\.\r\n\r\n--/,
  );
  const long = composeNotice({
    ...base,
    original: Buffer.from('Subject: x\r\n\r\n' + 'y'.repeat(2_000)),
    whole: true,
  }).toString();
  assert.match(long, /text\/rfc822-headers[^]*Subject: x/);
  assert.doesNotMatch(long, /yyy/);
});

test('who is told what: failure and delay when nothing was asked, else exactly what was asked', () => {
  const recipient: Recipient = {
    number: 0,
    address: 'a@world.test',
    state: 'queued',
    attempts: 0,
    unknowns: 0,
    lastReply: '',
    relay: 'provider',
  };
  const told = (notify?: readonly ('NEVER' | 'SUCCESS' | 'FAILURE' | 'DELAY')[]): string =>
    (['SUCCESS', 'FAILURE', 'DELAY'] as const)
      .filter((what) => wants(notify === undefined ? recipient : { ...recipient, dsn: { notify } }, what))
      .join(' ');
  assert.equal(told(), 'FAILURE DELAY');
  assert.equal(told(['NEVER']), '');
  assert.equal(told(['SUCCESS']), 'SUCCESS');
  assert.equal(told(['FAILURE']), 'FAILURE');
  assert.equal(told(['SUCCESS', 'FAILURE', 'DELAY']), 'SUCCESS FAILURE DELAY');
});

test('the status of a reply is its enhanced code when that fits, else its class', () => {
  const rows: readonly (readonly [string | undefined, string, string])[] = [
    [undefined, '550 5.1.1 no such user', '5.1.1'],
    ['5.7.1', '550 no', '5.7.1'],
    [undefined, '550 no such user', '5.0.0'],
    ['4.2.1', '550 strange', '5.0.0'],
    [undefined, '450 4.2.1 later', '4.2.1'],
    [undefined, '450 later', '4.0.0'],
    [undefined, '250 2.1.5 taken', '2.1.5'],
    [undefined, 'no answer at all', '4.4.7'],
    [undefined, '', '4.4.7'],
  ];
  for (const [enhanced, reply, expected] of rows) assert.equal(statusOf(enhanced, reply, '4.4.7'), expected, reply);
});

test('the table of outcomes', () => {
  const recipient: Recipient = {
    number: 0,
    address: 'a@world.test',
    state: 'queued',
    attempts: 2,
    unknowns: 0,
    lastReply: '',
    relay: 'provider',
  };
  const after = (result: Outcome['result'], unknowns: number, local: boolean): string => {
    const rules = {
      queueClock: { now: () => 1_000 },
      retryWaitMs: (attempts: number) => attempts * 10,
      unknownRetryMs: 900,
      tells: () => local,
    };
    const next = nextState(rules, 'sales@office.test', { result, recipient: { ...recipient, unknowns } });
    return [next.state, next.dueMs, next.attempts, next.unknowns].join(' ');
  };
  const rows: readonly (readonly [Outcome['result'], number, boolean, string])[] = [
    ['sent', 0, true, 'sent 0 3 0'],
    ['sent', 1, true, 'sent 0 3 1'],
    ['refused', 0, true, 'failed 0 3 0'],
    ['refused', 0, false, 'held 0 3 0'],
    ['later', 0, true, 'queued 1030 3 0'],
    ['later', 1, true, 'unknown 1030 3 1'],
    ['unknown', 0, true, 'unknown 1900 3 1'],
    ['unknown', 1, true, 'held 0 3 2'],
    ['untouched', 0, true, 'queued 1000 2 0'],
    ['untouched', 1, true, 'unknown 1000 2 1'],
  ];
  for (const [result, unknowns, local, expected] of rows)
    assert.equal(after(result, unknowns, local), expected, result + ' ' + unknowns);
});
