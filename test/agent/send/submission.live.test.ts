// The submission server with clients that are not ours: openssl s_client, swaks, nodemailer, and passwords that a real
// dovecot and a real postfix check.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { openOwnCertificate } from '../../../agent/send/submission/own-certificate.ts';
import type { LocalLoginOptions } from '../../../agent/send/submission/submission-options.ts';
import { hashPassword } from '../../../agent/users/password-hash.ts';
import { writeUsers } from '../../../agent/users/users-file.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { letter, password, plain, submit, talk, user } from './rig.ts';
import { hasty, startSubmission } from './submission-rig.ts';

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'mailferry-submission-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function ownCertificate(t: TestContext) {
  const folder = await tempFolder(t);
  const names = ['localhost', '127.0.0.1'];
  const tls = await openOwnCertificate({ folder, names, now: Date.now });
  return { tls, file: join(folder, 'submission-cert.pem'), folder };
}

type Ran = { readonly code: number; readonly output: string };
function run(command: string, args: readonly string[], input = ''): Promise<Ran> {
  return new Promise((resolve) => {
    const child = execFile(command, args, { timeout: 20_000 }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr }),
    );
    child.stdin?.end(input);
  });
}

const swaks = (port: number, ...more: readonly string[]): Promise<Ran> =>
  run('swaks', [
    '--server',
    '127.0.0.1',
    '--port',
    String(port),
    '--from',
    'sales@office.test',
    '--to',
    'a@world.test',
    ...more,
  ]);
const login = ['--auth', 'PLAIN', '--auth-user', user, '--auth-password', password] as const;

test('swaks sends by STARTTLS and by TLS from the first byte, with the certificate verified', async (t) => {
  const { tls, file } = await ownCertificate(t);
  const { port, implicitPort, taken } = await startSubmission(t, { tls, submission: { implicitPort: 0 } });
  const verified = ['--tls-verify', '--tls-ca-path', file] as const;
  for (const args of [
    ['-tls', ...verified, ...login],
    ['-tls', '--auth', 'LOGIN', '--auth-user', user, '--auth-password', password],
  ]) {
    const { code, output } = await swaks(port, ...args);
    assert.equal(code, 0, output);
  }
  const implicit = await swaks(implicitPort, '-tlsc', ...verified, ...login);
  assert.equal(implicit.code, 0, implicit.output);
  assert.deepEqual(
    taken.map((mail) => mail.transmission),
    ['ESMTPSA', 'ESMTPSA', 'ESMTPSA'],
  );
  const clear = await swaks(port, ...login);
  assert.match(clear.output, /538 5\.7\.\d+ /);
  assert.equal(taken.length, 3);
});

test('openssl verifies the certificate on both ports; TLS older than 1.2 is refused', async (t) => {
  const { tls, file } = await ownCertificate(t);
  const { port, implicitPort } = await startSubmission(t, { tls, submission: { implicitPort: 0 } });
  for (const args of [
    ['-connect', '127.0.0.1:' + port, '-starttls', 'smtp'],
    ['-connect', '127.0.0.1:' + implicitPort],
  ]) {
    const good = await run('openssl', ['s_client', ...args, '-CAfile', file, '-verify_return_error'], 'QUIT\r\n');
    assert.match(good.output, /Verify return code: 0 \(ok\)/, args.join(' '));
    const old = await run('openssl', ['s_client', ...args, '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'], 'QUIT\r\n');
    assert.match(old.output, /alert protocol version|no protocols available|handshake failure/i);
  }
});

test('a renewed certificate is shown to the next client, without a restart', async (t) => {
  const { tls, folder } = await ownCertificate(t);
  const next = await openOwnCertificate({ folder, names: ['mail.office.test', 'localhost'], now: Date.now });
  let wake = (): void => {};
  let asked = 0;
  const clock = {
    ...systemClock,
    sleep: (ms: number, signal?: AbortSignal) =>
      ms < 3_600_000
        ? Promise.resolve()
        : new Promise<void>((resolve) => {
            wake = resolve;
            signal?.addEventListener('abort', () => resolve(), { once: true });
          }),
  };
  const { listener, implicitPort } = await startSubmission(t, {
    tls,
    clock,
    submission: { implicitPort: 0 },
    renewTls: async () => ((asked += 1) === 1 ? undefined : next),
  });
  const seen = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connectTls({ port: implicitPort, host: '127.0.0.1', rejectUnauthorized: false });
      socket
        .on('secureConnect', () => {
          resolve(socket.getPeerCertificate().fingerprint256);
          socket.destroy();
        })
        .on('error', reject);
    });
  const before = await seen();
  assert.equal(before, listener.status().certificate?.fingerprint);
  wake();
  await waitFor('the first question', () => asked === 1);
  assert.equal(await seen(), before);
  wake();
  await waitFor('the other certificate', async () => (await seen()) !== before);
  assert.equal(await seen(), listener.status().certificate?.fingerprint);
});

