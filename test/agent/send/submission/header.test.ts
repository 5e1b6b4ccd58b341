import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFields, rewriteHeader } from '../../../../agent/send/submission/header.ts';
import { createHeaderSplitter } from '../../../../agent/send/submission/header-splitter.ts';
import type { Split } from '../../../../agent/send/submission/header-splitter.ts';

const rules = {
  received: 'from desk by nas with ESMTPA id x',
  date: 'Wed, 25 Nov 2026 07:00:00 +0000',
  messageId: '<x@nas>',
  traceId: 'own',
  maxHops: 50,
};
const received = 'Received: from desk by nas with ESMTPA id x;\r\n\tWed, 25 Nov 2026 07:00:00 +0000\r\n';
const trace = 'X-Mailferry-Trace: out own\r\n';
const date = 'Date: Wed, 25 Nov 2026 07:00:00 +0000\r\n';
const id = 'Message-ID: <x@nas>\r\n';
const added = received + trace + date + id;

function splitWhole(mail: string | Buffer, sizes: readonly number[] = []): Split {
  const bytes = Buffer.from(mail as string, 'latin1');
  const splitter = createHeaderSplitter(1_000_000);
  let at = 0;
  let found: Split | undefined;
  const rest: Buffer[] = [];
  for (const size of [...sizes, bytes.length]) {
    const chunk = bytes.subarray(at, at + size);
    at += chunk.length;
    if (found !== undefined) rest.push(chunk);
    else {
      const split = splitter.push(chunk);
      assert.notEqual(split, 'too-large');
      if (split !== undefined && split !== 'too-large') found = split;
    }
  }
  const split = found ?? splitter.end();
  return { ...split, rest: Buffer.concat([split.rest, ...rest]) };
}

function rewrite(mail: string): string {
  const header = readFields(splitWhole(mail));
  const result = rewriteHeader(header, rules);
  return result.ok ? Buffer.concat([result.bytes, ...header.body]).toString('latin1') : result.code + ' ' + result.text;
}

const splits: readonly (readonly [string, string, string, string])[] = [
  ['A: b\r\n\r\nbody\r\n', 'A: b\r\n', '\r\n', 'body\r\n'],
  ['A: b\n\nbody', 'A: b\n', '\n', 'body'],
  ['A: b\r\rbody', 'A: b\r', '\r', 'body'],
  ['A: b\r\n\rbody', 'A: b\r\n', '\r', 'body'],
  ['A: b\r\n\nbody', 'A: b\r\n', '\n', 'body'],
  ['A: b\r\r\nbody', 'A: b\r', '\r\n', 'body'],
  ['A: b\r\n \r\nB: c\r\n\r\n', 'A: b\r\n \r\nB: c\r\n', '\r\n', ''],
  ['\r\nbody', '', '\r\n', 'body'],
  ['\nbody', '', '\n', 'body'],
  ['A: b\r\n', 'A: b\r\n', '', ''],
  ['A: b', 'A: b', '', ''],
  ['A: b\r\n\r', 'A: b\r\n', '\r', ''],
  ['', '', '', ''],
  ['A: b\r\n\r\n\r\n\r\n', 'A: b\r\n', '\r\n', '\r\n\r\n'],
];

test('the header ends at the first empty line, wherever the bytes are cut', () => {
  for (const [mail, header, separator, rest] of splits) {
    for (let cut = 0; cut <= mail.length; cut += 1) {
      const split = splitWhole(mail, [cut]);
      const found = [split.header, split.separator, split.rest].map((part) => part.toString('latin1'));
      assert.deepEqual(found, [header, separator, rest], JSON.stringify(mail) + ' cut at ' + cut);
    }
    const bytewise = splitWhole(
      mail,
      Array.from({ length: mail.length }, () => 1),
    );
    assert.equal(bytewise.header.toString('latin1'), header);
  }
});

