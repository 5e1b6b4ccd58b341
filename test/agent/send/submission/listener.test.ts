// Who may send what. The matrix: no combination of options makes an open relay, and beside each refusal the legitimate mail
// gets through the same listener.
import assert from 'node:assert/strict';
import { connect as connectTls } from 'node:tls';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { readFile } from 'node:fs/promises';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { UserError } from '#shared/failure.ts';
import { createLog } from '#shared/log.ts';
import type { SubmissionConfig } from '../../../../agent/config.ts';
import type { Submission } from '../../../../agent/send/submission/accept.ts';
import { createAccounts } from '../../../../agent/send/submission/accounts.ts';
import { createListener } from '../../../../agent/send/submission/listener.ts';
import { createLab } from '../../../lab/lab.ts';
import { waitFor } from '../../../lab/wait.ts';
import { baseSubmission, letter, loggedIn, noQuota, password, plain, submit, talk, user } from '../rig.ts';
import type { Talk } from '../rig.ts';

type Tls = { readonly key: string; readonly cert: string; readonly ca: string };

/** Does not hold answers back. */
const hasty: Clock = { ...systemClock, sleep: async () => {} };

async function start(
  t: TestContext,
  options: {
    readonly submission?: Partial<SubmissionConfig>;
    readonly tls?: Tls;
    readonly freeBytes?: number;
    readonly clock?: Clock;
    readonly loginMs?: number;
  } = {},
) {
  const taken: (Submission & { readonly body: string })[] = [];
  const submission = { ...baseSubmission, ...options.submission };
  const log = createLog({ name: 'test', level: 'silent' });
  const listener = createListener({
    submission,
    accounts: createAccounts({
      submission,
      passwords: new Map([[user, password]]),
      clock: options.clock ?? hasty,
      log,
    }),
    quota: noQuota,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    accept: async (submission, chunks) => {
      const parts: Uint8Array[] = [];
      for await (const chunk of chunks) parts.push(chunk);
      taken.push({ ...submission, body: Buffer.concat(parts).toString('latin1') });
      return { ok: true, id: 'test' };
    },
    freeBytes: async () => options.freeBytes ?? 1e12,
    ...(options.loginMs === undefined ? {} : { loginMs: options.loginMs }),
    clock: options.clock ?? hasty,
    log,
  });
  await listener.start();
  t.after(() => listener.stop(10));
  return { listener, port: listener.status().port, taken };
}

async function certificate(t: TestContext): Promise<Tls> {
  const made = await createLab(t).certificate();
  return { key: await readFile(made.keyFile, 'utf8'), cert: await readFile(made.certFile, 'utf8'), ca: made.ca };
}

async function say(client: Talk, ...lines: readonly string[]): Promise<string> {
  let last: string | undefined = '';
  for (const line of lines) last = await client.say(line);
  return last ?? 'closed';
}

const mailFrom = 'MAIL FROM:<sales@office.test>';
const rcptTo = 'RCPT TO:<someone@world.test>';

