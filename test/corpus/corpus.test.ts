import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { corpus } from './corpus.ts';
import { ordinary } from './ordinary.ts';

const mails = corpus();
const bytesOf = (name: string): Buffer => {
  const mail = mails.find((one) => one.name === name);
  assert.ok(mail, name);
  return mail.bytes();
};

test('every mail of the corpus has a name of its own and a reason, and is the same each time', () => {
  assert.equal(new Set(mails.map(({ name }) => name)).size, mails.length);
  for (const { name, why, bytes } of mails) {
    assert.match(name, /^[a-z0-9-]+$/);
    assert.ok(why.endsWith('.') && why.length > 10, name);
    assert.ok(bytes().equals(bytes()), name);
  }
});

test('the corpus says itself where a CR or LF stands alone, and every mail ends with CRLF', () => {
  for (const { name, bare, bytes } of mails) {
    const text = bytes().toString('latin1');
    const cr = /\r(?!\n)/.test(text);
    const lf = /(?<!\r)\n/.test(text);
    assert.equal(bare, cr ? (lf ? 'both' : 'cr') : lf ? 'lf' : 'none', name);
    assert.ok(text.endsWith('\r\n'), name);
  }
});

test('the corpus holds what it promises', () => {
  const header = (name: string): string => bytesOf(name).toString('latin1').split('\r\n\r\n')[0] ?? '';
  assert.ok(bytesOf('nul-bytes').includes(0));
  assert.ok(bytesOf('eight-bit-without-charset').includes(0xff));
  assert.ok(
    Math.max(
      ...bytesOf('long-line')
        .toString('latin1')
        .split('\r\n')
        .map(({ length }) => length),
    ) === 100_000,
  );
  assert.ok(bytesOf('lone-dot-last').toString('latin1').endsWith('\r\n.\r\n'));
  assert.ok(bytesOf('empty-body').toString('latin1').endsWith('\r\n\r\n'));
  assert.ok(bytesOf('mbox-first-line').toString('latin1').startsWith('From '));
  assert.ok(header('many-header-lines').split('\r\n').length >= 5_000);
  assert.ok(bytesOf('big-attachment').length > 40_000_000);
  for (const [boundary, statusLine] of [
    [1_448, 17],
    [16_384, 18],
  ] as const) {
    const ends = mails.filter(({ name }) => name.endsWith('-before-' + boundary)).map(({ bytes }) => bytes().length);
    assert.deepEqual(new Set(ends.map((end) => boundary - statusLine - end)), new Set([0, 1, 2, 3, 4, 5]));
  }
});

test('ordinary mails are all different, and the same again in the next run', () => {
  const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  const first = ordinary(300).map(({ bytes }) => digest(bytes));
  assert.equal(new Set(first).size, 300);
  assert.deepEqual(
    ordinary(100, { from: 200 }).map(({ bytes }) => digest(bytes)),
    first.slice(200),
  );
});