test('for random mails the cuts make no difference, and no byte is lost', () => {
  let seed = 20_261_125;
  const random = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  const alphabet = ['\r', '\n', '\r\n', 'A', ':', ' ', '\t', 'Bcc', '\0', '\u00ff'];
  for (let round = 0; round < 2_000; round += 1) {
    const mail = Array.from({ length: random(30) }, () => alphabet[random(alphabet.length)]).join('');
    const whole = splitWhole(mail);
    const cut = splitWhole(
      mail,
      Array.from({ length: 10 }, () => random(6)),
    );
    assert.deepEqual(cut, whole, JSON.stringify(mail));
    assert.equal(Buffer.concat([whole.header, whole.separator, whole.rest]).toString('latin1'), mail);
  }
});

test('a header over its limit is told, and no more than that is kept', () => {
  const splitter = createHeaderSplitter(1_000);
  for (let n = 0; n < 10; n += 1) assert.equal(splitter.push(Buffer.from('A: ' + 'b'.repeat(95) + '\r\n')), undefined);
  assert.equal(splitter.push(Buffer.from('A: b\r\n')), 'too-large');
  assert.equal(createHeaderSplitter(4).push(Buffer.from('A: b\r\n\r\n')), 'too-large');
});

const rewrites: readonly (readonly [string, string, string])[] = [
  ['Date and Message-ID are added when missing', 'Subject: a\r\n\r\nbody', added + 'Subject: a\r\n\r\nbody'],
  [
    'Date and Message-ID stay as they are',
    'date: then\r\nMESSAGE-ID : <a@b>\r\n\r\n',
    received + trace + 'date: then\r\nMESSAGE-ID : <a@b>\r\n\r\n',
  ],
  [
    'Bcc goes, with its continuation lines',
    'Bcc: a@b,\r\n c@d,\r\n\te@f\r\nTo: x@y\r\n\r\n',
    added + 'To: x@y\r\n\r\n',
  ],
  [
    'Bcc goes in any letters, with a blank before the colon, and twice',
    'BCC : a@b\r\nTo: x@y\r\nbcc:c@d\r\n\r\n',
    added + 'To: x@y\r\n\r\n',
  ],
  [
    'Bcc behind a bare CR or LF goes too',
    'To: x@y\rBcc: a@b\nSubject: s\r\n\r\n',
    added + 'To: x@y\rSubject: s\r\n\r\n',
  ],
  [
    'an address on a broken line behind Bcc goes with it',
    'Bcc: a@b,\r\nc@d\r\nTo: x@y\r\n\r\n',
    added + 'To: x@y\r\n\r\n',
  ],
  [
    'Resent-Bcc and Return-Path go',
    'Resent-Bcc: a@b\r\nReturn-Path: <c@d>\r\nTo: x@y\r\n\r\n',
    added + 'To: x@y\r\n\r\n',
  ],
  ['a Bcc in the body stays', 'To: x@y\r\n\r\nBcc: a@b\r\n', added + 'To: x@y\r\n\r\nBcc: a@b\r\n'],
  ['X-Bcc is another field', 'X-Bcc: a\r\n\r\n', added + 'X-Bcc: a\r\n\r\n'],
  [
    'bytes that are no text stay as they are',
    'Subject: \u00e4\0\u00ff\r\n\r\n\u00ff\0',
    added + 'Subject: \u00e4\0\u00ff\r\n\r\n\u00ff\0',
  ],
  [
    'a mail without a header is all body',
    'Hello world\r\nBcc: text\r\n\r\nmore',
    added + '\r\nHello world\r\nBcc: text\r\n\r\nmore',
  ],
  ['an empty header', '\r\nbody', added + '\r\nbody'],
  ['a mail that ends in its header gets its empty line', 'Subject: a\r\n', added + 'Subject: a\r\n\r\n'],
  ['a mail that ends in the middle of a line', 'Subject: a', added + 'Subject: a\r\n\r\n'],
  ['an empty mail', '', added + '\r\n'],
  [
    '"From " of a mailbox file is kept as a field',
    'From a@b Wed Nov 25\r\nTo: x@y\r\n\r\n',
    added + 'X-Mailbox-Line: From a@b Wed Nov 25\r\nTo: x@y\r\n\r\n',
  ],
  ['"From " at the start of a text is text', 'From here on\r\nwe walk\r\n', added + '\r\nFrom here on\r\nwe walk\r\n'],
  [
    'a mail that came in here may go out once',
    'X-Mailferry-Trace: in own\r\nDate: a\r\nMessage-ID: b\r\n\r\n',
    received + trace + 'X-Mailferry-Trace: in own\r\nDate: a\r\nMessage-ID: b\r\n\r\n',
  ],
  [
    'a mail of another agent may pass',
    'X-Mailferry-Trace: out other\r\nDate: a\r\nMessage-ID: b\r\n\r\n',
    received + trace + 'X-Mailferry-Trace: out other\r\nDate: a\r\nMessage-ID: b\r\n\r\n',
  ],
  [
    'a mail that went out here is a loop',
    'X-Mailferry-Trace: out own\r\n\r\n',
    '554 5.4.6 Mail loop: this mail has gone out through this agent before',
  ],
  [
    'also when the trace is folded and in other letters',
    'x-mailferry-trace :\r\n out\r\n\town\r\n\r\n',
    '554 5.4.6 Mail loop: this mail has gone out through this agent before',
  ],
  [
    'a trace in the body is text',
    'To: x@y\r\n\r\nX-Mailferry-Trace: out own\r\n',
    added + 'To: x@y\r\n\r\nX-Mailferry-Trace: out own\r\n',
  ],
  [
    'fifty hops are allowed',
    'Received: a\r\n'.repeat(50) + 'Date: a\r\nMessage-ID: b\r\n\r\n',
    received + trace + 'Received: a\r\n'.repeat(50) + 'Date: a\r\nMessage-ID: b\r\n\r\n',
  ],
  [
    'fifty-one are not',
    'Received: a\r\n'.repeat(51) + '\r\n',
    '554 5.4.6 Too many hops: 51 Received lines, expected at most 50',
  ],
];
for (const [name, mail, expected] of rewrites) {
  test('header: ' + name, () => assert.equal(rewrite(mail), expected));
}

