// From the connection to a session: greeting, EHLO, STARTTLS, login, and how each failure is told.
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { ChannelError, createChannel } from '../../../agent/smtp/channel.ts';
import { ConversationError, openConversation } from '../../../agent/smtp/conversation.ts';
import type { ConversationOptions, Phase } from '../../../agent/smtp/conversation.ts';
import { logIn } from '../../../agent/smtp/login.ts';
import { createLab } from '../../lab/lab.ts';
import { startLineServer } from '../../lab/line-server.ts';
import type { Action, Connection } from '../../lab/line-server.ts';
import { startScriptedSmtp } from '../../lab/scripted-smtp.ts';
import type { ScriptedSmtpOptions } from '../../lab/scripted-smtp.ts';
import { mailOf, once, optionsFor, shortTimeouts, talk } from './talk.ts';
import type { Owner } from './talk.ts';

const login = { user: 'info@example.org', password: 'a-secret-word' };

async function failing(options: ConversationOptions, phase: Phase, message: RegExp): Promise<ConversationError> {
  const error: unknown = await openConversation(options).then(
    () => assert.fail('the conversation opened'),
    (error: unknown) => error,
  );
  assert.ok(error instanceof ConversationError, String(error));
  assert.equal(error.phase, phase, error.message);
  assert.match(error.message, message);
  assert.doesNotMatch(error.message, /\n/);
  assert.doesNotMatch(error.message + String(error.reply?.text), /a-secret-word|YS1zZWNyZXQtd29yZ/);
  return error;
}

async function scripted(t: Owner, options: ScriptedSmtpOptions) {
  const server = await startScriptedSmtp(options);
  t.after(server.close);
  return server;
}

test('what the server offers is known by keyword, with its arguments', async (t) => {
  const capabilities = ['SIZE 1000', 'auth=PLAIN', 'AUTH LOGIN', '8bitmime'];
  const { server, conversation } = await talk(t, { capabilities });
  assert.deepEqual(
    [...conversation.capabilities],
    [
      ['SIZE', '1000'],
      ['AUTH', 'PLAIN LOGIN'],
      ['8BITMIME', ''],
    ],
  );
  await conversation.quit();
  assert.deepEqual(server.commands, ['EHLO agent.example.org', 'QUIT']);
  assert.equal(conversation.usable(), false);
});

test('a server that knows only HELO takes mail, one that speaks LMTP does not', async (t) => {
  const { server, conversation } = await talk(t, { script: once('EHLO', '500 what?\r\n') });
  await conversation.send(mailOf('old\r\n'));
  assert.deepEqual(server.commands.slice(0, 3), [
    'EHLO agent.example.org',
    'HELO agent.example.org',
    'MAIL FROM:<info@example.org>',
  ]);
  const lmtp = await scripted(t, { protocol: 'lmtp' });
  await failing(optionsFor(lmtp), 'hello', /500 5\.5\.1 LHLO here, expected a welcome \(250\); check protocol/);
  const smtp = await scripted(t, {});
  await failing(optionsFor(smtp, { protocol: 'lmtp' }), 'hello', /500 5\.5\.1 the other protocol, expected/);
  assert.deepEqual(smtp.commands, ['LHLO agent.example.org']);
});

test('a name that is no host name is not sent to the server', async (t) => {
  const { server } = await talk(t, {}, { name: 'my nas\r\nMAIL FROM:<x>' });
  assert.deepEqual(server.commands, ['EHLO localhost']);
});

