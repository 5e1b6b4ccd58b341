// How a session logs in, against a scripted server that writes down every line.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import type { AuthChoice } from '../../../agent/accounts/auth-choice.ts';
import type { LoginSecret } from '../../../agent/accounts/secret.ts';
import { apopDigest, chooseMethod, timestampOf } from '../../../agent/receive/pop3/login.ts';
import { openPop3 } from '../../../agent/receive/pop3/pop3.ts';
import { Pop3Error } from '../../../agent/receive/pop3/pop3-error.ts';
import { troubleOf } from '../../../agent/receive/problem.ts';
import { createLab } from '../../lab/lab.ts';
import { startLineServer } from '../../lab/line-server.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const user = 'info@example.org';
const word = 'p\u00e4ss w\u00f6rd';
const password: LoginSecret = { kind: 'password', password: word };
const token: LoginSecret = { kind: 'token', token: 'ya29.secret-token' };
const xoauth2 = base64('user=' + user + '\u0001auth=Bearer ya29.secret-token\u0001\u0001');
const plain = base64('\0' + user + '\0' + word);

type Setup = {
  readonly secret?: LoginSecret;
  readonly auth?: AuthChoice;
  readonly greeting?: string;
  /** Lines of CAPA; undefined: the server knows no CAPA. */
  readonly capa?: readonly string[] | undefined;
  readonly afterLogin?: readonly string[];
  /** Answers to the lines of the login, in order; +OK when it is over. */
  readonly answers?: readonly string[];
  readonly tls?: boolean;
  readonly starttls?: boolean;
  readonly host?: string;
};
type Seen = {
  readonly lines: readonly string[];
  readonly error: unknown;
  readonly capabilities: ReadonlyMap<string, string>;
};

/** Logs in and out; gives the lines of the login. */
async function logIn(t: TestContext, setup: Setup): Promise<Seen> {
  const certificate = await createLab(t).certificate();
  const pem = { key: readFileSync(certificate.keyFile, 'utf8'), cert: readFileSync(certificate.certFile, 'utf8') };
  const lines: string[] = [];
  const answers = [...(setup.answers ?? [])];
  const capa = (list: readonly string[] | undefined): string =>
    list === undefined ? '-ERR what\r\n' : ['+OK', ...list, '.', ''].join('\r\n');
  let capabilities = capa(setup.capa);
  const server = await startLineServer({
    async serve(connection) {
      if (setup.tls === true) await connection.startTls(pem);
      await connection.act((setup.greeting ?? '+OK ready') + '\r\n');
      for (let line = await connection.line(); line !== undefined; line = await connection.line()) {
        if (line === 'CAPA') await connection.act(capabilities);
        else if (line === 'STLS') {
          await connection.act('+OK\r\n');
          await connection.startTls(pem);
        } else if (line === 'QUIT') return void (await connection.act('+OK\r\n'));
        else {
          lines.push(line);
          const answer = answers.shift() ?? '+OK';
          if (answers.length === 0 && setup.afterLogin !== undefined) capabilities = capa(setup.afterLogin);
          await connection.act(answer + '\r\n');
        }
      }
    },
  });
  t.after(server.close);
  const tls = setup.tls === true ? 'implicit' : setup.starttls === true ? 'starttls' : 'none';
  try {
    const pop3 = await openPop3({
      endpoint: { host: setup.host ?? '127.0.0.1', port: server.port, tls, ca: certificate.ca },
      user,
      password: setup.secret ?? password,
      ...(setup.auth === undefined ? {} : { auth: setup.auth }),
      signal: t.signal,
      clock: systemClock,
      timeouts: { connectMs: 5_000, replyMs: 5_000, progressMs: 5_000 },
    });
    await pop3.quit();
    return { lines, error: undefined, capabilities: pop3.capabilities };
  } catch (error) {
    return { lines, error, capabilities: new Map() };
  }
}

