// What stops an account, as a word of the closed set that measurements and dashboards know.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accountErrors } from '#shared/metrics.ts';
import { LoginError } from '../../../agent/accounts/login-error.ts';
import { ConnectError } from '../../../agent/net/socket.ts';
import { Pop3Error } from '../../../agent/receive/pop3/pop3-error.ts';
import type { Pop3Trouble, ResponseCode } from '../../../agent/receive/pop3/pop3-error.ts';
import { errorKindOf, isDiskText } from '../../../agent/receive/problem.ts';

const refused = (step: string, code?: ResponseCode, text = 'no'): Pop3Error =>
  new Pop3Error('Cannot ' + step + ': ' + text, { trouble: 'refused', step, code });
const broken = (trouble: Pop3Trouble): Pop3Error => new Pop3Error('x', { trouble, step: 'RETR' });

test('every trouble is one word of the closed set', () => {
  const table: readonly (readonly [unknown, string])[] = [
    [new ConnectError('x', 'tcp', undefined), 'connect'],
    [new ConnectError('x', 'tls', undefined), 'tls'],
    [new ConnectError('x', 'tls', undefined, true), 'certificate'],
    [broken('not-pop3'), 'not-pop3'],
    [broken('no-stls'), 'tls'],
    [broken('no-login'), 'no-login'],
    [new LoginError('x', { refused: true }), 'login'],
    [new LoginError('x', { refused: false }), 'token'],
    [refused('PASS', 'AUTH'), 'login'],
    [refused('AUTH XOAUTH2'), 'login'],
    [refused('PASS', 'IN-USE'), 'busy'],
    [refused('PASS', 'LOGIN-DELAY'), 'busy'],
    [refused('PASS', undefined, 'mailbox is locked'), 'busy'],
    [refused('greeting', 'IN-USE'), 'busy'],
    [refused('greeting', 'SYS/TEMP'), 'server'],
    [refused('UIDL'), 'server'],
    [broken('out-of-step'), 'protocol'],
    [broken('timeout'), 'timeout'],
    [broken('lost'), 'lost'],
    [broken('stopped'), 'other'],
    [Object.assign(new Error('x'), { code: 'ENOSPC' }), 'disk'],
    [new Error('outer', { cause: Object.assign(new Error('x'), { code: 'ERR_SQLITE_ERROR', errcode: 13 }) }), 'disk'],
    [new Error('x'), 'other'],
    ['x', 'other'],
  ];
  const words: readonly string[] = accountErrors;
  for (const [error, expected] of table) {
    assert.equal(errorKindOf(error), expected, String(error) + ' ' + expected);
    assert.ok(words.includes(expected));
  }
});

test('a full disk is known in words too, and nothing else is taken for one', () => {
  for (const text of ['ENOSPC: no space left on device, write', 'database or disk is full', 'disk I/O error'])
    assert.equal(isDiskText(text), true, text);
  for (const text of ['', '452 4.3.1 Insufficient system storage', 'ECONNRESET', 'HEIO'])
    assert.equal(isDiskText(text), false, text);
});