test('a wrong port is told: nobody there, POP3, silence, refusal, a flood, a close', async (t) => {
  const empty = createServer();
  await new Promise<void>((resolve) => empty.listen(0, '127.0.0.1', resolve));
  const { port } = empty.address() as AddressInfo; // a TCP server
  await new Promise((resolve) => empty.close(resolve));
  await failing(optionsFor({ host: '127.0.0.1', port }), 'connect', /Cannot connect to 127\.0\.0\.1:\d+: ECONNREFUSED/);

  const rows: readonly (readonly [Action, RegExp, number | undefined])[] = [
    [
      '+OK POP3 ready\r\n',
      /Cannot talk to .*: the server answered "\+OK POP3 ready", expected the greeting of a mail server \(220\); check host and port/,
      undefined,
    ],
    [{ end: 'hang' }, /no answer within 200 ms, expected the greeting .*465 speaks TLS from the first byte/, undefined],
    ['554 5.7.1 not you\r\n', /554 5\.7\.1 not you/, 554],
    ['421 too many\r\n', /421 too many/, 421],
    ['250 odd\r\n', /250 odd/, 250],
    [Buffer.alloc(5_000, 'x'), /a line of more than 4096 bytes/, undefined],
    [Buffer.from('220-x\r\n'.repeat(10_000)), /a reply of more than 65536 bytes/, undefined],
    [{ end: 'close' }, /the server closed the connection/, undefined],
    [['220-', { end: 'reset' }], /the connection broke \(ECONNRESET\)/, undefined],
  ];
  for (const [action, message, code] of rows) {
    const server = await scripted(t, { script: once('connect', action) });
    const timeouts = { ...shortTimeouts, greetingMs: 200 };
    const error = await failing(optionsFor(server, { timeouts }), 'greeting', message);
    assert.equal(error.reply?.code, code);
  }
});

test('a greeting that trickles meets its deadline', async (t) => {
  const server = await startLineServer({
    serve: async (connection) => {
      while (await connection.act(['220-\r\n', { pauseMs: 20 }]));
    },
  });
  t.after(server.close);
  const timeouts = { ...shortTimeouts, greetingMs: 150 };
  await failing(optionsFor(server, { timeouts }), 'greeting', /no answer within 150 ms/);
});

test('STARTTLS is a must when asked for', async (t) => {
  const server = await scripted(t, { login });
  const endpoint = { host: '127.0.0.1', port: server.port, tls: 'starttls' } as const;
  await failing(optionsFor(server, { endpoint, login }), 'tls', /the server offers no STARTTLS, expected/);
  assert.deepEqual(server.commands, ['EHLO agent.example.org']);
});

test('STARTTLS, EHLO again, login; what was announced in clear is forgotten', async (t) => {
  const lab = createLab(t);
  const { key, cert, ca } = await certificateOf(lab);
  const script = (step: { verb: string; secure: boolean }): string | undefined =>
    step.verb === 'EHLO' && step.secure ? '250-x\r\n250 AUTH LOGIN\r\n' : undefined;
  const server = await scripted(t, { login, tls: { key, cert }, script });
  const endpoint = { host: 'localhost', port: server.port, tls: 'starttls', ca } as const;
  const conversation = await openConversation(optionsFor(server, { endpoint, login }));
  assert.deepEqual([...conversation.capabilities.keys()], ['AUTH']);
  await conversation.send(mailOf('under TLS\r\n'));
  await conversation.quit();
  assert.equal(server.mails.length, 1);
  assert.deepEqual(server.commands.slice(0, 4), [
    'EHLO agent.example.org',
    'STARTTLS',
    'EHLO agent.example.org',
    'AUTH LOGIN',
  ]);
});

test('a certificate of somebody else is refused', async (t) => {
  const lab = createLab(t);
  const { key, cert, ca } = await certificateOf(lab);
  const server = await scripted(t, { login, tls: { key, cert } });
  const base = { host: '127.0.0.1', port: server.port, tls: 'starttls' } as const;
  const unknown = optionsFor(server, { endpoint: base, login });
  await failing(
    unknown,
    'tls',
    /Cannot start TLS with .*: \S+, expected a valid certificate for 127\.0\.0\.1; check .*caFile/,
  );
  const other = optionsFor(server, { endpoint: { ...base, ca, serverName: 'mail.example.net' }, login });
  await failing(other, 'tls', /ERR_TLS_CERT_ALTNAME_INVALID, expected a valid certificate for mail\.example\.net/);
  assert.equal(
    server.commands.some((command) => command.startsWith('AUTH')),
    false,
  );
});

test('what the server says in clear after STARTTLS is never taken for an answer under TLS', async (t) => {
  const injected: readonly Action[] = [
    '220 begin\r\n250-evil\r\n250 AUTH PLAIN\r\n',
    '220 begin\r\n250-ev',
    '220 begin\r\n421 bye\r\n',
  ];
  for (const action of injected) {
    const lab = createLab(t);
    const { key, cert, ca } = await certificateOf(lab);
    const server = await scripted(t, { login, tls: { key, cert }, script: once('STARTTLS', action) });
    const endpoint = { host: '127.0.0.1', port: server.port, tls: 'starttls', ca } as const;
    await failing(optionsFor(server, { endpoint, login }), 'tls', /in clear before the TLS|answered unasked|421 bye/);
  }
});

