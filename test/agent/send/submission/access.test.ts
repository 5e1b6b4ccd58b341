import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asciiAddress, maySend, needsUtf8 } from '../../../../agent/send/submission/access.ts';

const rows: readonly (readonly [string, readonly string[], string, boolean])[] = [
  ['a whole address', ['info@office.test'], 'info@office.test', true],
  ['in other letters', ['info@office.test'], 'INFO@Office.Test', true],
  ['another address', ['info@office.test'], 'sales@office.test', false],
  ['any address of a domain', ['@office.test'], 'anyone@office.test', true],
  ['not a subdomain', ['@office.test'], 'anyone@sub.office.test', false],
  ['not a domain that ends alike', ['@office.test'], 'anyone@myoffice.test', false],
  ['not an address whose local part ends alike', ['info@office.test'], 'xinfo@office.test', false],
  ['an IDN domain, configured in letters', ['@bücher.test'], 'info@xn--bcher-kva.test', true],
  ['an IDN domain, configured in ASCII', ['@xn--bcher-kva.test'], 'info@bücher.test', true],
  ['two @, the last one counts', ['@office.test'], 'a@office.test@world.test', false],
  ['two @, the last one counts the other way', ['@office.test'], 'a@world.test@office.test', true],
  ['a list', ['info@office.test', '@shop.test'], 'x@shop.test', true],
  ['nothing allowed', [], 'info@office.test', false],
  ['the null sender', ['@office.test'], '', false],
  ['the null sender of a user with an empty entry', ['', '@'], '', false],
  ['no address at all', ['@office.test'], 'office.test', false],
  ['the Kelvin sign is no k', ['kate@office.test'], '\u212aate@office.test', false],
  ['another letter in another case', ['büro@office.test'], 'BÜRO@office.test', true],
  ['a domain in full-width letters is the same domain', ['@office.test'], 'info@ｏffice.test', true],
  ['a percent sign is a letter like others', ['@office.test'], 'info%office.test@world.test', false],
];
for (const [name, senders, from, allowed] of rows) {
  test('sender rights: ' + name, () => {
    const answer = maySend(senders, asciiAddress(from) ?? from);
    assert.equal(answer.ok, allowed);
    if (!answer.ok) assert.match(answer.code + ' ' + answer.text, /^550 5\.7\.1 /);
  });
}

test('domains become ASCII, local parts stay', () => {
  assert.equal(asciiAddress('Info@BÜCHER.test'), 'Info@xn--bcher-kva.test');
  assert.equal(asciiAddress('info@[192.0.2.1]'), 'info@[192.0.2.1]');
  assert.equal(asciiAddress('postmaster'), undefined);
  assert.equal(asciiAddress('info@'), undefined);
  assert.equal(asciiAddress(''), '');
  assert.equal(needsUtf8('büro@xn--bcher-kva.test'), true);
  assert.equal(needsUtf8('info@xn--bcher-kva.test'), false);
});
