import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hashPassword, isHash, isPassword, makePassword } from '../../../agent/users/password-hash.ts';

test('a hash is that of its password alone, and never the same twice', async () => {
  const [one, two] = [await hashPassword('right horse'), await hashPassword('right horse')];
  assert.notEqual(one, two);
  assert.match(one, /^scrypt\$16384\$8\$1\$[A-Za-z0-9_-]{22}\$[A-Za-z0-9_-]{43}$/);
  for (const [given, expected] of [
    ['right horse', true],
    ['right hors', false],
    ['Right horse', false],
    ['', false],
  ] as const)
    assert.equal(await isPassword(given, one), expected, given);
});

test('the same letters typed on another system are the same password', async () => {
  assert.equal(await isPassword('Bu\u0308ro-2026', await hashPassword('B\u00fcro-2026')), true);
});

test('what is no hash lets nobody in, and one that would take gigabytes is none', async () => {
  const good = await hashPassword('x');
  for (const text of [
    '',
    'x',
    'scrypt$',
    good.replace('16384', '1073741824'),
    good.replace('16384', '16383'),
    good.replace('$8$', '$800$'),
    good.slice(0, -1),
    good + 'A',
    good.replace('scrypt', 'plain'),
  ]) {
    assert.equal(isHash(text), false, text);
    assert.equal(await isPassword('x', text), false, text);
  }
  assert.equal(isHash(good), true);
});

test('made passwords are long, plain and different', () => {
  const made = new Set(Array.from({ length: 100 }, makePassword));
  assert.equal(made.size, 100);
  for (const password of made) assert.match(password, /^[a-hjkmnp-z2-9]{5}(?:-[a-hjkmnp-z2-9]{5}){3}$/);
});