test('a login is refused: wrong, not offered, unknown mechanism, and never shows the password', async (t) => {
  const offers = ['AUTH PLAIN', 'AUTH LOGIN'];
  for (const offer of offers) {
    const script = once('EHLO', '250-x\r\n250 ' + offer + '\r\n');
    const server = await scripted(t, { login: { ...login, password: 'another' }, script });
    const error = await failing(optionsFor(server, { login }), 'auth', /Cannot log in at .*: the server answered 535/);
    assert.equal(error.reply?.code, 535);
  }
  const none = await scripted(t, {});
  await failing(optionsFor(none, { login }), 'auth', /offers no login \(AUTH\)/);
  const other = await scripted(t, { script: once('EHLO', '250-x\r\n250 AUTH CRAM-MD5 XOAUTH2\r\n') });
  await failing(optionsFor(other, { login }), 'auth', /offers only CRAM-MD5, XOAUTH2 and not PLAIN or LOGIN/);
  const echo = Buffer.from('\0' + login.user + '\0' + login.password).toString('base64');
  const talker = await scripted(t, {
    login,
    script: once('AUTH', '535 I got ' + echo + ' ' + login.password + '\r\n'),
  });
  const error = await failing(optionsFor(talker, { login }), 'auth', /I got \[redacted\] \[redacted\]/);
  assert.doesNotMatch(String(error.cause), /a-secret-word/);
});

test('a login that is accepted opens the session, by PLAIN with and without its first answer, and by LOGIN', async (t) => {
  await talk(t, { login }, { login });
  await talk(t, { login, script: once('EHLO', '250-x\r\n250 AUTH LOGIN\r\n') }, { login });
  const lines: string[] = [];
  const server = await startLineServer({ serve: (connection) => slowPlain(connection, lines) });
  t.after(server.close);
  (await openConversation(optionsFor(server, { login }))).close();
  const plain = Buffer.from('\0' + login.user + '\0' + login.password).toString('base64');
  assert.deepEqual(lines, ['AUTH PLAIN ' + plain, plain]);
});

test('a password never leaves the machine in clear', async (t) => {
  const server = await scripted(t, { login });
  const channel = createChannel(connect(server.port, server.host), { greets: true });
  t.after(() => Promise.resolve(channel.fail(new ChannelError('over', 'closed'))));
  await channel.reply(1_000);
  const capabilities = new Map([['AUTH', 'PLAIN LOGIN']]);
  await assert.rejects(
    logIn({ channel, capabilities, login, confidential: false, timeoutMs: 1_000 }),
    /the connection is not encrypted and leaves this machine; set tls/,
  );
  assert.deepEqual(server.commands, []);
  await logIn({ channel, capabilities, login, confidential: true, timeoutMs: 1_000 });
  assert.deepEqual(server.commands, ['AUTH PLAIN']);
});

test('a stop while opening ends it at once, at every step', async (t) => {
  for (const verb of ['connect', 'EHLO', 'AUTH']) {
    const stop = new AbortController();
    const server = await scripted(t, {
      login,
      script: (step) => {
        if (step.verb !== verb) return undefined;
        stop.abort();
        return { end: 'hang' };
      },
    });
    const options = optionsFor(server, { login, signal: stop.signal });
    await assert.rejects(openConversation(options), /stopped/);
  }
  const server = await scripted(t, {});
  await assert.rejects(openConversation(optionsFor(server, { signal: AbortSignal.abort() })), /stopped/);
});

async function certificateOf(lab: ReturnType<typeof createLab>) {
  const { readFile } = await import('node:fs/promises');
  const { keyFile, certFile, ca } = await lab.certificate();
  return { key: await readFile(keyFile, 'utf8'), cert: await readFile(certFile, 'utf8'), ca };
}

/** Asks for the PLAIN answer again, as servers do that overlook the first one. */
async function slowPlain(connection: Connection, lines: string[]): Promise<void> {
  await connection.act('220 x\r\n');
  await connection.line();
  await connection.act('250-x\r\n250 AUTH PLAIN\r\n');
  lines.push((await connection.line()) ?? '');
  await connection.act('334 \r\n');
  lines.push((await connection.line()) ?? '');
  await connection.act('235 2.7.0 well\r\n');
  await connection.line();
}
