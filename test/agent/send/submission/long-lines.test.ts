// No line over 998 bytes goes on; what is taken out again gives the original bytes.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Field } from '../../../../agent/send/submission/header.ts';
import { createLineGuard, foldField, isSigned } from '../../../../agent/send/submission/long-lines.ts';

/** Cut into pieces of these sizes, the last one again and again. */
function pass(body: Buffer, sizes: readonly number[], signed = false): Buffer | string {
  const guard = createLineGuard({ signed });
  const out: Uint8Array[] = [];
  for (let at = 0, n = 0; at < body.length; n += 1) {
    const size = sizes[Math.min(n, sizes.length - 1)] ?? body.length;
    const pieces = guard.pass(body.subarray(at, at + size));
    if ('ok' in pieces) return pieces.text;
    out.push(...pieces);
    at += size;
  }
  return Buffer.concat(out);
}

const longest = (bytes: Buffer): number =>
  Math.max(
    ...bytes
      .toString('latin1')
      .split(/\r\n|\r|\n/)
      .map((line) => line.length),
  );
const unfolded = (bytes: Buffer): string => bytes.toString('latin1').replaceAll('\r\n ', '');

for (const sizes of [[1], [7], [64], [997], [998], [999], [1_000], [65_536]])
  test('lines of every length, in chunks of ' + String(sizes[0]), () => {
    for (const end of ['\r\n', '\n', '\r']) {
      const lengths = [0, 1, 500, 989, 990, 991, 997, 998, 999, 1_000, 1_990, 3_000, 20_000];
      const body = Buffer.from(lengths.map((length) => 'x'.repeat(length) + end).join(''), 'latin1');
      const passed = pass(body, sizes);
      assert.ok(typeof passed !== 'string');
      assert.ok(longest(passed) <= 998, String(longest(passed)));
      assert.equal(unfolded(passed), body.toString('latin1'));
    }
    const short = Buffer.from('x'.repeat(998) + '\r\n' + 'y'.repeat(998), 'latin1');
    assert.deepEqual(pass(short, sizes), short, 'what fits is not touched');
  });

test('a seeded random body of any bytes keeps them all', () => {
  let seed = 7;
  const random = (limit: number): number => (seed = (seed * 16_807) % 2_147_483_647) % limit;
  for (let round = 0; round < 300; round += 1) {
    const bytes: number[] = [];
    for (let line = 0; line < 6; line += 1) {
      const length = random(2_500);
      // No blank: a fold is told from the text by it.
      for (let n = 0; n < length; n += 1) bytes.push(random(40) === 0 ? 0 : 33 + random(223));
      bytes.push(...([[13, 10], [10], [13]][random(3)] ?? []));
    }
    const body = Buffer.from(bytes);
    const passed = pass(body, [random(1_500) + 1, random(1_500) + 1, random(1_500) + 1]);
    assert.ok(typeof passed !== 'string' && longest(passed) <= 998, 'round ' + round);
    assert.equal(unfolded(passed), body.toString('latin1'), 'round ' + round);
  }
});

test('a character of several bytes is not cut in two', () => {
  const passed = pass(Buffer.from('ü'.repeat(2_000) + '\r\n'), [65_536]);
  assert.ok(typeof passed !== 'string');
  assert.equal(passed.toString('utf8').replaceAll('\r\n ', ''), 'ü'.repeat(2_000) + '\r\n');
});

test('a signed body is refused instead, also one that says so only in its text', () => {
  const long = 'x'.repeat(999) + '\r\n';
  assert.match(String(pass(Buffer.from(long), [100], true)), /^5\.6\.0 /);
  const inline = Buffer.from('Hello\r\n-----BEGIN PGP SIGNED MESSAGE-----\r\n' + long);
  for (const sizes of [[1], [13], [65_536]]) assert.match(String(pass(inline, sizes)), /^5\.6\.0 /);
  assert.deepEqual(pass(Buffer.from('short\r\n'), [3], true), Buffer.from('short\r\n'));
});

const field = (name: string, value: string): Field => ({
  name: name.toLowerCase(),
  bytes: Buffer.from(name + ':' + value + '\r\n'),
});
const contentTypes = [
  ['multipart/signed; micalg=sha-256', true],
  ['multipart/encrypted', true],
  ['application/pkcs7-mime; smime-type=signed-data', true],
  ['application/x-pkcs7-mime', true],
  ['multipart/mixed', false],
  ['text/plain', false],
] as const;
for (const [type, signed] of contentTypes)
  test('Content-Type ' + type + (signed ? ' is' : ' is not') + ' signed', () => {
    assert.equal(isSigned([field('Subject', ' multipart/signed'), field('Content-Type', ' ' + type)]), signed);
    assert.equal(isSigned([field('Content-Type', '\r\n\t' + type)]), signed);
  });
test('a mail with a DKIM signature is signed', () => {
  assert.equal(isSigned([field('DKIM-Signature', ' v=1')]), true);
});

test('a header field is folded at its blanks, and unfolds to what it was', () => {
  const words = ' word'.repeat(1_000);
  const folded = foldField(field('Subject', words), false);
  assert.ok(!('ok' in folded));
  assert.ok(longest(folded) <= 998);
  assert.equal(folded.toString().replaceAll(/\r\n(?=[ \t])/g, ''), 'Subject:' + words + '\r\n');
});

test('addresses are folded behind a comma; an address or id without a place for it is refused', () => {
  const list = ' ' + Array.from({ length: 200 }, (_, n) => 'someone' + n + '@world.test').join(',');
  const folded = foldField(field('To', list), false);
  assert.ok(!('ok' in folded) && longest(folded) <= 998);
  for (const line of folded.toString().trimEnd().split('\r\n').slice(0, -1)) assert.match(line, /,$/);
  for (const name of ['To', 'From', 'Message-ID', 'References'])
    assert.equal('ok' in foldField(field(name, ' <' + 'x'.repeat(1_200) + '@a.test>'), false), true, name);
});

test('a token without blanks is folded by force where nobody reads it, and never in a signed mail', () => {
  const folded = foldField(field('X-Token', ' ' + 'x'.repeat(5_000)), false);
  assert.ok(!('ok' in folded) && longest(folded) <= 998);
  assert.match(folded.toString(), /^X-Token: x/);
  assert.equal('ok' in foldField(field('Subject', ' word'.repeat(1_000)), true), true);
  const short = field('Subject', ' a\r\n b');
  assert.equal(foldField(short, true), short.bytes);
});
