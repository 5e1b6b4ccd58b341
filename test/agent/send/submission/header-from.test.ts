// The header From may name only addresses that its user may send as. Everything legitimate gets through.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFrom } from '../../../../agent/send/submission/header-from.ts';
import { groupFields, splitLines } from '../../../../agent/send/submission/header.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { loggedIn, startRig } from '../rig.ts';

const senders = ['@office.test', 'boss@shop.test', 'info@bücher.test'];
const check = (header: string | Buffer, allowed = senders) =>
  checkFrom(groupFields(splitLines(Buffer.from(header as string))), allowed);

const taken: readonly (readonly [string, string])[] = [
  ['an address alone', 'From: sales@office.test'],
  ['in angle brackets', 'From: <sales@office.test>'],
  ['with a name', 'From: Sales <sales@office.test>'],
  ['with a quoted name', 'From: "Sales, Office" <sales@office.test>'],
  ['with a name with quotes and brackets in it', 'From: "a \\"quoted\\" <name>" <sales@office.test>'],
  ['a quoted name that shows an address', 'From: "someone@world.test via shop" <sales@office.test>'],
  ['a comment that shows an address', 'From: sales@office.test (someone@world.test (nested))'],
  ['an encoded name', 'From: =?UTF-8?Q?M=C3=BCller=2C_Hans?= <sales@office.test>'],
  ['an encoded name in base64', 'From: =?utf-8?B?TcO8bGxlcg==?= <sales@office.test>'],
  ['an encoded name with a raw @ in it', 'From: =?utf-8?q?info@world.test?= <sales@office.test>'],
  ['a name in UTF-8', 'From: Müller <sales@office.test>'],
  ['a name with an unquoted comma', 'From: Müller, Hans <sales@office.test>'],
  ['a name with an unquoted dot and colon', 'From: Dr. Hans: Office <sales@office.test>'],
  ['a name with brackets of a scanner', 'From: Scanner [2nd floor] <sales@office.test>'],
  ['a name that is the address', 'From: sales@office.test <sales@office.test>'],
  ['a name with an apostrophe', "From: O'Brien <o'brien@office.test>"],
  ['a quote that is never closed', 'From: "Sales <sales@office.test>'],
  ['a bracket that is never closed', 'From: Sales (office <sales@office.test>'],
  ['an address in apostrophes as its name', "From: 'sales@office.test' <sales@office.test>"],
  ['folded', 'From: Sales\r\n\t<sales@office.test>'],
  ['folded before the value', 'From:\r\n sales@office.test'],
  ['blanks before the colon', 'From : sales@office.test'],
  ['no blank behind the colon', 'From:sales@office.test'],
  ['in other letters', 'FROM: Sales@OFFICE.Test'],
  ['a plus address', 'From: sales+news=1@office.test'],
  ['a quoted local part', 'From: "sales office"@office.test'],
  ['a quoted local part with an @', 'From: <"a@b"@office.test>'],
  ['blanks around the @', 'From: sales @ office.test'],
  ['two authors of the office', 'From: a@office.test, "B" <b@office.test>\r\nSender: a@office.test'],
  ['a group of the office', 'From: Office: a@office.test, b@office.test;'],
  ['a whole address', 'From: Boss <boss@shop.test>'],
  ['an IDN domain in letters', 'From: info@bücher.test'],
  ['an IDN domain in ASCII', 'From: info@xn--bcher-kva.test'],
  ['a foreign Reply-To', 'From: sales@office.test\r\nReply-To: someone@world.test'],
  ['a foreign Sender', 'Sender: service@world.test\r\nFrom: sales@office.test'],
  [
    'other fields whose names begin alike',
    'From: sales@office.test\r\nFrom-Shop: x@world.test\r\nX-From: y@world.test',
  ],
  ['bare line ends', 'Subject: a\nFrom: sales@office.test\nTo: x@world.test'],
  ['no From at all: nobody is pretended to be', 'Subject: a'],
  ['two equal From lines, which the relay may judge', 'From: sales@office.test\r\nFrom: sales@office.test'],
];
for (const [name, header] of taken) {
  test('header From, taken: ' + name, () => {
    assert.deepEqual(check(header + '\r\n'), { ok: true });
  });
}

