import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compareFingerprints, fingerprintOfHead, messageIdPart } from '../../../../agent/receive/ledger/fingerprint.ts';

const lines = {
  'Message-ID': '<1@example.net>',
  Date: 'Wed, 25 Nov 2026 08:00:00 +0000',
  From: 'Info <info@example.net>',
};
type Line = keyof typeof lines;
const print = (change: Partial<Record<Line, string>> = {}, top = ''): string | undefined =>
  fingerprintOfHead(
    Buffer.from(
      top +
        Object.entries({ ...lines, ...change })
          .filter(([, value]) => value !== '')
          .map(([name, value]) => name + ': ' + value + '\r\n')
          .join('') +
        '\r\n',
    ),
  );

test('what is put on top of a mail, and how its lines are folded, does not change its fingerprint', () => {
  const plain = print();
  assert.equal(print({}, 'Received: by x.test; today\r\nX-Spam: no\r\n'), plain);
  assert.equal(print({ From: 'Info\r\n  <info@example.net> ' }), plain);
  assert.equal(print({}, 'From: <forged@example.test>\r\n'), plain, 'the lowest line is the own one');
});

test('another Message-ID, Date or From is another mail; the same Message-ID alone is a doubt', () => {
  const plain = print();
  assert.equal(compareFingerprints(plain, print({ 'Message-ID': '<2@example.net>' })), 'other');
  assert.equal(compareFingerprints(plain, print({ Date: 'Thu, 26 Nov 2026 08:00:00 +0000' })), 'alike');
  assert.equal(compareFingerprints(plain, print({ From: 'sales@example.net' })), 'alike');
  assert.equal(compareFingerprints(plain, plain), 'same');
  assert.equal(compareFingerprints(plain, undefined), 'unknown');
  const [one, two] = [print({ 'Message-ID': '' }), print({ 'Message-ID': '', From: 'x@example.net' })];
  assert.equal(compareFingerprints(one, two), 'other', 'no Message-ID in both is not the same Message-ID');
});

test('a header that holds too little has no fingerprint', () => {
  assert.equal(print({ 'Message-ID': '', Date: '' }), undefined);
  assert.equal(print({ 'Message-ID': '', From: '' }), undefined);
  assert.equal(fingerprintOfHead(Buffer.from('no header')), undefined);
  assert.notEqual(print({ Date: '', From: '' }), undefined);
  assert.equal(messageIdPart(print({ 'Message-ID': '' })), undefined);
});