test('what was said in clear behind STARTTLS is dropped, with a trusted address too', async (t) => {
  const { tls } = await ownCertificate(t);
  const { port, taken } = await startSubmission(t, {
    tls,
    submission: { trusted: [{ id: 'x', addresses: ['127.0.0.1'], senders: ['a@office.test'] }] },
  });
  const client = await talk(t, port);
  await client.say('EHLO desk');
  client.socket.removeAllListeners('data');
  client.write('STARTTLS\r\nEHLO injected\r\nMAIL FROM:<a@office.test>\r\nRCPT TO:<victim@world.test>\r\n');
  await new Promise((resolve) => client.socket.once('data', resolve));
  const secure = connectTls({ socket: client.socket, ca: tls.cert, host: 'localhost', servername: 'localhost' });
  let text = '';
  secure.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
  await new Promise((resolve) => secure.once('secureConnect', resolve));
  secure.write('EHLO desk\r\nDATA\r\n');
  await waitFor('the answers', () => /^503 /m.test(text));
  assert.doesNotMatch(text, /Accepted|354/);
  assert.equal((text.match(/Nice to meet you/g) ?? []).length, 1);
  assert.equal(taken.length, 0);
  secure.destroy();
});

test('the greeting comes at once, also after TLS', async (t) => {
  const { tls } = await ownCertificate(t);
  const { port } = await startSubmission(t, { tls });
  const times: number[] = [];
  for (let n = 0; n < 10; n += 1) {
    const before = performance.now();
    const socket = connect({ port, host: '127.0.0.1' });
    const greeting = await new Promise<string>((resolve) => socket.once('data', (bytes) => resolve(String(bytes))));
    times.push(performance.now() - before);
    assert.match(greeting, /^220 nas\.office\.test ESMTP\r\n$/);
    socket.destroy();
  }
  times.sort((a, b) => a - b);
  t.diagnostic('median ' + (times[5] ?? 0).toFixed(1) + ' ms; smtp-server by itself waits 100 ms');
  assert.ok((times[5] ?? Infinity) < 50, String(times));
});

test('who is removed from the file sends no further mail in a session that is open; others are not disturbed', async (t) => {
  const folder = await tempFolder(t);
  const usersFile = join(folder, 'users.json');
  const hash = await hashPassword('file password');
  const scan = { name: 'scan', hash, senders: ['scan@office.test'] };
  const desk = { name: 'desk', hash, senders: ['desk@office.test'] };
  await writeUsers(usersFile, [scan, desk]);
  const { port } = await startSubmission(t, { usersFile });
  const clients = [];
  for (const { name } of [scan, desk]) {
    const client = await talk(t, port);
    await client.say('EHLO x');
    assert.match((await client.say(plain(name, 'file password'))) ?? '', /^235/);
    assert.match((await client.say('MAIL FROM:<' + name + '@office.test>')) ?? '', /^250/);
    await client.say('RSET');
    clients.push(client);
  }
  await writeUsers(usersFile, [desk]);
  assert.match((await clients[0]?.say('MAIL FROM:<scan@office.test>')) ?? '', /^530 5\.7\.0/);
  assert.match((await clients[1]?.say('MAIL FROM:<desk@office.test>')) ?? '', /^250/);
});

test('a certificate that ends soon is told', async (t) => {
  const folder = await tempFolder(t);
  const past = () => Date.now() - 809 * 86_400_000;
  const tls = await openOwnCertificate({ folder, names: ['localhost'], now: past });
  const { listener } = await startSubmission(t, { tls });
  assert.match(listener.status().problem, /^its certificate ends on 20\d\d-\d\d-\d\d$/);
  const fresh = await ownCertificate(t);
  assert.equal((await startSubmission(t, { tls: fresh.tls })).listener.status().problem, '');
});

