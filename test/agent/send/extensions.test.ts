// What the submission server offers beside the mail itself: DSN, SIZE, enhanced codes; and what it counts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLab } from '../../lab/lab.ts';
import { loggedIn, letter, plain, startRig, talk } from './rig.ts';
import { startSubmission } from './submission-rig.ts';

const mailFrom = 'MAIL FROM:<sales@office.test>';

test('EHLO offers what is kept, and nothing else', async (t) => {
  const { port } = await startSubmission(t);
  const client = await talk(t, port);
  const lines = ((await client.say('EHLO desk')) ?? '').split('\r\n').slice(1);
  assert.deepEqual(
    lines.map((line) => line.slice(4)),
    ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'DSN', 'AUTH PLAIN LOGIN', 'SIZE 1048576'],
  );
});

test('every answer carries one enhanced code, ours and those of the library', async (t) => {
  const { port } = await startSubmission(t);
  const client = await loggedIn(t, port);
  const answers: (string | undefined)[] = [];
  for (const line of [
    'NOOP',
    'MAIL FROM:<a@world.test>',
    'MAIL FROM:<',
    'MAIL FROM:<sales@office.test> SIZE=99999999',
    mailFrom,
    'RCPT TO:<postmaster>',
    'RCPT TO:<a@world.test> NOTIFY=OFTEN',
    'RCPT TO:<a@world.test>',
    'NONSENSE',
  ])
    answers.push(await client.say(line));
  assert.deepEqual(
    answers.map((answer) => /^\d{3} (?:(\d\.\d+\.\d+) )?(?!\d\.\d+\.\d+ )/.exec(answer ?? '')?.[1]),
    ['2.0.0', '5.7.1', '5.1.7', '5.3.4', '2.1.0', '5.1.3', '5.5.4', '2.1.5', '5.5.2'],
  );
});

test('a parameter longer than RFC 3461 allows is refused', async (t) => {
  const { port } = await startSubmission(t);
  const client = await loggedIn(t, port);
  assert.match((await client.say(mailFrom + ' ENVID=' + 'x'.repeat(101))) ?? '', /^501 5\.5\.4 /);
  assert.match((await client.say(mailFrom + ' ENVID=' + 'x'.repeat(100))) ?? '', /^250/);
  assert.match((await client.say('RCPT TO:<a@world.test> ORCPT=rfc822;' + 'x'.repeat(500))) ?? '', /^501 5\.5\.4 /);
});

test('the jokes and the proxies of the library are unknown here', async (t) => {
  const { port } = await startSubmission(t);
  for (const line of ['WIZ x', 'SHELL', 'KILL', 'XCLIENT ADDR=192.0.2.1', 'XFORWARD ADDR=192.0.2.1']) {
    const client = await talk(t, port);
    await client.say('EHLO desk');
    assert.match((await client.say(line)) ?? '', /^500 5\.5\.2 /, line);
  }
});

test('what a client asks to be told is in the envelope and in the queue, also after the index was lost', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  await relay.close();
  const rig = await startRig(t, { relay });
  const client = await loggedIn(t, rig.port);
  for (const line of [
    mailFrom + ' RET=HDRS ENVID=a+2Bb+20c BODY=8BITMIME',
    'RCPT TO:<one@world.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;first+2Bone@world.test',
    'RCPT TO:<two@world.test> NOTIFY=NEVER',
    'RCPT TO:<three@world.test>',
    'DATA',
  ])
    assert.match((await client.say(line)) ?? '', /^[23]5/, line);
  assert.match((await client.say(letter() + '.')) ?? '', /^250/);
  const [id = ''] = await rig.files();
  const row = rig.state.db.prepare('SELECT wishes FROM mail WHERE id = ?').get(id);
  assert.deepEqual(JSON.parse(String(row?.['wishes'])), { dsn: { ret: 'HDRS', envid: 'a+b c' }, eightBit: true });
  const rows = rig.state.db.prepare('SELECT dsn FROM recipient WHERE mail = ? ORDER BY number').all(id);
  assert.deepEqual(
    rows.map(({ dsn }) => (dsn === '' ? '' : JSON.parse(String(dsn)))),
    [{ notify: ['SUCCESS', 'FAILURE'], orcpt: 'rfc822;first+one@world.test' }, { notify: ['NEVER'] }, ''],
  );
  await rig.send.stop();
  for (const table of ['notice', 'recipient', 'mail']) rig.state.db.exec('DELETE FROM ' + table);
  const again = await startRig(t, { relay, state: rig.state });
  assert.equal(again.send.queue.summary().depth, 1);
  assert.deepEqual(rig.state.db.prepare('SELECT dsn FROM recipient WHERE mail = ? ORDER BY number').all(id), rows);
  assert.deepEqual(rig.state.db.prepare('SELECT wishes FROM mail WHERE id = ?').get(id), row);
});

