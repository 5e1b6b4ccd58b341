// What a relay cannot take is not tried on it, and what it announces is obeyed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '../../../lab/wait.ts';
import { firstGroup, readLimits } from '../../../../agent/send/relay/gate.ts';
import { letter, loggedIn } from '../rig.ts';
import type { Rig } from '../rig.ts';
import { empty, said, startScene } from './relay-scene.ts';

const told = (local: { readonly delivered: readonly { readonly text: string }[] }): string =>
  local.delivered.map((mail) => mail.text).join('\n');

/** Through a client that says the test's own lines. */
async function say(
  t: Parameters<typeof loggedIn>[0],
  rig: Rig,
  lines: readonly string[],
  body = letter(),
): Promise<void> {
  const client = await loggedIn(t, rig.port);
  for (const line of lines) {
    client.write(Buffer.from(line + '\r\n', 'utf8'));
    const answer = await client.reply();
    assert.match(answer ?? '', /^25/, line);
  }
  assert.match((await client.say('DATA')) ?? '', /^354/);
  client.write(Buffer.from(body, 'utf8'));
  assert.match((await client.say('.')) ?? '', /^250/);
}

test('5 and 8: an IDN domain goes as ASCII; letters before the @ go back with 5.6.7 where the relay cannot take them', async (t) => {
  const { local, relay, rig } = await startScene(t, { capabilities: ['PIPELINING', '8BITMIME'] });
  await say(t, rig, [
    'MAIL FROM:<sales@office.test> SMTPUTF8',
    'RCPT TO:<someone@bücher.example>',
    'RCPT TO:<müller@bücher.example>',
  ]);
  await empty(rig);
  assert.deepEqual(said(relay, 'RCPT'), ['RCPT TO:<someone@xn--bcher-kva.example>']);
  await waitFor('the report', () => local.delivered.length === 1);
  assert.match(told(local), /Status: 5\.6\.7/);
  assert.doesNotMatch(told(local), /someone@xn/);
});

test('6: 8-bit mail goes back with 5.6.3 where the relay takes none, unchanged; 7-bit mail goes', async (t) => {
  const { local, relay, rig } = await startScene(t, { capabilities: ['PIPELINING'] });
  await rig.submit({ raw: letter('Grüße') });
  await rig.submit({ raw: letter('Greetings') });
  await empty(rig);
  await waitFor('the report', () => local.delivered.length === 1);
  assert.match(told(local), /Status: 5\.6\.3/);
  assert.equal(relay.mails.length, 1);
  assert.deepEqual(said(relay, 'MAIL'), ['MAIL FROM:<sales@office.test>']);
});

test('6b: 8BITMIME is declared for the mail that is 8-bit, also when the index has forgotten which that is', async (t) => {
  const { relay, rig } = await startScene(t);
  await rig.submit({ raw: letter('Greetings') });
  await rig.submit({ raw: letter('Grüße') });
  await empty(rig);
  assert.deepEqual(
    said(relay, 'MAIL').map((line) => line.includes('BODY=8BITMIME')),
    [false, true],
  );
  await rig.send.stop();
  rig.state.db.exec('CREATE TRIGGER forget AFTER INSERT ON mail BEGIN UPDATE mail SET eight_bit = NULL; END');
  const again = await startScene(t, { state: rig.state });
  await again.rig.submit({ raw: letter('Greetings') });
  await again.rig.submit({ raw: letter('Grüße') });
  await empty(again.rig);
  assert.deepEqual(
    said(again.relay, 'MAIL').map((line) => line.includes('BODY=8BITMIME')),
    [false, true],
  );
});

test('21: a mail over the announced SIZE goes back with 5.3.4 at once; nothing of it is sent', async (t) => {
  const { local, relay, rig } = await startScene(t, { capabilities: ['SIZE 2000'] });
  await rig.submit({ raw: letter('x\r\n'.repeat(1_000)) });
  await rig.submit();
  await empty(rig);
  await waitFor('the report', () => local.delivered.length === 1);
  assert.match(told(local), /Status: 5\.3\.4/);
  assert.equal(said(relay, 'MAIL').length, 1);
});