test('a second port that is taken stops the start and is named', async (t) => {
  const { tls } = await ownCertificate(t);
  const first = await startSubmission(t, { tls });
  await assert.rejects(
    startSubmission(t, { tls, submission: { implicitPort: first.port } }),
    /^UserError: Cannot listen on 127\.0\.0\.1:\d+: EADDRINUSE, expected a free port of this machine; check submission\.host and submission\.implicitPort$/,
  );
});

test('users of the file log in; one that is removed, and an old password, do not', async (t) => {
  const folder = await tempFolder(t);
  const usersFile = join(folder, 'users.json');
  const account = { name: 'scan', senders: ['scan@office.test'] };
  await writeUsers(usersFile, [{ ...account, hash: await hashPassword('first password') }]);
  const { port, taken } = await startSubmission(t, { usersFile });
  const scan = { user: 'scan', from: 'scan@office.test', raw: 'Subject: a\r\n\r\nb\r\n' };
  await submit(port, { ...scan, password: 'first password' });
  await submit(port, { raw: letter() });
  await assert.rejects(submit(port, { ...scan, password: 'second password' }), /535 5\.7\.8/);
  await assert.rejects(submit(port, { ...scan, from: 'sales@office.test', password: 'first password' }), /550 5\.7\.1/);
  await writeUsers(usersFile, [{ ...account, hash: await hashPassword('second password') }]);
  await submit(port, { ...scan, password: 'second password' });
  await assert.rejects(submit(port, { ...scan, password: 'first password' }), /535 5\.7\.8/);
  await writeUsers(usersFile, []);
  await assert.rejects(submit(port, { ...scan, password: 'second password' }), /535 5\.7\.8/);
  assert.deepEqual(
    taken.map((mail) => mail.rights.user),
    ['scan', user, 'scan'],
  );
});

const localOptions = (more: Partial<LocalLoginOptions>): LocalLoginOptions => ({
  protocol: 'imap',
  host: '127.0.0.1',
  port: 1,
  tls: 'none',
  domains: ['office.test'],
  more: [],
  cacheSeconds: 900,
  failuresPerTenMinutes: 5,
  ...more,
});

for (const [protocol, tls] of [
  ['imap', 'none'],
  ['imap', 'starttls'],
  ['pop3', 'none'],
  ['pop3', 'starttls'],
  ['pop3', 'implicit'],
  ['smtp', 'starttls'],
] as const)
  test('passwords of the local server by ' + protocol + ' with tls ' + tls, async (t) => {
    const lab = createLab(t);
    const server =
      protocol === 'smtp'
        ? await lab.postfix({ role: 'relay', domains: ['office.test'], users: { 'boss@office.test': 'nas_pass_word' } })
        : await lab.dovecot({ users: { 'boss@office.test': 'nas_pass_"word"', boss: 'x_y"z\\ü' } });
    const right = protocol === 'smtp' ? 'nas_pass_word' : 'nas_pass_"word"';
    const port =
      'submission' in server
        ? server.submission
        : protocol === 'imap'
          ? server.imap
          : tls === 'implicit'
            ? server.pop3s
            : server.pop3;
    const endpoint: Endpoint = { host: '127.0.0.1', port, tls, ca: server.ca, serverName: 'localhost' };
    const { port: own, taken } = await startSubmission(t, {
      localLogin: { config: localOptions({ protocol, tls, port }), endpoint },
    });
    const boss = { user: 'boss@office.test', from: 'boss@office.test', raw: 'Subject: a\r\n\r\nb\r\n' };
    await submit(own, { ...boss, password: right });
    await assert.rejects(submit(own, { ...boss, password: 'wrong' }), /535 5\.7\.8/);
    await assert.rejects(submit(own, { ...boss, from: 'sales@office.test', password: right }), /550 5\.7\.1/);
    if (protocol !== 'smtp') await submit(own, { ...boss, user: 'boss', password: 'x_y"z\\ü' });
    await server.stop();
    await submit(own, { ...boss, password: right });
    assert.equal(taken.length, protocol === 'smtp' ? 2 : 3, 'a right password is believed for a while');
    await assert.rejects(
      submit(own, { ...boss, password: 'other' }),
      /454 4\.7\.0/,
      'who cannot be asked says neither yes nor no',
    );
  });

