import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeCode, encodeCode, newSecret } from '#shared/enrolment.ts';
import type { EnrolmentCode } from '#shared/enrolment.ts';
import { UserError } from '#shared/failure.ts';
import { clientIdOf, enrolClientIdOf, isClientIdOf, isEnrolClientIdOf } from '#shared/topics.ts';
import { decodeCommand, decodeEnrolAnswer, decodeEnrolRequest, decodeReply, decodeSite } from '#shared/wire.ts';
import { encodeCommand, encodeEnrolAnswer, encodeEnrolRequest, encodeReply, encodeSite } from '#shared/wire.ts';

const code: EnrolmentCode = {
  tenant: 'acme',
  agent: 'nas-1',
  expires: 1_800_000_000,
  urls: ['mqtts://collector.example.net:8883', 'wss://collector.example.net/mqtt'],
  fingerprint: 'ab'.repeat(32),
  secret: newSecret(),
};

test('a code carries everything, also broken into lines and without a fingerprint', () => {
  const text = encodeCode(code);
  assert.match(text, /^MF1[A-Za-z0-9_-]+$/);
  assert.deepEqual(decodeCode(text), code);
  assert.deepEqual(decodeCode('  ' + (text.match(/.{1,40}/g) ?? []).join('\r\n\t') + ' \n'), code);
  const { fingerprint: _, ...open } = code;
  assert.deepEqual(decodeCode(encodeCode(open)), open);
});

test('a code that lost or changed one character anywhere is refused in plain words and not repeated', () => {
  const text = encodeCode(code);
  // The bits of the last character beyond the last byte carry nothing.
  for (let index = 0; index < text.length - 1; index += 1) {
    const other = text[index] === 'A' ? 'B' : 'A';
    for (const damaged of [
      text.slice(0, index) + text.slice(index + 1),
      text.slice(0, index) + other + text.slice(index + 1),
    ]) {
      assert.throws(
        () => decodeCode(damaged),
        (error) => error instanceof UserError && !error.message.includes(damaged.slice(3, 40)),
        damaged,
      );
    }
  }
});

const refusals: readonly (readonly [text: string, message: RegExp])[] = [
  ['', /nothing was given, expected the whole text/],
  ['hello', /this is no code/],
  ['MF2abcdef', /it is of kind 2, expected kind 1; update the agent/],
  ['MF1abc', /6 characters of it came, and some are missing or wrong/],
  [encodeCode({ ...code, urls: [] }), /urls/],
  [encodeCode({ ...code, tenant: '../x' }), /tenant/],
  [encodeCode({ ...code, urls: ['http://collector'] }), /urls/],
];
for (const [text, message] of refusals)
  test('decodeCode() says of ' + JSON.stringify(text.slice(0, 12)) + ' ' + message.source, () => {
    assert.throws(() => decodeCode(text), { name: 'UserError', message });
  });

test('the client id of an enrolment belongs to one agent and is none of the agent itself', () => {
  const address = { tenant: 'acme', agent: 'nas-1' };
  const id = enrolClientIdOf(address, '0123456789abcdef');
  assert.ok(isEnrolClientIdOf(address, id));
  assert.ok(!isEnrolClientIdOf({ tenant: 'acme', agent: 'nas-2' }, id));
  assert.ok(!isClientIdOf(address, id));
  assert.ok(!isEnrolClientIdOf(address, clientIdOf(address)));
});

const bytes = (text: string): Buffer => Buffer.from(text);
test('what is said at enrolment, of the site and by command comes out as it went in', () => {
  const request = { secret: newSecret(), version: '1.0.0', key: 'k' };
  assert.deepEqual(decodeEnrolRequest(bytes(encodeEnrolRequest(request))), {
    ok: true,
    value: { v: 1, ...request },
    dropped: 0,
  });
  const answer = { ok: false, problem: 'the code was used' };
  assert.deepEqual(decodeEnrolAnswer(bytes(encodeEnrolAnswer(answer))), {
    ok: true,
    value: { v: 1, ...answer },
    dropped: 0,
  });
  const site = { at: 1, urls: code.urls, authorities: ['-----BEGIN CERTIFICATE-----'] };
  assert.deepEqual(decodeSite(bytes(encodeSite(site))), { ok: true, value: { v: 1, ...site }, dropped: 0 });
  const command = { id: 'c-00000001', name: 'queue flush', args: { relay: 'provider' }, at: 1, expires: 2 };
  assert.deepEqual(decodeCommand(bytes(encodeCommand(command))), { ok: true, value: { v: 1, ...command }, dropped: 0 });
  const reply = { id: 'c-00000001', at: 1, outcome: 'done' as const, result: { mails: 3 } };
  assert.deepEqual(decodeReply(bytes(encodeReply(reply))), { ok: true, value: { v: 1, ...reply }, dropped: 0 });
});

test('a password that could be guessed, or an address of no broker, is refused', () => {
  assert.equal(decodeEnrolRequest(bytes(encodeEnrolRequest({ secret: 'short' }))).ok, false);
  assert.equal(decodeSite(bytes(encodeSite({ at: 1, urls: ['file:///etc/passwd'], authorities: [] }))).ok, false);
});
