// Reports that could go round for ever, or to the wrong one: failure 42 of the facts (a bounce loop fills disk and inodes), and
// what RFC 3461 lets a client ask for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import type { SubmissionConfig } from '../../../../agent/config.ts';
import type { Verdict } from '../../../../agent/smtp/verdict.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { fakeLocal } from '../fake-local.ts';
import { letter, loggedIn, movableClock, sender, startRig, user } from '../rig.ts';
import type { Rig, RigOptions } from '../rig.ts';

const login = { user: 'relay-user', password: 'relay-password' };
const operator = 'postmaster@office.test';
const asMailServer: Partial<SubmissionConfig> = {
  users: [
    {
      name: user,
      password: { env: 'UNUSED' },
      senders: ['@office.test'],
      mailServer: { nullSender: 'allow', foreignSender: 'allow', headerFrom: 'replace' },
    },
  ],
};

/** A relay that refuses every recipient, and a local server that answers as told. */
async function startScene(
  t: TestContext,
  more: Partial<RigOptions> & { readonly answer?: (to: string) => Verdict; readonly dsn?: boolean } = {},
) {
  const clock = movableClock();
  const { answer, dsn, ...options } = more;
  const relay = await createLab(t).scriptedSmtp({
    login,
    ...(dsn === true ? { capabilities: ['DSN'] } : {}),
    script: ({ argument, verb }) =>
      verb === 'RCPT' && !argument.includes('good') ? '550 5.1.1 User unknown\r\n' : undefined,
  });
  const local = fakeLocal(answer);
  const rig = await startRig(t, { relay, local, clock, random: () => 1, ...options });
  return { rig, relay, local, clock };
}

const empty = (rig: Rig) =>
  waitFor('an empty queue', async () => rig.send.queue.list().length === 0 && (await rig.files()).length === 0);
const failed = (rig: Rig) =>
  rig.journal().filter((point) => point.name === 'mail_out' && point.tags['outcome'] === 'failed').length;

test('42: a mail without a sender is never answered: refused, it is over, and counted', async (t) => {
  const { local, rig } = await startScene(t, { submission: asMailServer, operator });
  await rig.submit({ from: '' });
  await waitFor('the refusal', () => failed(rig) === 1);
  await empty(rig);
  assert.deepEqual(local.tried, []);
});

test('42b: nobody gets more than twenty reports in an hour; the rest comes in one, and none is lost', async (t) => {
  const { clock, local, rig } = await startScene(t);
  for (let n = 0; n < 30; n += 1)
    await rig.submit({ to: ['nobody' + n + '@world.test'], raw: letter('x', 'offer ' + n) });
  await waitFor('all refused', () => failed(rig) === 30);
  await waitFor('twenty reports', () => local.delivered.length === 20);
  await waitFor('the others put aside', () => rig.send.queue.list().every((mail) => mail.notices[0]?.summed === true));
  assert.equal(rig.send.queue.list().length, 10);
  clock.advance(1_800_000);
  await rig.submit({ to: ['late@world.test'] });
  await waitFor('one more refused', () => failed(rig) === 31);
  assert.equal(local.delivered.length, 20);
  clock.advance(1_860_000);
  await empty(rig);
  assert.equal(local.delivered.length, 21);
  const text = local.delivered[20]?.text ?? '';
  assert.match(text, /^Subject: 11 reports about your mails\r$/m);
  for (let n = 20; n < 30; n += 1) {
    assert.ok(text.includes('The mail "offer ' + n + '"'), String(n));
    assert.ok(text.includes('  nobody' + n + '@world.test: 550 5.1.1 User unknown'));
  }
  assert.deepEqual(new Set(local.delivered.map(({ from, to }) => from + '>' + to)), new Set(['>' + sender]));
});

test("42c: a report that its own sender's mailbox refuses goes to the operator, with the mail, and no further", async (t) => {
  const { local, rig } = await startScene(t, { operator, answer: (to) => (to === sender ? 'refused' : 'delivered') });
  await rig.submit({ to: ['nobody@world.test'], raw: letter('Confidential.', 'offer') });
  await empty(rig);
  assert.deepEqual(local.tried, [sender, operator]);
  const text = local.delivered[0]?.text ?? '';
  assert.match(text, /^Subject: A mail could not be delivered\r$/m);
  assert.match(text, /A mail of sales@office\.test of [^]*nobody@world\.test[^]*message\/rfc822[^]*Confidential\./);
});

