import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHeader, receivedAt } from '../../../../agent/receive/delivery/header.ts';
import { envelopeOf } from '../../../../agent/receive/delivery/recipients.ts';

const header = (text: string) => readHeader(Buffer.from(text, 'latin1'));

test('a header is read unfolded, up to the first line that is none', () => {
  const lines = header('A: 1\r\nb : 2\r\n\tmore\r\nC:\r\n\r\nD: body\r\n');
  assert.deepEqual(lines, [
    { name: 'a', value: ' 1' },
    { name: 'b', value: ' 2\tmore' },
    { name: 'c', value: '' },
  ]);
  assert.deepEqual(header('From someone Mon Jan 1\r\nA: 1\r\n'), []);
  assert.deepEqual(header(' folded first\r\nA: 1\r\n'), []);
  assert.deepEqual(header(''), []);
  assert.deepEqual(header('A: bare LF\nB: x\n\nC: y'), [
    { name: 'a', value: ' bare LF' },
    { name: 'b', value: ' x' },
  ]);
});

test('the time of arrival at the provider comes from the topmost Received, or from nowhere', () => {
  const at = Date.UTC(2026, 10, 25, 9, 30, 15);
  const table: readonly (readonly [string, number | undefined])[] = [
    ['Received: from a by b with ESMTP id x;\r\n Wed, 25 Nov 2026 10:30:15 +0100 (CET)\r\n', at],
    ['Received: by b; 25 Nov 2026 09:30:15 GMT\r\n', at],
    ['Received: by b (a; b); Wed, 25 Nov 2026 09:30:15 +0000\r\n', at],
    ['Received: by b; Wed, 25 Nov 2026 09:30:15 +0000\r\nReceived: by c; Mon, 1 Jan 2024 00:00:00 +0000\r\n', at],
    ['Received: by b; not a date\r\nReceived: by c; Mon, 1 Jan 2024 00:00:00 +0000\r\n', undefined],
    ['Received: by b at 2026\r\n', undefined],
    ['Received: by b; 1764063015\r\n', undefined],
    ['Subject: x; Wed, 25 Nov 2026 09:30:15 +0000\r\n', undefined],
    ['', undefined],
  ];
  for (const [text, expected] of table) assert.equal(receivedAt(header(text)), expected, text);
});

test('the sender is the topmost Return-Path when it is a plain address, else nobody', () => {
  const table: readonly (readonly [string, string])[] = [
    ['Return-Path: <info@example.net>\r\n', 'info@example.net'],
    ['Return-path:  < info@example.net >\r\n', ''],
    ['Return-Path: info@example.net\r\n', 'info@example.net'],
    ['Return-Path: <>\r\nReturn-Path: <b@example.net>\r\n', ''],
    ['Subject: x\r\nReturn-Path: <a+b=c@sub.example.net>\r\nReturn-Path: <b@example.net>\r\n', 'a+b=c@sub.example.net'],
    ['Return-Path: <a b@example.net>\r\n', ''],
    ['Return-Path: <a@example.net> SIZE=1\r\n', ''],
    ['Return-Path: <a@b@example.net>\r\n', ''],
    ['Return-Path: <gr\u00fcn@example.net>\r\n', ''],
    ['Return-Path: <' + 'x'.repeat(260) + '@example.net>\r\n', ''],
    ['Return-Path: <@relay.test:a@example.net>\r\n', ''],
    ['Return-Path: <a@-example.net>\r\n', ''],
    ['\r\nReturn-Path: <a@example.net>\r\n', ''],
  ];
  for (const [text, expected] of table) assert.equal(envelopeOf(header(text), { recipients: [] }).from, expected, text);
});

test('recipients are the configured ones, each once', () => {
  assert.deepEqual(envelopeOf([], { recipients: ['a@example.org', 'b@example.org', 'a@example.org'] }).recipients, [
    'a@example.org',
    'b@example.org',
  ]);
});