test('the matrix: refused in every configuration, and the legitimate mail beside it taken', async (t) => {
  const tls = await certificate(t);
  const configurations: readonly (readonly [string, Parameters<typeof start>[1]])[] = [
    ['loopback without a certificate', {}],
    ['loopback with a certificate', { tls }],
    ['all addresses with a certificate', { tls, submission: { host: '0.0.0.0' } }],
    ['localhost', { submission: { host: 'localhost' } }],
    ['no limit worth its name', { submission: { maxRecipients: 10_000, maxSizeBytes: 1_073_741_824 } }],
    ['the narrowest limits', { submission: { maxRecipients: 1, maxSizeBytes: 1_024 } }],
    ['one address only', { submission: { users: [{ ...userEntry, senders: ['sales@office.test'] }] } }],
    ['a user without a password', { submission: { users: [userEntry, { ...userEntry, name: 'nobody' }] } }],
  ];
  const attempts: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no AUTH', [mailFrom], /^530 5\.7\.0/],
    ['no AUTH, RCPT at once', [rcptTo], /^530/],
    ['no AUTH, DATA at once', ['DATA'], /^530/],
    ['no AUTH, null sender', ['MAIL FROM:<>'], /^530/],
    ['no AUTH, pretended AUTH parameter', [mailFrom + ' AUTH=<sales@office.test>'], /^530/],
    ['wrong password', [plain(user, 'wrong'), mailFrom], /^530/],
    ['empty password', [plain(user, ''), mailFrom], /^530/],
    ['user without a password', [plain('nobody', ''), mailFrom], /^530/],
    ['unknown user', [plain('admin', password), mailFrom], /^530/],
    ['prototype names', [plain('__proto__', ''), plain('constructor', ''), mailFrom], /^530/],
    [
      'an identity asked for in the name of another',
      ['AUTH PLAIN ' + Buffer.from(user + '\0admin\0' + password).toString('base64'), mailFrom],
      /^530/,
    ],
    ['aborted AUTH', ['AUTH PLAIN', '*', mailFrom], /^530/],
    ['unknown mechanism', ['AUTH XOAUTH2 dXNlcj1h', mailFrom], /^530/],
    ['XCLIENT and XFORWARD', ['XCLIENT LOGIN=sales', 'XFORWARD ADDR=127.0.0.1', mailFrom], /^530/],
  ];
  let refused = 0;
  for (const [name, options] of configurations) {
    const { port, taken } = await start(t, options);
    const refusals = attempts.map(async ([attempt, lines, expected]) => {
      const client = await talk(t, port);
      const answer = await say(client, 'EHLO desk', ...lines);
      assert.match(answer, expected, name + ' / ' + attempt + ': ' + answer);
      refused += 1;
      client.socket.destroy();
    });
    await Promise.all(refusals);
    assert.equal(taken.length, 0);
    await submit(port, { raw: letter('x'), ...(options?.tls === undefined ? {} : { ca: tls.ca }) });
    assert.equal(taken.length, 1, name + ': the legitimate mail was taken');
  }
  t.diagnostic(
    refused +
      ' attempts refused in ' +
      configurations.length +
      ' configurations, ' +
      configurations.length +
      ' legitimate mails taken',
  );
});

const userEntry = baseSubmission.users[0] ?? { name: user, password: { env: 'UNUSED' }, senders: [] };

test('a logged-in user sends as its own senders only', async (t) => {
  const { port, taken } = await start(t);
  const client = await loggedIn(t, port);
  for (const from of [
    'boss@world.test',
    '',
    'sales@office.test.evil.test',
    'sales%office.test@world.test',
    'SALES@xoffice.test',
  ])
    assert.match((await client.say('MAIL FROM:<' + from + '>')) ?? '', /^550 5\.7\.1 /, from);
  assert.match(
    await say(client, 'MAIL FROM:<@relay.test:sales@office.test>', rcptTo, 'DATA', letter() + '.'),
    /^250 2\.0\.0 Queued as test/,
  );
  assert.equal(taken[0]?.from, 'sales@office.test');
});

test('a password is not taken in clear where there is a certificate, and not at all on a network address without one', async (t) => {
  const { port } = await start(t, { tls: await certificate(t) });
  const client = await talk(t, port);
  assert.match(await say(client, 'EHLO desk', plain()), /^538/);
  assert.match(await say(client, mailFrom), /^530/);
  for (const host of ['0.0.0.0', '::', '192.0.2.1', 'nas.office.test'])
    await assert.rejects(
      start(t, { submission: { host } }),
      (error) => error instanceof UserError && /expected a certificate, or a loopback address/.test(error.message),
    );
});

test('what was said in clear behind STARTTLS is not taken for said under TLS', async (t) => {
  const tls = await certificate(t);
  const { port } = await start(t, { tls });
  const client = await talk(t, port);
  await client.say('EHLO desk');
  client.socket.removeAllListeners('data');
  client.write('STARTTLS\r\nEHLO injected\r\n' + plain() + '\r\n');
  await new Promise((resolve) => client.socket.once('data', resolve));
  const secure = connectTls({ socket: client.socket, ca: tls.ca, host: 'localhost', servername: 'localhost' });
  let text = '';
  secure
    .setEncoding('latin1')
    .on('data', (chunk: string) => (text += chunk))
    .on('error', () => {});
  await new Promise((resolve) => secure.once('secureConnect', resolve));
  secure.write('EHLO desk\r\n' + mailFrom + '\r\n');
  await waitFor('the answers', () => text.includes('530'));
  assert.equal((text.match(/Nice to meet you/g) ?? []).length, 1);
  assert.doesNotMatch(text, /^2\d\d .*Accepted|235/m);
  secure.destroy();
});

