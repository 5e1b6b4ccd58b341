import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createScanner } from '../../../../agent/receive/pop3/scanner.ts';
import { seeded } from '../random.ts';

type Scanned = { readonly status: string; readonly content: Buffer; readonly rest: string | undefined };

/** A status line, its data, and the line after it, from these pieces. */
function scan(pieces: readonly Buffer[]): Scanned | undefined {
  const scanner = createScanner();
  const content: Buffer[] = [];
  let status: string | undefined;
  let ended = false;
  let rest: string | undefined;
  for (const piece of pieces) {
    scanner.push(piece);
    if (status === undefined) {
      status = scanner.line(512);
      if (status === undefined) continue;
      scanner.startData();
    }
    if (!ended) {
      const data = scanner.data();
      content.push(...data.parts);
      ended = data.ended;
    }
    if (ended) rest ??= scanner.line(512);
  }
  return status === undefined || !ended ? undefined : { status, content: Buffer.concat(content), rest };
}

/** RFC 1939 section 3, the plain way, on whole mails: content ends with CRLF or is empty. */
function stuff(content: Buffer): Buffer {
  const text = ('\r\n' + content.toString('latin1')).replaceAll('\r\n.', '\r\n..').slice(2);
  return Buffer.from('+OK\r\n' + text + '.\r\n+OK next\r\n', 'latin1');
}

const hardMails: Readonly<Record<string, string>> = {
  'no bytes at all': '',
  'one empty line': '\r\n',
  'a lone dot': '.\r\n',
  'two dots': '..\r\n',
  'a dot and text': '.signature\r\n',
  'dots and CR': '.\rx\r\n.\r\r\n.\r.\r\n',
  'bare LF dot line': 'a\n.\nb\r\n',
  'bare LF, dot, CRLF': 'a\n.\r\nb\r\n',
  'bare CR dot line': 'a\r.\r\nb\r\n',
  'CR CR LF': 'a\r\r\n.\r\r\n\r\n',
  'NUL and 8-bit': '\0\u0080\u00ff.\r\n\0.\r\n',
  'sentence with dots': 'one.\r\n.two\r\n. three.\r\n',
  'a terminator look-alike': 'x\r\n.\r\n+OK\r\n.\r\n',
};

test('data comes out unstuffed and ends at the terminator, split at every byte', () => {
  for (const [name, text] of Object.entries(hardMails)) {
    const content = Buffer.from(text, 'latin1');
    const bytes = stuff(content);
    for (let at = 0; at <= bytes.length; at += 1) {
      const scanned = scan([bytes.subarray(0, at), bytes.subarray(at)]);
      assert.deepEqual(scanned, { status: '+OK', content, rest: '+OK next' }, name + ' split at ' + at);
    }
    const single = Array.from(bytes, (byte) => Buffer.from([byte]));
    assert.deepEqual(scan(single), { status: '+OK', content, rest: '+OK next' }, name + ' byte by byte');
  }
});

test('data comes out unstuffed when cut twice, around every terminator and dot', () => {
  for (const [name, text] of Object.entries(hardMails)) {
    const content = Buffer.from(text, 'latin1');
    const bytes = stuff(content);
    for (let first = 0; first <= bytes.length; first += 1) {
      for (let second = first; second <= Math.min(bytes.length, first + 6); second += 1) {
        const pieces = [bytes.subarray(0, first), bytes.subarray(first, second), bytes.subarray(second)];
        const scanned = scan(pieces);
        assert.deepEqual(scanned?.content, content, name + ' cut at ' + first + ' and ' + second);
      }
    }
  }
});

test('random mails in random pieces come out as they went in', () => {
  const random = seeded(20_261_125);
  const alphabet = ['\r', '\n', '.', '\r\n', '\r\n.', '\r\n.\r\n', 'a', '\0', '\u00e4', 'text '];
  for (let round = 0; round < 3_000; round += 1) {
    let text = '';
    for (let n = Math.floor(random() * 25); n > 0; n -= 1)
      text += alphabet[Math.floor(random() * alphabet.length)] ?? '';
    const content = Buffer.from(text + '\r\n', 'latin1');
    const bytes = stuff(content);
    const pieces: Buffer[] = [];
    for (let at = 0; at < bytes.length;) {
      const size = 1 + Math.floor(random() * 7);
      pieces.push(bytes.subarray(at, at + size));
      at += size;
    }
    assert.deepEqual(scan(pieces), { status: '+OK', content, rest: '+OK next' }, 'round ' + round);
  }
});

test('data is given out as it comes, not at the end', () => {
  const scanner = createScanner();
  scanner.startData();
  scanner.push(Buffer.alloc(100_000, 'x'));
  assert.equal(Buffer.concat([...scanner.data().parts]).length, 100_000);
  assert.equal(scanner.pending(), 0);
});

test('only CRLF ends a status line', () => {
  const scanner = createScanner();
  scanner.push(Buffer.from('+OK a\nb\rc'));
  assert.equal(scanner.line(512), undefined);
  scanner.push(Buffer.from('\r\n'));
  assert.equal(scanner.line(512), '+OK a\nb\rc');
});

test('a status line above the limit is refused, complete or not', () => {
  const complete = createScanner();
  complete.push(Buffer.from('x'.repeat(11) + '\r\n'));
  assert.throws(() => complete.line(10), RangeError);
  const endless = createScanner();
  endless.push(Buffer.from('x'.repeat(12)));
  assert.throws(() => endless.line(10), RangeError);
  const exact = createScanner();
  exact.push(Buffer.from('x'.repeat(10) + '\r'));
  assert.equal(exact.line(10), undefined);
  exact.push(Buffer.from('\n'));
  assert.equal(exact.line(10), 'x'.repeat(10));
});

test('a dot that no good server would send loses its dot and nothing else, split at every byte', () => {
  const table = [
    ['.\rx\r\n', '\rx\r\n'],
    ['.\r.\r\n', '\r.\r\n'],
    ['.\r\r\n', '\r\r\n'],
    ['.\n.\r\n', '\n.\r\n'],
    ['.x\r\n', 'x\r\n'],
  ] as const;
  for (const [sent, expected] of table) {
    const bytes = Buffer.from('+OK\r\n' + sent + '.\r\n+OK next\r\n');
    for (let at = 0; at <= bytes.length; at += 1) {
      const scanned = scan([bytes.subarray(0, at), bytes.subarray(at)]);
      assert.deepEqual([scanned?.content.toString(), scanned?.rest], [expected, '+OK next'], JSON.stringify(sent) + at);
    }
    assert.equal(scan(Array.from(bytes, (byte) => Buffer.from([byte])))?.content.toString(), expected);
  }
});
