import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathOf } from '../../../agent/smtp/address.ts';

const good: readonly (readonly [string, string, boolean])[] = [
  ['info@example.org', 'info@example.org', false],
  ['info@bücher.example', 'info@xn--bcher-kva.example', false],
  ['info@BÜCHER.example', 'info@xn--bcher-kva.example', false],
  ['büro@example.org', 'büro@example.org', true],
  ['büro@bücher.example', 'büro@xn--bcher-kva.example', true],
  ['postmaster', 'postmaster', false],
  ['info@[192.0.2.1]', 'info@[192.0.2.1]', false],
  ['info@1.2.3', 'info@1.2.3', false],
  ['bounce+a=b@example.org', 'bounce+a=b@example.org', false],
  ['"two words"@example.org', '"two words"@example.org', false],
  ['"a>b\\"c"@example.org', '"a>b\\"c"@example.org', false],
];

test('an IDN domain travels as ASCII, and only a local part outside ASCII needs SMTPUTF8', () => {
  for (const [address, path, utf8] of good) {
    assert.deepEqual(pathOf(address, 'recipient', true), { path, utf8 }, address);
  }
});

test('a local part outside ASCII is refused with 5.6.7 where SMTPUTF8 is not offered', () => {
  const path = pathOf('büro@example.org', 'recipient', false);
  assert.ok('refused' in path);
  assert.equal(path.refused.enhanced, '5.6.7');
  assert.deepEqual(pathOf('info@bücher.example', 'recipient', false), {
    path: 'info@xn--bcher-kva.example',
    utf8: false,
  });
});

test('the null sender is an address, the null recipient is none', () => {
  assert.deepEqual(pathOf('', 'sender', false), { path: '', utf8: false });
  assert.ok('refused' in pathOf('', 'recipient', false));
});

test('what would break out of the command line is refused', () => {
  const bad = [
    'a@example.org>\r\nRCPT TO:<b@example.org',
    'a@example.org\n',
    'a\0@example.org',
    'a b@example.org',
    'a@exam ple.org',
    'a> SIZE=1@example.org',
    '"a\r\nb"@example.org',
    '"a"b"@example.org>',
    'a@',
    '@example.org',
    'a@xn--\u0000.example',
    'a'.repeat(600) + '@example.org',
  ];
  for (const address of bad) {
    for (const role of ['sender', 'recipient'] as const) {
      const path = pathOf(address, role, true);
      assert.ok('refused' in path, JSON.stringify(address));
      assert.equal(path.refused.enhanced, role === 'sender' ? '5.1.7' : '5.1.3');
    }
  }
});