test('42d: when nobody can be told the mail is held for a person', async (t) => {
  const { local, rig } = await startScene(t, { operator, answer: () => 'refused' });
  await rig.submit({ to: ['nobody@world.test'] });
  await waitFor('held', () => rig.send.queue.list()[0]?.state === 'held');
  assert.deepEqual(local.tried, [sender, operator]);
  assert.match(
    rig.send.queue.list()[0]?.problem ?? '',
    /^The local server refused the notice to its sender: 550 5\.1\.1 /,
  );
});

test('42e: a report that comes back, and an answer to a report, are refused at the door', async (t) => {
  const { local, rig } = await startScene(t, { submission: asMailServer, operator });
  await rig.submit({ to: ['nobody@world.test'] });
  await empty(rig);
  const report = local.delivered[0]?.text ?? '';
  await assert.rejects(rig.submit({ from: '', to: [sender], raw: report }), /451 4\.4\.6 Mail loop: this mail came in/);
  const answer = 'From: sales@office.test\r\nAuto-Submitted: auto-replied\r\nSubject: I am away\r\n\r\n';
  await assert.rejects(
    rig.submit({ to: ['mailer-daemon@nas.office.test'], raw: answer }),
    /550 5\.1\.1 Nobody reads at this address/,
  );
  await rig.submit({ from: '', to: ['good@world.test'], raw: report });
  await empty(rig);
  assert.equal(rig.said.findLast((point) => point.name === 'mail_loop')?.fields['recent'], 1);
  assert.equal(local.delivered.filter(({ to }) => to === operator).length, 1, 'the operator learns of the loop');
});

test('a stranger is never written to: the operator is told in its place, with the whole mail, and the mail is over', async (t) => {
  const { local, rig } = await startScene(t, { submission: asMailServer, operator });
  await rig.submit({ from: 'stranger@other.test', to: ['nobody@world.test'], raw: letter('All of it.', 'offer') });
  await empty(rig);
  assert.deepEqual(local.tried, [operator]);
  assert.match(local.delivered[0]?.text ?? '', /A mail of stranger@other\.test of [^]*All of it\./);
});

test("a stranger's mail too large to be sent along is told and stays, held", async (t) => {
  const { local, rig } = await startScene(t, { submission: asMailServer, operator });
  const raw = letter(('y'.repeat(70) + '\r\n').repeat(4_000));
  await rig.submit({ from: 'stranger@other.test', to: ['nobody@world.test'], raw });
  await waitFor('held', () => rig.send.queue.list()[0]?.state === 'held');
  assert.deepEqual(local.tried, [operator]);
  assert.ok((local.delivered[0]?.text.length ?? 0) < 10_000);
  assert.match(rig.send.queue.list()[0]?.problem ?? '', /too large to be sent along/);
});

test("without an operator a stranger's mail is held as before", async (t) => {
  const { local, rig } = await startScene(t, { submission: asMailServer });
  await rig.submit({ from: 'stranger@other.test', to: ['nobody@world.test'] });
  await waitFor('held', () => rig.send.queue.list()[0]?.state === 'held');
  assert.deepEqual(local.tried, []);
});

test('a foreign sender that is not refused at MAIL is refused behind the header, and nothing of it is kept', async (t) => {
  const { relay, rig } = await startScene(t, { handedOver: () => true });
  for (const from of ['', 'stranger@other.test'])
    await assert.rejects(rig.submit({ from, to: ['good@world.test'] }), /550 5\.7\.1 /, from);
  assert.deepEqual([rig.send.queue.list().length, (await rig.files()).length, relay.mails.length], [0, 0, 0]);
});

/** What the client asks for, as it says it. */
async function ask(
  t: TestContext,
  rig: Rig,
  mail: string,
  recipients: readonly string[],
  text = letter(),
): Promise<void> {
  const client = await loggedIn(t, rig.port);
  for (const line of ['MAIL FROM:<' + sender + '>' + mail, ...recipients.map((one) => 'RCPT TO:' + one)])
    assert.match((await client.say(line)) ?? '', /^250 /, line);
  assert.match((await client.say('DATA')) ?? '', /^354/);
  assert.match((await client.say(text + '.')) ?? '', /^250 /);
}