const utf8 = (text: string): string => Buffer.from(text).toString('latin1'); // the server reads latin1
const apopGreeting = '+OK ready <1896.697170952@dbc.mtview.ca.us>';
const good: readonly (readonly [string, Setup, readonly string[]])[] = [
  ['USER and PASS when nothing else is known', { capa: undefined }, ['USER ' + user, utf8('PASS ' + word)]],
  [
    'USER and PASS when the server lists them beside PLAIN',
    { capa: ['USER', 'SASL PLAIN LOGIN'] },
    ['USER ' + user, utf8('PASS ' + word)],
  ],
  ['PLAIN when the server lists no USER', { capa: ['SASL LOGIN PLAIN'] }, ['AUTH PLAIN ' + plain]],
  [
    'LOGIN when that is all',
    { capa: ['SASL LOGIN'], answers: ['+ VXNlcm5hbWU6', '+ UGFzc3dvcmQ6', '+OK'] },
    ['AUTH LOGIN', base64(user), base64(word)],
  ],
  [
    'APOP in clear',
    { greeting: apopGreeting, capa: ['USER'] },
    ['APOP ' + user + ' ' + apopDigest('<1896.697170952@dbc.mtview.ca.us>', word)],
  ],
  [
    'USER and PASS under TLS, although there is a timestamp',
    { greeting: apopGreeting, capa: ['USER'], tls: true },
    ['USER ' + user, utf8('PASS ' + word)],
  ],
  [
    'APOP under TLS when it is all there is',
    { greeting: apopGreeting, capa: ['UIDL'], tls: true },
    ['APOP ' + user + ' ' + apopDigest('<1896.697170952@dbc.mtview.ca.us>', word)],
  ],
  [
    'PLAIN in two steps to a server that lists no SASL',
    { auth: 'plain', capa: undefined, answers: ['+', '+OK'] },
    ['AUTH PLAIN', plain],
  ],
  [
    'PLAIN in two steps when the line would be too long',
    {
      auth: 'plain',
      capa: ['SASL PLAIN'],
      secret: { kind: 'password', password: 'x'.repeat(200) },
      answers: ['+ ', '+OK'],
    },
    ['AUTH PLAIN', base64('\0' + user + '\0' + 'x'.repeat(200))],
  ],
  [
    'PLAIN to a server that ignores the initial response',
    { auth: 'plain', capa: ['SASL PLAIN'], answers: ['+', '+OK'] },
    ['AUTH PLAIN ' + plain, plain],
  ],
  [
    'XOAUTH2 in two steps',
    { secret: token, capa: ['SASL XOAUTH2'], answers: ['+ ', '+OK'], tls: true },
    ['AUTH XOAUTH2', xoauth2],
  ],
  [
    'XOAUTH2 after STLS',
    { secret: token, capa: ['SASL XOAUTH2', 'STLS'], answers: ['+', '+OK'], starttls: true },
    ['AUTH XOAUTH2', xoauth2],
  ],
];

for (const [what, setup, expected] of good) {
  test('the login is ' + what, async (t) => {
    const { lines, error } = await logIn(t, setup);
    assert.equal(error, undefined);
    assert.deepEqual(lines, expected);
  });
}

test('the digest of RFC 1939 section 7', () => {
  assert.equal(apopDigest('<1896.697170952@dbc.mtview.ca.us>', 'tanstaaf'), 'c4c9334bac560ecc979e58001b3e22fb');
});

test('a timestamp is a message id of printable bytes, or none', () => {
  assert.equal(timestampOf('+OK hi <1.2@example.org> there'), '<1.2@example.org>');
  for (const greeting of ['+OK', '+OK <no at>', '+OK <a b@c>', '+OK <\u00e4@c>', '+OK <<>', '+OK a@b'])
    assert.equal(timestampOf(greeting), undefined, greeting);
});

test('what is configured is done, whatever the server offers', () => {
  const offered = { secure: true, capabilities: new Map([['USER', '']]), greeting: '+OK', secret: password };
  for (const auth of ['user-pass', 'apop', 'plain', 'login', 'xoauth2'] as const)
    assert.equal(chooseMethod({ ...offered, auth }), auth);
});

test('a refusal is never followed by a second try', async (t) => {
  const table: readonly Setup[] = [
    { greeting: apopGreeting, capa: ['USER', 'SASL PLAIN'], answers: ['-ERR [AUTH] no'] },
    { capa: ['SASL PLAIN LOGIN'], answers: ['-ERR [AUTH] no'] },
    { capa: ['USER', 'SASL PLAIN'], answers: ['+OK', '-ERR [AUTH] no'] },
    { auth: 'login', answers: ['+', '-ERR [AUTH] no'] },
  ];
  for (const setup of table) {
    const { lines, error } = await logIn(t, setup);
    assert.ok(error instanceof Pop3Error && error.trouble === 'refused' && error.code === 'AUTH');
    assert.equal(lines.length, Math.max(1, setup.answers?.length ?? 0));
    assert.equal(troubleOf(error, 'info', { host: '127.0.0.1', port: 1, tls: 'none' }).kind, 'login');
  }
});

