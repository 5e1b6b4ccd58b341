import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createReplyReader, maskReply, ReplyError, showReply } from '../../../agent/smtp/reply.ts';
import type { Reply } from '../../../agent/smtp/reply.ts';
import { seeded } from './talk.ts';

const stream =
  '220 mail.example.org ready\r\n250-mail.example.org\r\n250-SIZE 1000\r\n250 8BITMIME\r\n' +
  '550-5.1.1 no such user\r\n550 5.1.1 really\r\n354\r\n450 greylisted\n';
const expected: readonly Reply[] = [
  { code: 220, enhanced: undefined, text: 'mail.example.org ready' },
  { code: 250, enhanced: undefined, text: 'mail.example.org\nSIZE 1000\n8BITMIME' },
  { code: 550, enhanced: '5.1.1', text: '5.1.1 no such user\n5.1.1 really' },
  { code: 354, enhanced: undefined, text: '' },
  { code: 450, enhanced: undefined, text: 'greylisted' },
];

function readAll(pieces: readonly Uint8Array[]): readonly Reply[] {
  const replies: Reply[] = [];
  const reader = createReplyReader({ onReply: (reply) => void replies.push(reply) });
  for (const piece of pieces) reader.push(piece);
  assert.equal(reader.partial(), false);
  return replies;
}

test('replies are the same wherever the bytes are cut', () => {
  const bytes = Buffer.from(stream);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    assert.deepEqual(readAll([bytes.subarray(0, cut), bytes.subarray(cut)]), expected);
  }
  const random = seeded(7);
  for (let round = 0; round < 200; round += 1) {
    const pieces: Uint8Array[] = [];
    for (let at = 0; at < bytes.length;) {
      const size = 1 + Math.floor(random() * 9);
      pieces.push(bytes.subarray(at, at + size));
      at += size;
    }
    assert.deepEqual(readAll(pieces), expected);
  }
});

test('a reply that is under way is told', () => {
  const reader = createReplyReader({ onReply: () => {} });
  reader.push(Buffer.from('250-one\r\n'));
  assert.equal(reader.partial(), true);
  reader.push(Buffer.from('250 two\r\n'));
  assert.equal(reader.partial(), false);
});

test('an enhanced status counts only when its class fits the code and it stands alone', () => {
  const rows: readonly (readonly [string, string | undefined])[] = [
    ['550 5.1.1 no such user', '5.1.1'],
    ['250 2.0.0', '2.0.0'],
    ['550 4.1.1 odd', undefined],
    ['550 5.1.1no', undefined],
    ['550 5.1 short', undefined],
    ['554-Reject due to policy\r\n554 5.7.1 header', '5.7.1'],
    ['250 5.10.200.3 is a version', undefined],
  ];
  for (const [line, enhanced] of rows) {
    const [reply] = readAll([Buffer.from(line + '\r\n')]);
    assert.equal(reply?.enhanced, enhanced, line);
  }
});

test('what is no reply is refused and quoted', () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ['+OK POP3 ready\r\n', /"\+OK POP3 ready"/],
    ['HTTP/1.1 400 Bad Request\r\n', /"HTTP\/1.1 400 Bad Request"/],
    ['\r\n', /""/],
    ['25 short\r\n', /"25 short"/],
    ['2500 long\r\n', /"2500 long"/],
    ['150 first digit\r\n', /"150 first digit"/],
    ['650 first digit\r\n', /"650 first digit"/],
    ['250-one\r\n251 two\r\n', /begins with 250 and goes on with 251/],
  ];
  for (const [text, message] of rows) {
    assert.throws(
      () => readAll([Buffer.from(text)]),
      (error: unknown) => error instanceof ReplyError && message.test(error.message),
      text,
    );
  }
});

test('a flood is cut off: a line without end, a reply without end', () => {
  const line = createReplyReader({ onReply: () => {}, lineBytes: 100 });
  line.push(Buffer.alloc(100, 'x'));
  assert.throws(() => line.push(Buffer.from('x')), /a line of more than 100 bytes/);
  const reply = createReplyReader({ onReply: () => {}, replyBytes: 100 });
  const more = (): unknown => reply.push(Buffer.from('250-twenty bytes.....\r\n'));
  for (let count = 0; count < 4; count += 1) more();
  assert.throws(more, /a reply of more than 100 bytes/);
});

test('a reply that came before rubbish is handed out', () => {
  const replies: Reply[] = [];
  const reader = createReplyReader({ onReply: (reply) => void replies.push(reply) });
  assert.throws(() => reader.push(Buffer.from('250 taken\r\nrubbish\r\n')), ReplyError);
  assert.equal(replies[0]?.code, 250);
});

test('control characters of the server reach no log line', () => {
  const [reply] = readAll([Buffer.from('550-a\x1b[31m\0b\r\n550 c\rd\r\n')]);
  assert.equal(reply?.text, 'a [31m b\nc d');
  assert.equal(reply === undefined ? '' : showReply(reply), '550 a [31m b / c d');
});

test('a reply for the log keeps its words and hides its addresses, however they are written', () => {
  assert.equal(
    maskReply('550 5.1.1 <a.b+c@example.org>: User unknown; ask "post master"@example.net, x@y'),
    '550 5.1.1 <a***@example.org>: User unknown; ask "post master"@example.net, x***@y',
  );
  assert.equal(maskReply('421 too many connections from 192.0.2.1'), '421 too many connections from 192.0.2.1');
  assert.equal(maskReply('x'.repeat(400)).length, 303);
});
