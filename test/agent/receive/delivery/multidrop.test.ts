import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHeader } from '../../../../agent/receive/delivery/header.ts';
import { loopOf, maxHops } from '../../../../agent/receive/delivery/loop.ts';
import { multidropRecipients } from '../../../../agent/receive/delivery/multidrop.ts';
import { envelopeOf } from '../../../../agent/receive/delivery/recipients.ts';

const options = {
  header: 'X-Envelope-To',
  domains: ['example.org', 'Sub.Example.org'],
  fallback: 'office@example.org',
  provider: 'provider.test',
};
const own =
  'Received: from out.example.net (out.example.net [192.0.2.1])\r\n\tby mx1.provider.test (Postfix) with ESMTP id 1;\r\n Wed, 25 Nov 2026 10:00:00 +0000\r\n';
const of = (text: string): readonly string[] => multidropRecipients(readHeader(Buffer.from(text, 'latin1')), options);
const to = (value: string): string => 'X-Envelope-To: ' + value + '\r\n';
const office = ['office@example.org'];

const table: readonly (readonly [what: string, header: string, expected: readonly string[]])[] = [
  ['one recipient', to('sales@example.org') + own, ['sales@example.org']],
  [
    'in angle brackets, the name of the line in another case',
    'x-envelope-TO:<sales@example.org>\r\n' + own,
    ['sales@example.org'],
  ],
  ['several lines', to('a@example.org') + to('b@sub.example.org') + own, ['a@example.org', 'b@sub.example.org']],
  ['several in one line', to('a@example.org, <b@example.org>') + own, ['a@example.org', 'b@example.org']],
  ['the same twice', to('a@example.org') + to('A@Example.org') + own, ['a@example.org']],
  ['folded before the address', 'X-Envelope-To:\r\n sales@example.org\r\n' + own, ['sales@example.org']],
  [
    'between other lines',
    'Return-Path: <x@example.net>\r\n' + to('a@example.org') + 'X-Other: 1\r\n' + own,
    ['a@example.org'],
  ],
  ['forged below', own + to('boss@example.org'), office],
  ['forged below, a true one above', to('a@example.org') + own + to('boss@example.org'), ['a@example.org']],
  ['no such line', own, office],
  ['only To and Cc', 'To: a@example.org\r\nCc: b@example.org\r\n' + own, office],
  ['no Received at all', to('boss@example.org') + 'Subject: x\r\n', office],
  [
    'the first Received is of somebody else',
    to('boss@example.org') + 'Received: from a by evil.test; x\r\n' + own,
    office,
  ],
  [
    'a host that only ends like the provider',
    to('a@example.org') + 'Received: from a by evilprovider.test; x\r\n',
    office,
  ],
  [
    'the provider only in a comment',
    to('a@example.org') + 'Received: from a (by mx.provider.test) by evil.test; x\r\n',
    office,
  ],
  [
    'a sender that says it is "by"',
    to('a@example.org') + 'Received: from by mx.provider.test (x) by evil.test; x\r\n',
    office,
  ],
  [
    'a sender named by, at the provider',
    to('a@example.org') + 'Received: from by (x) by mx.provider.test; x\r\n',
    ['a@example.org'],
  ],
  ['a comment that does not end', to('a@example.org') + 'Received: from (( by mx.provider.test; x\r\n', office],
  ['Received without from', to('a@example.org') + 'Received: by provider.test with LMTP; x\r\n', ['a@example.org']],
  ['the host ended by a semicolon', to('a@example.org') + 'Received: by PROVIDER.test; x\r\n', ['a@example.org']],
  ['a domain that is not accepted', to('a@example.com') + own, office],
  ['one accepted, the login beside it', to('m12345@provider.test') + to('a@example.org') + own, ['a@example.org']],
  ['a domain below an accepted one', to('a@other.example.org') + own, office],
  ['encoded', to('=?utf-8?Q?sales=40example.org?=') + own, office],
  ['quoted', to('"sa les"@example.org') + own, office],
  ['with a display name', to('Sales <sales@example.org>') + own, office],
  [
    'one readable, one odd',
    to('a@example.org') + to('Boss <boss@example.org>') + own,
    ['a@example.org', 'office@example.org'],
  ],
  ['broken by a fold', 'X-Envelope-To: sales@\r\n example.org\r\n' + own, office],
  ['8-bit', to('gr\u00fcn@example.org') + own, office],
  ['empty', to('') + own, office],
  ['two at signs', to('a@b@example.org') + own, office],
  ['an SMTP command inside', to('a@example.org>\r\n\tRCPT TO:<b@example.org') + own, office],
  ['NUL', to('a\0@example.org') + own, office],
  ['too long', to('x'.repeat(300) + '@example.org') + own, office],
  ['nothing', '', office],
];