test('the local server is asked so rarely that it locks nobody out, whatever a hundred clients try at once', async (t) => {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({ users: { 'boss@office.test': 'right', 'desk@office.test': 'right' } });
  const endpoint: Endpoint = { host: '127.0.0.1', port: dovecot.imap, tls: 'none' };
  const { port } = await startSubmission(t, {
    clock: hasty,
    localLogin: { config: localOptions({ port: dovecot.imap, failuresPerTenMinutes: 5 }), endpoint },
  });
  const asked = (): number => dovecot.log().match(/imap-login: .*(?:auth failed|Login:|Aborted login)/g)?.length ?? 0;
  await submit(port, {
    user: 'boss@office.test',
    from: 'boss@office.test',
    password: 'right',
    raw: 'A: b\r\n\r\nc\r\n',
  });
  assert.equal(asked(), 1);
  const tries = Array.from({ length: 60 }, async (_, n) => {
    const client = await talk(t, port);
    await client.say('EHLO desk');
    const answers = [];
    for (let round = 0; round < 3; round += 1)
      answers.push((await client.say(plain('guess' + n + '@office.test', 'wrong' + round)))?.slice(0, 3));
    client.socket.destroy();
    return answers;
  });
  const answers = (await Promise.all(tries)).flat();
  // One address gets half of the five.
  await waitFor('the log', () => asked() === 3);
  assert.ok(answers.filter((answer) => answer === '535').length <= 5);
  assert.ok(answers.filter((answer) => answer === '454').length >= 100);
  // Who is known goes on; ten sessions at once are no question at all.
  const before = asked();
  await Promise.all(
    Array.from({ length: 10 }, () =>
      submit(port, { user: 'boss@office.test', from: 'boss@office.test', password: 'right', raw: 'A: b\r\n\r\nc\r\n' }),
    ),
  );
  assert.equal(asked(), before);
});

test('many users of the local server log in at once, each for the first time', async (t) => {
  const lab = createLab(t);
  const names = Array.from({ length: 12 }, (_, n) => 'user' + n + '@office.test');
  const dovecot = await lab.dovecot({ users: Object.fromEntries(names.map((name) => [name, 'right'])) });
  const endpoint: Endpoint = { host: '127.0.0.1', port: dovecot.imap, tls: 'none' };
  const config = localOptions({ port: dovecot.imap, failuresPerTenMinutes: 2 });
  const { port, taken } = await startSubmission(t, { localLogin: { config, endpoint } });
  const raw = 'Subject: a\r\n\r\nb\r\n';
  await Promise.all(names.map((name) => submit(port, { user: name, from: name, password: 'right', raw })));
  assert.equal(taken.length, 12);
});

test('a printer-like client: an old device on a trusted address, HELO, no TLS, bare LF, no Date', async (t) => {
  const { tls } = await ownCertificate(t);
  const trusted = [{ id: 'printer', addresses: ['127.0.0.1'], senders: ['scan@office.test'] }];
  const { port, taken } = await startSubmission(t, { tls, submission: { trusted } });
  const device = await talk(t, port);
  const say = async (line: string): Promise<string> => {
    device.write(line + '\n');
    return (await device.reply()) ?? 'closed';
  };
  assert.match(await say('HELO PRINTER'), /^250/);
  assert.match(await say('MAIL FROM: <scan@office.test>'), /^250/);
  assert.match(await say('RCPT TO: <boss@world.test>'), /^250/);
  assert.match(await say('DATA'), /^354/);
  device.write('From: scan@office.test\nSubject: Scan\n\nfirst\n.\nsecond\r\n.\r\n');
  assert.match((await device.reply()) ?? '', /^250 2\.0\.0 Queued/);
  assert.match(await say('MAIL FROM: <boss@office.test>'), /^550 5\.7\.1/);
  assert.match(await say('QUIT'), /^221/);
  assert.equal(taken.length, 1);
  assert.deepEqual([taken[0]?.transmission, taken[0]?.rights.user], ['SMTP', 'trusted/printer']);
  assert.match(taken[0]?.body ?? '', /first\n\.\nsecond/);
});