test('after five failed logins the connection is closed, and the next one of the same user is told to wait', async (t) => {
  let now = 0;
  const heldBack: number[] = [];
  const clock = { ...systemClock, monotonic: () => now, sleep: async (ms: number) => void heldBack.push(ms) };
  const { port, taken } = await start(t, { clock });
  const client = await talk(t, port);
  await client.say('EHLO desk');
  const answers: string[] = [];
  for (let n = 0; n < 5; n += 1) answers.push((await client.say(plain(user, 'wrong' + n))) ?? 'closed');
  assert.deepEqual(
    answers.map((answer) => answer.slice(0, 9)),
    ['535 5.7.8', '535 5.7.8', '535 5.7.8', '535 5.7.8', '421 4.7.0'],
  );
  assert.deepEqual(heldBack, [250, 500, 1_000, 2_000, 4_000]);
  assert.equal(await client.say(plain()), undefined, 'closed');
  const next = await talk(t, port);
  await next.say('EHLO desk');
  assert.match((await next.say(plain())) ?? '', /^454 4\.7\.0/, 'also with the right password, for a while');
  now += 10_001;
  assert.match(await say(next, plain()), /^235/);
  assert.match(await say(next, mailFrom, rcptTo, 'DATA', letter() + '.'), /^250/);
  assert.equal(taken.length, 1);
});

const body = 'Subject: a\r\n\r\nfirst';
const smuggled =
  'MAIL FROM:<sales@office.test>\r\nRCPT TO:<victim@world.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nx\r\n.\r\n';
for (const [name, end] of [
  ['LF . LF', '\n.\n'],
  ['LF . CRLF', '\n.\r\n'],
  ['CRLF . LF', '\r\n.\n'],
  ['CR . CR', '\r.\r'],
  ['CR . CRLF', '\r.\r\n'],
  ['CRLF . CR', '\r\n.\r'],
  ['LF . CR LF', '\n.\r\r\n'],
  ['CRLF . CR CRLF', '\r\n.\r\r\n'],
  ['CRLF . NUL CRLF', '\r\n.\0\r\n'],
  ['CR CRLF . CRLF without its LF', '\r\r\n.\r'],
] as const) {
  test('end of data: ' + name + ' does not end a mail', async (t) => {
    const { port, taken } = await start(t);
    const client = await loggedIn(t, port);
    await say(client, mailFrom, rcptTo, 'DATA');
    client.write(body + end + smuggled);
    assert.match((await client.reply()) ?? '', /^250/);
    assert.equal(await client.say('NOOP'), '250 2.0.0 OK');
    assert.equal(taken.length, 1);
    assert.ok(taken[0]?.body.includes('smuggled'), 'it is text of the first mail');
  });
}

test('a lone dot that is doubled survives every cut of the bytes', async (t) => {
  const { port, taken } = await start(t);
  const client = await loggedIn(t, port);
  const wire = '..\r\n..b\r\n.\r\n';
  for (let cut = 1; cut < wire.length; cut += 1) {
    await say(client, mailFrom, rcptTo, 'DATA');
    client.write(wire.slice(0, cut));
    await new Promise((resolve) => setImmediate(resolve));
    client.write(wire.slice(cut));
    assert.match((await client.reply()) ?? '', /^250/);
  }
  assert.deepEqual(new Set(taken.map((mail) => mail.body)), new Set(['.\r\n.b\r\n']));
});

test('a mail too big is refused at MAIL when it says so, and at its end when it does not', async (t) => {
  const { port } = await start(t, { submission: { maxSizeBytes: 2_000 } });
  const client = await loggedIn(t, port);
  assert.match((await client.say('EHLO desk')) ?? '', /SIZE 2000/);
  assert.match((await client.say(mailFrom + ' SIZE=2001')) ?? '', /^552/);
  assert.match(await say(client, mailFrom + ' SIZE=2000', rcptTo, 'DATA', 'x'.repeat(2_100) + '\r\n.'), /^552/);
});

test('too many recipients get 452, the others stay', async (t) => {
  const { port, taken } = await start(t, { submission: { maxRecipients: 2 } });
  const client = await loggedIn(t, port);
  await client.say(mailFrom);
  const answers = [];
  for (const name of ['a', 'b', 'c', 'A'])
    answers.push((await client.say('RCPT TO:<' + name + '@world.test>'))?.slice(0, 3));
  assert.deepEqual(answers, ['250', '250', '452', '250']);
  await say(client, 'DATA', letter() + '.');
  assert.equal(taken[0]?.recipients.length, 2);
});