for (const [what, header, expected] of table) test('multidrop: ' + what, () => assert.deepEqual(of(header), expected));

test('multidrop: huge headers are read in no time, and lose nobody', () => {
  const startedAt = performance.now();
  const many = Array.from({ length: 5_000 }, (_, n) => 'u' + n + '@example.org');
  assert.deepEqual(of(many.map(to).join('') + own), many);
  assert.deepEqual(of(to('x,'.repeat(100_000)) + own), office);
  assert.deepEqual(of(to('a@example.org') + 'Received: ' + '('.repeat(200_000) + '\r\n'), office);
  assert.deepEqual(of('X: ' + 'y'.repeat(250_000) + '\r\n' + to('a@example.org') + own), ['a@example.org']);
  assert.deepEqual(of(to('a.'.repeat(120_000) + '@example.org') + own), office);
  assert.ok(performance.now() - startedAt < 2_000, String(performance.now() - startedAt));
});

test('multidrop: whatever is in the header, only accepted or the fallback address comes out, at least one', () => {
  let seed = 7;
  const random = (n: number): number => (seed = (seed * 48_271) % 2_147_483_647) % n;
  const pieces = [
    own,
    to('a@example.org'),
    to('b@evil.test'),
    'X-Envelope-To:',
    '\r\n',
    ' ',
    ',',
    '<',
    '>',
    '@',
    '(',
    'by ',
    'mx1.provider.test',
    '\0',
    '\u00fc',
    'Received: from ',
  ];
  for (let run = 0; run < 20_000; run += 1) {
    const text = Array.from({ length: 1 + random(9) }, () => pieces[random(pieces.length)] ?? '').join('');
    const recipients = of(text);
    assert.ok(recipients.length > 0);
    assert.ok(
      recipients.every((address) => ['a@example.org', 'office@example.org'].includes(address)),
      text,
    );
  }
});

test('the sender is the original one, none, or a configured one', () => {
  const header = readHeader(Buffer.from('Return-Path: <a@example.net>\r\n'));
  const from = (sender: 'original' | 'null' | null | 'bounces@example.org'): string =>
    envelopeOf(header, { recipients: ['x@example.org'], sender }).from;
  assert.deepEqual(
    [from('original'), from('null'), from(null), from('bounces@example.org')],
    ['a@example.net', '', '', 'bounces@example.org'],
  );
  assert.equal(envelopeOf(header, { recipients: ['x@example.org'] }).from, 'a@example.net');
});

test('a mail loops when it has too many hops, or was here three times before', () => {
  const lines = (line: string, count: number) => readHeader(Buffer.from((line + '\r\n').repeat(count)));
  assert.equal(loopOf(lines('Received: by a; x', maxHops), 'abc'), undefined);
  assert.match(loopOf(lines('Received: by a; x', maxHops + 1), 'abc') ?? '', /^mail loop: 51 Received lines/);
  assert.equal(loopOf(lines('X-Mailferry-Trace: in abc', 2), 'abc'), undefined);
  assert.match(loopOf(lines('X-Mailferry-Trace: in abc', 3), 'abc') ?? '', /handed it over 3 times already/);
  assert.equal(loopOf(lines('X-Mailferry-Trace: in other', 9), 'abc'), undefined);
  assert.equal(loopOf(lines('X-Mailferry-Trace: out abc', 9), 'abc'), undefined);
});