test("a refused token: the server's JSON is answered with an empty line, its status stands in the error, no secret does", async (t) => {
  const json = base64('{"status":"401","schemes":"bearer","scope":"https://mail.example.net/"}');
  const setup: Setup = {
    secret: token,
    capa: ['SASL XOAUTH2'],
    tls: true,
    answers: ['+ ', '+ ' + json, '-ERR [AUTH] ' + xoauth2 + ' ya29.secret-token'],
  };
  const { lines, error } = await logIn(t, setup);
  assert.deepEqual(lines, ['AUTH XOAUTH2', xoauth2, '']);
  assert.ok(error instanceof Pop3Error);
  assert.deepEqual([error.trouble, error.code, error.step], ['refused', 'AUTH', 'AUTH XOAUTH2']);
  assert.match(error.message, /\*\*\*.*\(the token: 401\)$/);
  assert.doesNotMatch(String(error.stack), /ya29|dXNlcj/);
  const strange = await logIn(t, { ...setup, answers: ['+', '+ ' + base64('<script>'), '-ERR no'] });
  assert.match(String(strange.error), /the token: refused without a reason/);
});

test('a server that repeats what it was sent shows no secret', async (t) => {
  const table: readonly (readonly [Setup, string])[] = [
    [{ capa: ['SASL PLAIN'], answers: ['-ERR AUTH PLAIN ' + plain] }, plain],
    [{ auth: 'login', answers: ['+', '+', '-ERR what is ' + base64(word)] }, base64(word)],
    [{ capa: undefined, answers: ['+OK', '-ERR PASS ' + utf8(word)] }, utf8(word)],
  ];
  for (const [setup, secret] of table) {
    const { error } = await logIn(t, setup);
    assert.ok(error instanceof Pop3Error && error.message.includes('***'));
    assert.ok(!String(error.stack).includes(secret));
  }
});

test('what is configured and not possible is said without sending a secret', async (t) => {
  const table: readonly (readonly [Setup, RegExp])[] = [
    [{ auth: 'apop' }, /offers no APOP \(its greeting has no timestamp\)/],
    [{ auth: 'xoauth2' }, /only a password/],
    [{ auth: 'plain', secret: token }, /only a token/],
    // Reaches this machine, but does not say so.
    [{ secret: token, capa: ['SASL XOAUTH2'], host: '0.0.0.0' }, /not encrypted, expected tls: implicit or starttls/],
  ];
  for (const [setup, message] of table) {
    const { lines, error } = await logIn(t, { capa: ['USER'], ...setup });
    assert.deepEqual(lines, []);
    assert.ok(error instanceof Pop3Error && error.trouble === 'no-login');
    assert.match(error.message, message);
    assert.equal(troubleOf(error, 'info', { host: '127.0.0.1', port: 1, tls: 'none' }).kind, 'session');
  }
});

test('a server without an end to its challenges is left', async (t) => {
  const { lines, error } = await logIn(t, { auth: 'plain', answers: Array.from({ length: 50 }, () => '+ ') });
  assert.ok(error instanceof Pop3Error && error.trouble === 'out-of-step');
  assert.equal(lines.length, 4);
});

test('a login that came too early says how long to wait', async (t) => {
  const table: readonly (readonly [readonly string[], number])[] = [
    [['USER', 'LOGIN-DELAY 900'], 900],
    [['USER'], 60],
  ];
  for (const [capa, seconds] of table) {
    const { error } = await logIn(t, { capa, answers: ['+OK', '-ERR [LOGIN-DELAY] too early'] });
    assert.ok(error instanceof Pop3Error);
    assert.deepEqual([error.code, error.loginDelaySeconds], ['LOGIN-DELAY', seconds]);
    assert.equal(troubleOf(error, 'info', { host: '127.0.0.1', port: 1, tls: 'none' }).kind, 'session');
  }
  const { error } = await logIn(t, { capa: ['USER', 'LOGIN-DELAY 900'], answers: ['+OK', '-ERR [AUTH] no'] });
  assert.ok(error instanceof Pop3Error && error.loginDelaySeconds === 0);
});

test('a LOGIN-DELAY that is named only before the login counts', async (t) => {
  const before = await logIn(t, {
    capa: ['USER', 'LOGIN-DELAY 900 USER'],
    answers: ['+OK', '+OK'],
    afterLogin: ['UIDL'],
  });
  assert.equal(before.capabilities.get('LOGIN-DELAY'), '900 USER');
  const both = await logIn(t, {
    capa: ['USER', 'LOGIN-DELAY 900 USER'],
    answers: ['+OK', '+OK'],
    afterLogin: ['LOGIN-DELAY 60'],
  });
  assert.equal(both.capabilities.get('LOGIN-DELAY'), '60');
});