test('5,000 folded lines are rewritten in no time', () => {
  const mail = 'X-Long: a\r\n' + ' folded line of a header\r\n'.repeat(20_000) + '\r\n';
  const before = performance.now();
  assert.equal(rewrite(mail).length, added.length + mail.length);
  assert.ok(performance.now() - before < 1_000);
});

test('another From stands in the place of a foreign one, which is set aside and answered', () => {
  const mail =
    'Received: by x\r\nFrom: "Evil, a@b.test" <ceo@world.test>\r\nSender: s@world.test\r\nFrom: c@world.test\r\nSubject: a\r\n\r\n';
  const header = readFields(splitWhole(mail));
  const own = { ...rules, replaceFrom: 'post@office.test' };
  const written = (more: object): string => {
    const result = rewriteHeader(header, { ...own, ...more });
    return result.ok ? result.bytes.toString().slice(result.bytes.indexOf('Received: by x')) : result.text;
  };
  assert.equal(
    written({ answerOriginal: true }),
    'Received: by x\r\nFrom: "a at b.test" <post@office.test>\r\nReply-To: "Evil, a@b.test" <ceo@world.test>\r\n' +
      'X-Original-From: "Evil, a@b.test" <ceo@world.test>\r\nX-Original-Sender: s@world.test\r\n' +
      'X-Original-From: c@world.test\r\nSubject: a\r\n\r\n',
  );
  assert.doesNotMatch(written({}), /Reply-To/);
  const answered = readFields(splitWhole('From: a@world.test\r\nReply-To: b@world.test\r\n\r\n'));
  const result = rewriteHeader(answered, { ...own, answerOriginal: true });
  assert.equal(
    result.ok &&
      result.bytes
        .toString()
        .match(/^Reply-To:.*$/gm)
        ?.join(),
    'Reply-To: b@world.test',
  );
});

test('a header line that is too long is folded, in a signed mail refused', () => {
  const long = 'Subject:' + ' word'.repeat(300) + '\r\n';
  assert.ok(
    rewrite(long + '\r\nbody')
      .split('\r\n')
      .every((line) => line.length <= 998),
  );
  assert.match(rewrite('DKIM-Signature: v=1\r\n' + long + '\r\nbody'), /^554 5\.6\.0 /);
});