test('LIMITS are obeyed: recipients and domains of a transaction, mails of a session', async (t) => {
  const limits = 'LIMITS RCPTMAX=2 MAILMAX=2 RCPTDOMAINMAX=1';
  const { relay, rig } = await startScene(t, { capabilities: ['PIPELINING', limits] });
  await rig.submit({ to: ['a@one.test', 'b@two.test', 'c@one.test', 'd@one.test', 'e@two.test'] });
  await empty(rig);
  assert.deepEqual(
    relay.mails.map((mail) => [mail.recipients, mail.connection]),
    [
      [['a@one.test', 'c@one.test'], 1],
      [['b@two.test', 'e@two.test'], 1],
      [['d@one.test'], 2],
    ],
  );
  const out = rig.journal().filter((point) => point.name === 'mail_out');
  assert.deepEqual(
    out.map((point) => point.fields['recipients']),
    [2, 2, 1],
  );
});

test('a relay that takes fewer recipients than it got: the others follow at once, and none of them counts a try', async (t) => {
  const { relay, rig } = await startScene(t, {
    script: ({ recipients, verb }) =>
      verb === 'RCPT' && recipients.length >= 2 ? '452 4.5.3 Too many recipients\r\n' : undefined,
  });
  await rig.submit({ to: ['a', 'b', 'c', 'd', 'e'].map((name) => name + '@world.test') });
  await empty(rig);
  assert.deepEqual(
    relay.mails.map((mail) => mail.recipients.length),
    [2, 2, 1],
  );
  const refused = said(relay, 'RCPT').length;
  await rig.submit({ to: ['a', 'b', 'c'].map((name) => name + '@world.test') });
  await empty(rig);
  assert.equal(said(relay, 'RCPT').length - refused, 3, 'it has learned how many');
});

test('what the client wants to be told goes to a relay that offers DSN, and not to another one', async (t) => {
  const lines = [
    'MAIL FROM:<sales@office.test> RET=HDRS ENVID=QQ+2B1',
    'RCPT TO:<one@world.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bone@world.test',
    'RCPT TO:<two@world.test>',
  ];
  const able = await startScene(t, { capabilities: ['PIPELINING', 'DSN'] });
  await say(t, able.rig, lines);
  await empty(able.rig);
  assert.deepEqual(
    able.relay.commands.filter((line) => /^(?:MAIL|RCPT)/.test(line)),
    [
      'MAIL FROM:<sales@office.test> RET=HDRS ENVID=QQ+2B1',
      'RCPT TO:<one@world.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bone@world.test',
      'RCPT TO:<two@world.test>',
    ],
  );
  const unable = await startScene(t, { capabilities: ['PIPELINING'] });
  await say(t, unable.rig, lines);
  await empty(unable.rig);
  assert.ok(unable.relay.commands.every((line) => !/RET=|NOTIFY=|ORCPT=/.test(line)));
});

test('readLimits() believes nothing but whole numbers of up to six digits', () => {
  const read = (text: string) => readLimits(new Map([['LIMITS', text]]));
  assert.deepEqual(read('RCPTMAX=1000 MAILMAX=1000'), { mails: 1_000, recipients: 1_000, domains: Infinity });
  assert.deepEqual(read('rcptmax=5 RCPTDOMAINMAX=1'), { mails: Infinity, recipients: 5, domains: 1 });
  assert.deepEqual(read('RCPTMAX=0 MAILMAX=x RCPTDOMAINMAX=1234567'), {
    mails: Infinity,
    recipients: Infinity,
    domains: Infinity,
  });
  assert.deepEqual(readLimits(new Map()), { mails: Infinity, recipients: Infinity, domains: Infinity });
});

test('firstGroup() is never empty, keeps the order and counts a domain whatever its case', () => {
  const of = (...addresses: readonly string[]) => addresses.map((address) => ({ address }));
  const group = (recipients: number, domains: number, ...addresses: readonly string[]) =>
    firstGroup(of(...addresses), { recipients, domains }).map((one) => one.address);
  assert.deepEqual(group(Infinity, Infinity, 'a@x', 'b@y'), ['a@x', 'b@y']);
  assert.deepEqual(group(0, 0, 'a@x', 'b@y'), ['a@x']);
  assert.deepEqual(group(3, 1, 'a@x', 'b@y', 'c@X', 'd@x', 'e@x'), ['a@x', 'c@X', 'd@x']);
  assert.deepEqual(group(3, 2), []);
});
