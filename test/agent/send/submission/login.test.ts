// Failed logins: how many passwords are looked at, whatever a client does.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SMTPServerAuthentication, SMTPServerSession } from 'smtp-server';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import type { Accounts } from '../../../../agent/send/submission/accounts.ts';
import { createLogin } from '../../../../agent/send/submission/login.ts';
import type { Login } from '../../../../agent/send/submission/login.ts';

function start(check?: Accounts['check']) {
  let now = 0;
  const looked: string[] = [];
  const accounts: Accounts = {
    check: async (name, password, address) => {
      looked.push(name);
      await new Promise((resolve) => setImmediate(resolve));
      if (check !== undefined) return check(name, password, address);
      if (password !== 'right') return { ok: false, why: 'wrong', known: true };
      return { ok: true, rights: { user: name, senders: ['@office.test'], limits: {} } };
    },
  };
  const logIn = createLogin({
    accounts,
    allowClear: false,
    clock: { ...systemClock, monotonic: () => now, sleep: async () => {} },
    log: createLog({ name: 'test', level: 'silent' }),
  });
  return { logIn, looked, pass: (ms: number) => void (now += ms) };
}

/** What of a session a login reads. */
const session = (remoteAddress: string, secure = true): SMTPServerSession =>
  ({ remoteAddress, secure }) as SMTPServerSession; // nothing else is looked at
const attempt = async (logIn: Login, name: string, password: string, from: SMTPServerSession): Promise<number> => {
  const auth = { method: 'PLAIN', username: name, password } as SMTPServerAuthentication; // the same
  const answer = await logIn(auth, from);
  return answer.ok ? 235 : answer.code;
};

test('30 failed logins in a row: five passwords are looked at, each connection ends after five', async () => {
  const { logIn, looked, pass } = start();
  const codes: number[] = [];
  for (let connection = 0; connection < 6; connection += 1) {
    const one = session('192.0.2.1');
    for (let n = 0; n < 5; n += 1) codes.push(await attempt(logIn, 'info', 'wrong' + connection + n, one));
  }
  assert.equal(looked.length, 5);
  assert.deepEqual(codes.slice(0, 10), [535, 535, 535, 535, 421, 454, 454, 454, 454, 421]);
  assert.equal(await attempt(logIn, 'info', 'right', session('192.0.2.1')), 454, 'not even the right one, for a while');
  assert.equal(await attempt(logIn, 'info', 'right', session('192.0.2.2')), 235, 'from elsewhere it is');
  pass(60_001);
  assert.equal(await attempt(logIn, 'info', 'right', session('192.0.2.1')), 235);
});

test('a hundred tries at once are one after the other, and no more than five', async () => {
  const { logIn, looked } = start();
  const tries = Array.from({ length: 100 }, (_, n) => attempt(logIn, 'info', 'wrong' + n, session('192.0.2.1')));
  const codes = await Promise.all(tries);
  assert.equal(looked.length, 5);
  assert.equal(codes.filter((code) => code === 535).length, 5);
});

test('ten sessions that log in at once with the right password all get in', async () => {
  const { logIn } = start();
  const codes = await Promise.all(
    Array.from({ length: 10 }, () => attempt(logIn, 'info', 'right', session('192.0.2.1'))),
  );
  assert.deepEqual(new Set(codes), new Set([235]));
});

test('many names from one address: a stranger is kept out, who has logged in from there is not', async () => {
  const { logIn, looked } = start();
  assert.equal(await attempt(logIn, 'sales', 'right', session('192.0.2.1')), 235);
  for (let n = 0; n < 60; n += 1) await attempt(logIn, 'guess' + n, 'wrong', session('192.0.2.1'));
  assert.equal(looked.length, 21, 'twenty guesses');
  assert.equal(await attempt(logIn, 'sales', 'right', session('192.0.2.1')), 235);
  assert.equal(await attempt(logIn, 'info', 'right', session('192.0.2.1')), 454);
});

test('one client of this machine does not keep the others out', async () => {
  const { logIn } = start();
  for (let n = 0; n < 60; n += 1) await attempt(logIn, 'guess' + n, 'wrong', session('127.0.0.1'));
  for (let n = 0; n < 30; n += 1) await attempt(logIn, 'printer', 'old password', session('127.0.0.1'));
  assert.equal(await attempt(logIn, 'sales', 'right', session('127.0.0.1')), 235);
});

test('a server that cannot be asked is no failure of the client', async () => {
  const { logIn, looked } = start(async () => ({ ok: false, why: 'trouble', known: false }));
  for (let n = 0; n < 30; n += 1)
    assert.equal(await attempt(logIn, 'info', 'right', session('192.0.2.1')), 454, String(n));
  assert.equal(looked.length, 30);
});

test('a password in clear is not even looked at', async () => {
  const { logIn, looked } = start();
  assert.equal(await attempt(logIn, 'info', 'right', session('127.0.0.1', false)), 538);
  assert.deepEqual(looked, []);
});
