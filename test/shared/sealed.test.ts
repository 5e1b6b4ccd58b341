import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSealKey, fingerprintOfKey, publicKeyOf, seal, unseal } from '#shared/sealed.ts';

const context = 'acme/nas-1 c-1';

test('what is sealed to an agent opens with its key, whatever the text', () => {
  const key = createSealKey();
  for (const text of ['', 'x', 'Grüße, 邮件', 'a'.repeat(40_000)]) {
    const sealed = seal({ to: key.publicKey, text, context });
    assert.match(sealed, /^MS1\.[A-Za-z0-9_-]+$/);
    assert.equal(unseal({ key: key.privateKey, sealed, context }), text);
  }
  assert.equal(publicKeyOf(key.privateKey), key.publicKey);
  assert.match(fingerprintOfKey(key.publicKey), /^[0-9a-f]{4}(?:-[0-9a-f]{4}){3}$/);
});

test('nothing is said twice in the same way, and the text is nowhere in it', () => {
  const { publicKey } = createSealKey();
  const sealed = Array.from({ length: 20 }, () => seal({ to: publicKey, text: 'right-password', context }));
  assert.equal(new Set(sealed).size, 20);
  assert.ok(sealed.every((one) => !Buffer.from(one.slice(4), 'base64url').includes('right-password')));
});

test('with another key, for another purpose, or with any bit changed it does not open', () => {
  const key = createSealKey();
  const sealed = seal({ to: key.publicKey, text: 'a password', context });
  const refused = /^Cannot open what was sealed: .*, expected a text sealed to the key of this agent$/;
  assert.throws(() => unseal({ key: createSealKey().privateKey, sealed, context }), { message: refused });
  assert.throws(() => unseal({ key: key.privateKey, sealed, context: 'acme/nas-2 c-1' }), { message: refused });
  const bytes = Buffer.from(sealed.slice(4), 'base64url');
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] ?? 0) ^ (at === 31 ? 1 : 0x10); // the highest bit of an X25519 key counts for nothing
    const text = 'MS1.' + changed.toString('base64url');
    assert.throws(() => unseal({ key: key.privateKey, sealed: text, context }), { message: refused }, 'byte ' + at);
  }
  for (let length = 0; length < bytes.length; length += 1)
    assert.throws(() =>
      unseal({ key: key.privateKey, sealed: 'MS1.' + bytes.subarray(0, length).toString('base64url'), context }),
    );
  for (const text of ['', 'MS1.', 'MS2.abc', 'x', 'MS1.###'])
    assert.throws(() => unseal({ key: key.privateKey, sealed: text, context }), { message: refused });
});

test('what is no public key is refused in words', () => {
  for (const to of ['', 'x25519:', 'x25519:abc', 'rsa:abc', createSealKey().privateKey])
    assert.throws(
      () => seal({ to, text: 'x', context }),
      /^UserError: Cannot seal to .*: this is no key, expected the public key of an agent$/,
    );
});