test('a mail that is held stays held when the index is lost', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  const mailServer = { nullSender: 'hold', foreignSender: 'refuse', headerFrom: 'replace' } as const;
  const users = [{ name: 'sales', password: { env: 'UNUSED' }, senders: ['@office.test'], mailServer }];
  const rig = await startRig(t, { relay, submission: { users } });
  await rig.submit({ from: '', raw: letter() });
  assert.equal(rig.send.queue.summary().held, 1);
  await rig.send.stop();
  for (const table of ['recipient', 'mail']) rig.state.db.exec('DELETE FROM ' + table);
  const again = await startRig(t, { relay, state: rig.state, submission: { users } });
  assert.deepEqual(
    again.send.queue.list().map(({ state, problem }) => [state, problem]),
    [['held', 'Held: it has the empty sender, as reports and out-of-office replies have']],
  );
  assert.equal(relay.mails.length, 0);
});

test('a mail too big is refused before it is sent, and one that lies about it leaves nothing', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  const rig = await startRig(t, { relay, submission: { maxSizeBytes: 20_000 } });
  const client = await loggedIn(t, rig.port);
  assert.match((await client.say(mailFrom + ' SIZE=20001')) ?? '', /^552 5\.3\.4 /);
  for (const line of [mailFrom + ' SIZE=10', 'RCPT TO:<a@world.test>', 'DATA']) await client.say(line);
  assert.match((await client.say(letter(('x'.repeat(70) + '\r\n').repeat(400)) + '.')) ?? '', /^552 5\.3\.4 /);
  assert.deepEqual([await rig.files(), rig.send.queue.summary().depth], [[], 0]);
});

test('a rate limit holds across sessions and restarts, and is a temporary refusal', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  const submission = { limits: { mailsPerHour: 2, recipientsPerMail: 2 } };
  const rig = await startRig(t, { relay, submission });
  await rig.submit();
  await rig.submit();
  await assert.rejects(rig.submit(), /450 4\.7\.1 This user may send 2 mails an hour/);
  await rig.send.stop();
  const again = await startRig(t, { relay, submission, state: rig.state });
  await assert.rejects(again.submit(), /450 4\.7\.1 /);
  const client = await loggedIn(t, again.port);
  assert.match((await client.say(mailFrom)) ?? '', /^450 4\.7\.1 /);
});

test('recipients above those of the account are told 452, the others stay', async (t) => {
  const { port, taken } = await startSubmission(t, { submission: { limits: { recipientsPerMail: 2 } } });
  const client = await loggedIn(t, port);
  await client.say(mailFrom);
  const answers = [];
  for (const name of ['a', 'b', 'c', 'a'])
    answers.push((await client.say('RCPT TO:<' + name + '@world.test>'))?.slice(0, 9));
  assert.deepEqual(answers, ['250 2.1.5', '250 2.1.5', '452 4.5.3', '250 2.1.5']);
  await client.say('DATA');
  await client.say(letter() + '.');
  assert.equal(taken[0]?.recipients.length, 2);
});

test('each refusal is counted once, under its reason', async (t) => {
  const { port, refused } = await startSubmission(t, { submission: { maxSizeBytes: 2_000 } });
  const stranger = await talk(t, port);
  for (const line of ['EHLO x', mailFrom, plain('sales', 'wrong')]) await stranger.say(line);
  const client = await loggedIn(t, port);
  const lines = [
    'MAIL FROM:<a@world.test>',
    'MAIL FROM:<>',
    mailFrom + ' SIZE=3000',
    mailFrom,
    'RCPT TO:<postmaster>',
    'NONSENSE',
    'RCPT TO:<a@world.test>',
    'DATA',
    'From: ceo@world.test\r\n\r\nx\r\n.',
    mailFrom,
    'RCPT TO:<a@world.test>',
    'DATA',
    letter('x'.repeat(2_100)) + '.',
  ];
  for (const line of lines) await client.say(line);
  assert.deepEqual(refused, [
    'no-login',
    'login',
    'sender',
    'null-sender',
    'size',
    'address',
    'protocol',
    'header-from',
    'size',
  ]);
});

test('what was refused is told once to whoever reports it', async (t) => {
  const lab = createLab(t);
  const relay = await lab.scriptedSmtp({ login: { user: 'relay-user', password: 'relay-password' } });
  const rig = await startRig(t, { relay });
  const client = await loggedIn(t, rig.port);
  for (const sender of ['a@world.test', 'b@world.test', '']) await client.say('MAIL FROM:<' + sender + '>');
  assert.deepEqual(rig.send.refused(), [
    { reason: 'sender', count: 2 },
    { reason: 'null-sender', count: 1 },
  ]);
  assert.deepEqual(rig.send.refused(), []);
});
