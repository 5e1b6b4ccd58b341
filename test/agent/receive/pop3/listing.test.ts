import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  createEntries,
  createLines,
  decodeSize,
  decodeUidl,
  maxUidlBytes,
} from '../../../../agent/receive/pop3/listing.ts';

function read(
  decode: (rest: string) => string | number | undefined,
  text: string,
  size = text.length,
): { entries: unknown; badLines: number } {
  const { lines, result } = createEntries(decode);
  for (let at = 0; at < text.length; at += size) void lines.sink(Buffer.from(text.slice(at, at + size), 'latin1'));
  lines.finish();
  const { entries, badLines } = result();
  return { entries: [...entries], badLines };
}

test('a UIDL listing keeps UIDs as they are, with blanks, 8-bit bytes and slashes', () => {
  const text = '1 abc\r\n2 a b  c \r\n3 ../../x\r\n4 \u00e4\u00ff\r\n';
  const expected = [
    [1, 'abc'],
    [2, 'a b  c '],
    [3, '../../x'],
    [4, '\u00e4\u00ff'],
  ];
  for (let size = 1; size <= text.length; size += 1)
    assert.deepEqual(read(decodeUidl, text, size), { entries: expected, badLines: 0 }, 'pieces of ' + size);
});

test('bad lines are counted and cost nothing else', () => {
  const long = 'x'.repeat(maxUidlBytes + 1);
  const text = [
    '1 a',
    '2',
    '3 ',
    'nonsense',
    '',
    '0 b',
    '-1 c',
    '1 again',
    '4 ' + long,
    '5 ' + long.repeat(50),
    '6 z',
    '',
  ].join('\r\n');
  for (const size of [1, 7, 500, text.length])
    assert.deepEqual(
      read(decodeUidl, text, size),
      {
        entries: [
          [1, 'a'],
          [6, 'z'],
        ],
        badLines: 9,
      },
      'pieces of ' + size,
    );
});

test('sizes are numbers, with or without more words', () => {
  assert.deepEqual(read(decodeSize, '1 120\r\n2 0 octets\r\n3 12x\r\n4 -5\r\n'), {
    entries: [
      [1, 120],
      [2, 0],
    ],
    badLines: 2,
  });
});

test('a line that never ends takes no memory', () => {
  const seen: string[] = [];
  const lines = createLines({ maxBytes: 10, onLine: (line) => void seen.push(line) });
  for (let n = 0; n < 1_000; n += 1) void lines.sink(Buffer.alloc(1_000, 'x'));
  void lines.sink(Buffer.from('\r'));
  void lines.sink(Buffer.from('\nok\r\n'));
  assert.deepEqual(seen, ['ok']);
  assert.equal(lines.tooLong(), 1);
});