test('a full disk is told at MAIL with 452', async (t) => {
  const { port } = await start(t, { freeBytes: 1_000_000, submission: { maxSizeBytes: 1_000_000 } });
  const client = await loggedIn(t, port);
  assert.match((await client.say(mailFrom)) ?? '', /^452 4\.3\.1 /);
  assert.match((await client.say(mailFrom + ' SIZE=1000')) ?? '', /^250/);
});

test('IDN domains become ASCII; letters before the @ need SMTPUTF8', async (t) => {
  const { port, taken } = await start(t, { submission: { users: [{ ...userEntry, senders: ['@bücher.test'] }] } });
  const client = await loggedIn(t, port);
  const utf8 = (line: string): string => Buffer.from(line).toString('latin1');
  const write = async (line: string): Promise<string> => {
    client.write(Buffer.from(line + '\r\n'));
    return (await client.reply()) ?? 'closed';
  };
  assert.match(await write('MAIL FROM:<büro@bücher.test>'), /^553 5\.6\.7/);
  assert.match(await write('MAIL FROM:<büro@xn--bcher-kva.test> SMTPUTF8 BODY=8BITMIME'), /^250/);
  assert.match(await write('RCPT TO:<post@Bücher.test>'), /^250/);
  assert.match(await write('RCPT TO:<postmaster>'), /^553 5\.1\.3/);
  await say(client, 'DATA', utf8(letter()) + '.');
  assert.deepEqual([taken[0]?.from, taken[0]?.recipients], ['büro@xn--bcher-kva.test', ['post@xn--bcher-kva.test']]);
});

test('an address that no server could be given is refused at once, not bounced later', async (t) => {
  const { port, taken } = await start(t);
  const client = await loggedIn(t, port);
  const local = 'x'.repeat(400);
  for (const from of ['@office.test', 'a\0b@office.test', 'a\u001b[2Jb@office.test', local + '@office.test'])
    assert.match((await client.say('MAIL FROM:<' + from + '>')) ?? '', /^5\d\d /, from);
  await client.say(mailFrom);
  for (const to of ['@world.test', 'a\0b@world.test', 'a\u001bb@world.test', local + '@world.test', 'a@wor\0ld.test'])
    assert.match((await client.say('RCPT TO:<' + to + '>')) ?? '', /^5\d\d /, to);
  assert.match(await say(client, "RCPT TO:<o'brien+tag=1@world.test>", 'RCPT TO:<"a.b"@[192.0.2.1]>'), /^250/);
  assert.match(await say(client, 'DATA', letter() + '.'), /^250/);
  assert.deepEqual(taken[0]?.recipients, ["o'brien+tag=1@world.test", '"a.b"@[192.0.2.1]']);
});

test('who does not log in is sent away, however busy it keeps the connection; who has logged in stays', async (t) => {
  const { port, taken } = await start(t, { loginMs: 300 });
  const stranger = await talk(t, port);
  const member = await loggedIn(t, port);
  const trickle = setInterval(() => stranger.write('N'), 50);
  t.after(() => clearInterval(trickle));
  await waitFor('the end of the stranger', () => stranger.socket.destroyed);
  assert.match(await say(member, mailFrom, rcptTo, 'DATA', letter() + '.'), /^250/);
  assert.equal(taken.length, 1);
});

test('a port that is taken stops the start with one clear line', async (t) => {
  const { port } = await start(t);
  await assert.rejects(
    start(t, { submission: { port } }),
    /^UserError: Cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE, expected a free port of this machine; check submission\.host and submission\.port$/,
  );
});

test('stop() is quick when clients are idle, and waits for a mail on its way in, but not for ever', async (t) => {
  const { listener, port, taken } = await start(t);
  await loggedIn(t, port);
  const before = performance.now();
  await listener.stop(5_000);
  assert.ok(performance.now() - before < 1_000);
  const second = await start(t);
  const client = await loggedIn(t, second.port);
  await say(client, mailFrom, rcptTo, 'DATA');
  client.write('half a mail');
  const stopping = performance.now();
  await second.listener.stop(300);
  assert.ok(performance.now() - stopping < 2_000);
  assert.deepEqual([taken.length, second.taken.length], [0, 0]);
});
