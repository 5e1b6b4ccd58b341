// Every way to log in that a real dovecot knows, over every kind of line; and whom we believe to be the server.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import type { AuthChoice } from '../../../agent/accounts/auth-choice.ts';
import { pinOf } from '../../../agent/net/socket.ts';
import type { Endpoint } from '../../../agent/net/socket.ts';
import { openPop3 } from '../../../agent/receive/pop3/pop3.ts';
import { errorKindOf, troubleOf } from '../../../agent/receive/problem.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const user = 'info@provider.test';
const password = 'pass wort-ü'.replace(' ', '_');
const timeouts = { connectMs: 10_000, replyMs: 10_000, progressMs: 10_000 };

function open(t: { readonly signal: AbortSignal }, endpoint: Endpoint, auth: AuthChoice, secret: string) {
  return openPop3({ endpoint, user, password: secret, auth, signal: t.signal, clock: systemClock, timeouts });
}

test('USER/PASS, APOP, AUTH PLAIN and AUTH LOGIN, in clear, after STLS and in TLS: let in, and refused with a wrong password', async (t) => {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({
    users: { [user]: password },
    extra: 'auth_mechanisms = plain login apop\nauth_verbose = yes\n',
  });
  await dovecot.put(user, Buffer.from('Subject: test\r\n\r\ntext\r\n'));
  const { ca } = dovecot;
  const lines: Readonly<Record<string, Endpoint>> = {
    none: { host: '127.0.0.1', port: dovecot.pop3, tls: 'none' },
    starttls: { host: '127.0.0.1', port: dovecot.pop3, tls: 'starttls', ca },
    implicit: { host: 'localhost', port: dovecot.pop3s, tls: 'implicit', ca },
  };
  const methods: readonly (readonly [AuthChoice, string])[] = [
    ['user-pass', 'PLAIN'], // so dovecot calls it
    ['apop', 'APOP'],
    ['plain', 'PLAIN'],
    ['login', 'LOGIN'],
    ['auto', ''],
  ];
  for (const [line, endpoint] of Object.entries(lines)) {
    for (const [auth, method] of methods) {
      const what = auth + ' over ' + line;
      const expected = auth === 'auto' ? (line === 'none' ? 'APOP' : 'PLAIN') : method;
      const logins = (): number => dovecot.log().split('Login: user=<' + user + '>, method=' + expected).length;
      const before = logins();
      const pop3 = await open(t, endpoint, auth, password).catch((error: unknown) => {
        throw new Error(what, { cause: error });
      });
      assert.equal((await pop3.stat()).count, 1, what);
      await pop3.quit();
      await waitFor(what + ' to be by ' + expected, () => logins() > before); // its log comes a moment later
      await assert.rejects(open(t, endpoint, auth, 'wrong'), (error: unknown) => {
        const { kind, error: word, problem } = troubleOf(error, 'info', endpoint);
        assert.deepEqual([kind, word], ['login', 'login'], what);
        assert.doesNotMatch(problem, /wrong/, what);
        return true;
      });
    }
  }
});

test('the name in the handshake chooses the certificate; authority, name and key must fit', async (t) => {
  const lab = createLab(t);
  const other = await lab.certificate(['pop.provider.test']);
  const dovecot = await lab.dovecot({
    users: { [user]: password },
    extra:
      'local_name pop.provider.test {\n  ssl_cert = <' + other.certFile + '\n  ssl_key = <' + other.keyFile + '\n}\n',
  });
  const pinIn = (file: string): string => pinOf(new X509Certificate(readFileSync(file)).publicKey);
  const pin = pinIn(other.certFile);
  const backup = 'sha256/' + 'B'.repeat(43) + '=';
  const named = { serverName: 'pop.provider.test', ca: other.ca };
  const { ca } = dovecot;
  const table: readonly (readonly [string, Partial<Endpoint>, string])[] = [
    ['its own name and authority', { ca }, ''],
    ['another name with its authority', named, ''],
    ['that, and its pin', { ...named, pins: [pin] }, ''],
    ['that, and its pin as the backup', { ...named, pins: [backup, pin] }, ''],
    ['another pin', { ...named, pins: [backup] }, 'certificate'],
    ['the pin of the certificate that another name would have got', { ca, pins: [pin] }, 'certificate'],
    ['no authority', { serverName: 'pop.provider.test' }, 'certificate'],
    ['another authority', { ca: other.ca }, 'certificate'],
    ['a pin without the authority', { serverName: 'pop.provider.test', pins: [pin] }, 'certificate'],
    ['a name that the certificate has not', { ca, serverName: 'pop.example.net' }, 'certificate'],
  ];
  for (const tls of ['implicit', 'starttls'] as const) {
    for (const [what, change, expected] of table) {
      const port = tls === 'implicit' ? dovecot.pop3s : dovecot.pop3;
      const found = await open(t, { host: '127.0.0.1', port, tls, ...change }, 'auto', password).then(async (pop3) => {
        await pop3.quit();
        return '';
      }, errorKindOf);
      assert.equal(found, expected, tls + ', ' + what);
    }
  }
  const logins = (): number => dovecot.log().split('Login: user=').length - 1;
  await waitFor('all logins in its log', () => logins() >= 8);
  assert.equal(logins(), 8, 'nobody was told the password who was not believed');
});

test('what speaks no TLS, no POP3, or does not answer is told apart', async (t) => {
  const lab = createLab(t);
  const dovecot = await lab.dovecot({ users: { [user]: password } });
  const nobody = await lab.freePort();
  const { ca, host } = dovecot;
  const table: readonly (readonly [string, Endpoint, string])[] = [
    ['nobody there', { host, port: nobody, tls: 'implicit', ca }, 'connect'],
    ['an unknown host', { host: 'pop.nowhere.invalid', port: 995, tls: 'implicit', ca }, 'connect'],
    ['TLS where there is none', { host, port: dovecot.pop3, tls: 'implicit', ca }, 'tls'],
    ['an LMTP server', { host, port: dovecot.lmtp, tls: 'none' }, 'not-pop3'],
  ];
  for (const [what, endpoint, expected] of table)
    await assert.rejects(open(t, endpoint, 'auto', password), (error: unknown) => {
      assert.equal(errorKindOf(error), expected, what + ': ' + String(error));
      return true;
    });
  const silent = await lab.proxy({ to: { host, port: dovecot.pop3 } });
  silent.swallow(true);
  const endpoint = { host, port: silent.port, tls: 'none' } as const;
  const { signal } = t;
  const hurried = { endpoint, user, password, signal, clock: systemClock, timeouts: { ...timeouts, replyMs: 300 } };
  await assert.rejects(openPop3(hurried), (error: unknown) => errorKindOf(error) === 'timeout');
});