test('NOTIFY=NEVER and NOTIFY=DELAY get no report of failure, and the mail is over', async (t) => {
  const { local, rig } = await startScene(t);
  await ask(t, rig, '', ['<nobody@world.test> NOTIFY=NEVER', '<noone@world.test> NOTIFY=DELAY']);
  await waitFor('the refusal', () => failed(rig) === 1);
  await empty(rig);
  assert.deepEqual(local.tried, []);
});

test('ENVID, ORCPT and RET=FULL are in the report, RET=HDRS and nothing return the header alone', async (t) => {
  const { local, rig } = await startScene(t);
  const full = letter('All of it.');
  await ask(
    t,
    rig,
    ' RET=FULL ENVID=QQ+3D1',
    ['<nobody@world.test> NOTIFY=FAILURE ORCPT=rfc822;No+2Bbody@World.test'],
    full,
  );
  await ask(t, rig, ' RET=HDRS', ['<nobody@world.test>'], full);
  await ask(t, rig, '', ['<nobody@world.test>'], full);
  await waitFor('three reports', () => local.delivered.length === 3);
  const [first = '', ...others] = local.delivered.map(({ text }) => text);
  assert.match(first, /\r\nOriginal-Envelope-Id: QQ=1\r\n/);
  assert.match(
    first,
    /\r\nOriginal-Recipient: rfc822; No\+body@World\.test\r\nFinal-Recipient: rfc822; nobody@world\.test\r\n/,
  );
  assert.match(first, /Content-Type: message\/rfc822\r\n[^]*All of it\./);
  for (const text of others) assert.doesNotMatch(text, /All of it\.|Original-/);
});

test('NOTIFY=SUCCESS is answered by us when the relay knows no DSN, and left to the relay when it does', async (t) => {
  const plain = await startScene(t);
  await ask(t, plain.rig, '', ['<good@world.test> NOTIFY=SUCCESS', '<good2@world.test>']);
  await waitFor('the report', () => plain.local.delivered.length === 1);
  await empty(plain.rig);
  const text = plain.local.delivered[0]?.text ?? '';
  assert.match(
    text,
    /Subject: Your mail was handed on\r\n[^]*Final-Recipient: rfc822; good@world\.test\r\nAction: relayed\r\nStatus: 2\.0\.0\r\n/,
  );
  assert.doesNotMatch(text, /good2@/);
  const able = await startScene(t, { dsn: true });
  await ask(t, able.rig, '', ['<good@world.test> NOTIFY=SUCCESS']);
  await waitFor('the mail', () => able.relay.mails.length === 1);
  await empty(able.rig);
  assert.deepEqual(able.local.tried, []);
  assert.ok(able.relay.commands.some((line) => line.startsWith('RCPT TO:<good@world.test> NOTIFY=SUCCESS')));
});

test('a late mail is told with the time until which its own relay tries it', async (t) => {
  const nowhere = { host: '127.0.0.1', port: 1 };
  const { clock, local, rig } = await startScene(t, {
    relay: nowhere,
    relayConfig: { expireHours: 48 },
    moreRelays: [{ relay: nowhere, relayConfig: { id: 'second', senders: ['@second.test'], expireHours: 6 } }],
    submission: { users: [{ name: user, password: { env: 'UNUSED' }, senders: ['@office.test', '@second.test'] }] },
    isLocal: (address) => !address.endsWith('@world.test'),
  });
  const hours: number[] = [];
  for (const from of [sender, 'sales@second.test']) await rig.submit({ from, raw: letter().replace(sender, from) });
  await waitFor('the problems', () => rig.send.relays().every((relay) => !relay.up));
  const acceptedAt = rig.send.queue.list()[0]?.acceptedAt ?? 0;
  clock.advance(4 * 3_600_000 + 31_000);
  await waitFor('both reports', () => local.delivered.length === 2);
  for (const { text } of local.delivered) {
    const [, until = ''] = /^Will-Retry-Until: (.*)\r$/m.exec(text) ?? [];
    hours.push(Math.round((Date.parse(until) - acceptedAt) / 3_600_000));
  }
  assert.deepEqual(
    hours.sort((a, b) => a - b),
    [6, 48],
  );
});