const refused: readonly (readonly [string, string | Buffer, string])[] = [
  ['a foreign address', 'From: ceo@world.test', 'ceo@world.test'],
  ['a foreign address with an own name', 'From: "sales@office.test" <ceo@world.test>', 'ceo@world.test'],
  ['an own comment', 'From: ceo@world.test (sales@office.test)', 'ceo@world.test'],
  ['another address of a domain of which only one is allowed', 'From: info@shop.test', 'info@shop.test'],
  ['a domain that ends alike', 'From: a@xoffice.test', 'a@xoffice.test'],
  ['a subdomain', 'From: a@mail.office.test', 'a@mail.office.test'],
  ['a foreign author beside an own', 'From: a@office.test, ceo@world.test', 'ceo@world.test'],
  ['the same the other way round', 'From: ceo@world.test, a@office.test', 'ceo@world.test'],
  ['a second From line', 'From: a@office.test\r\nSubject: b\r\nFrom: ceo@world.test', 'ceo@world.test'],
  ['a second From line in front', 'from : ceo@world.test\r\nFrom: a@office.test', 'ceo@world.test'],
  ['a From line behind a bare CR', 'Subject: b\rFrom: ceo@world.test\r\nFrom: a@office.test', 'ceo@world.test'],
  ['a From line behind a bare LF', 'Subject: b\nFrom: ceo@world.test\r\nFrom: a@office.test', 'ceo@world.test'],
  ['an unquoted foreign name before an own address', 'From: ceo@world.test <a@office.test>', 'ceo@world.test'],
  ['two addresses in brackets', 'From: <a@office.test> <ceo@world.test>', 'ceo@world.test'],
  ['brackets in brackets', 'From: <a@office.test <ceo@world.test>>', 'ceo@world.test'],
  ['two @', 'From: ceo@world.test@office.test', 'ceo@world.test@office.test'],
  ['two @ the other way round', 'From: a@office.test@world.test', 'a@office.test@world.test'],
  ['a route', 'From: <@office.test:ceo@world.test>', '@office.test'],
  ['a percent hack stays what it is', 'From: a%office.test@world.test', 'a%office.test@world.test'],
  ['a group', 'From: Office: a@office.test, ceo@world.test;', 'ceo@world.test'],
  ['a quote that is never closed hides nothing', 'From: a@office.test, "x <ceo@world.test>', 'ceo@world.test'],
  ['a comment that is never closed hides nothing', 'From: a@office.test (x <ceo@world.test>', 'ceo@world.test'],
  ['an escaped quote does not close', 'From: "x\\" <a@office.test>" <ceo@world.test>', 'ceo@world.test'],
  ['a quote in a comment does not open', 'From: a@office.test (") , ceo@world.test (")', 'ceo@world.test'],
  ['a comment in a quote does not open', 'From: "(" <ceo@world.test>, ")" <a@office.test>', 'ceo@world.test'],
  ['folded', 'From: a@office.test,\r\n ceo@world.test', 'ceo@world.test'],
  ['an unfolded line behind it', 'From: a@office.test,\r\nceo@world.test', 'ceo@world.test'],
  ['blanks around the @', 'From: ceo @\r\n world.test', 'ceo@world.test'],
  ['comments around the @', 'From: ceo(a)@(b)world.test', 'ceo@world.test'],
  ['a NUL in the domain', 'From: a@world.test\0@office.test', 'a@world.test?@office.test'],
  ['an address literal', 'From: a@[192.0.2.1]', 'a@[192.0.2.1]'],
  ['a name in the middle of a domain', 'From: ceo@world.test"x"office.test', 'ceo@world.test'],
  ['a name behind the @', 'From: ceo@ "world.test" office.test', 'ceo@x'],
  ['an encoded word in the domain', 'From: ceo@=?a?q?world.test?=office.test', 'ceo@=?a?q?world.test?=office.test'],
  ['an encoded word behind the @', 'From: ceo@ =?a?q?world.test?= office.test', 'ceo@x'],
  ['a look-alike in another script', 'From: sales@\u043eff\u0456ce.test', 'sales@xn--ffce-8hb7i.test'],
];
for (const [name, header, address] of refused) {
  test('header From, refused: ' + name, () => {
    const answer = check(Buffer.concat([Buffer.from(header as string), Buffer.from('\r\n')]));
    assert.equal(answer.ok, false);
    if (answer.ok) return;
    assert.equal(answer.code, 550);
    assert.match(answer.text, /^5\.7\.1 The header From names an address that this user may not send as/);
    if (address !== 'sales@xn--ffce-8hb7i.test') assert.equal(answer.address, address);
  });
}

for (const value of [
  '',
  ' ',
  'root',
  'Cron Daemon',
  '<>',
  'undisclosed: ;',
  '"sales@office.test"',
  '(sales@office.test)',
]) {
  test('header From without an address is refused: ' + JSON.stringify(value), () => {
    assert.deepEqual(check('From: ' + value + '\r\n'), {
      ok: false,
      code: 550,
      text: '5.7.1 The header From names no address; expected one that this user may send as',
      reason: 'header-from',
    });
  });
}

test('a From of any length is judged in no time', () => {
  for (const piece of ['(', '"', '<', 'a@office.test,', '\\', '@', '=?a?q?', '"a"', ' @ ']) {
    for (const bytes of [65_000, 1_000_000]) {
      const before = performance.now();
      check('From: ' + piece.repeat(bytes / piece.length) + '\r\n');
      assert.ok(performance.now() - before < 1_000, piece);
    }
  }
  assert.equal(check('From: ' + 'a@office.test, '.repeat(4_000) + 'a@office.test\r\n').ok, true);
  const answer = check('From: ' + 'a@office.test, '.repeat(5_000) + 'a@office.test\r\n');
  assert.equal(answer.ok || answer.text, '5.7.1 The header From is longer than 65536 bytes');
});

test('the client is told which address, the queue stays empty, and the next mail of the session is taken', async (t) => {
  const relay = await createLab(t).scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  const rig = await startRig(t, { relay });
  const client = await loggedIn(t, rig.port);
  const hand = async (from: string): Promise<string | undefined> => {
    for (const line of ['MAIL FROM:<sales@office.test>', 'RCPT TO:<someone@world.test>', 'DATA'])
      await client.say(line);
    return client.say('Subject: a\r\nFrom: ' + from + '\r\n\r\ntext\r\n.');
  };
  assert.equal(
    await hand('"Sales" <ceo@world.test>'),
    '550 5.7.1 The header From names an address that this user may not send as; ask for it to be added to `senders`, or write another one: ceo@world.test',
  );
  assert.deepEqual([rig.send.queue.summary().depth, await rig.files()], [0, []]);
  assert.match((await hand('Sales <sales@office.test>')) ?? '', /^250/);
  await waitFor('the mail', () => relay.mails.length === 1);
});
