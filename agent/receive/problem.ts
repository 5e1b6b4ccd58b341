// What stops an account, in one line that a person can act on: account, place, what was found, what was expected, the remedy.
import { codeOf, describe } from '#shared/failure.ts';
import type { AccountError } from '#shared/metrics.ts';
import { LoginError } from '../accounts/login-error.ts';
import { ConnectError } from '../net/socket.ts';
import type { Endpoint } from '../net/socket.ts';
import { Pop3Error } from './pop3/pop3-error.ts';

/** How to go on: `login` must not be tried often (providers lock addresses out), the others may. */
export type TroubleKind = 'login' | 'session' | 'local';
export type Trouble = {
  readonly kind: TroubleKind;
  readonly problem: string;
  /** What it is in the measurements; by default the local server. */
  readonly error?: AccountError;
};

export function troubleOf(error: unknown, account: string, endpoint: Endpoint): Trouble {
  return { ...sayTrouble(error, account, endpoint), error: errorKindOf(error) };
}

export function errorKindOf(error: unknown): AccountError {
  if (error instanceof LoginError) return error.refused ? 'login' : 'token';
  if (error instanceof ConnectError) {
    if (error.stage === 'tcp') return 'connect';
    return error.isCertificate ? 'certificate' : 'tls';
  }
  if (error instanceof Pop3Error) return pop3ErrorKind(error);
  return isDiskTrouble(error) ? 'disk' : 'other';
}

function pop3ErrorKind(error: Pop3Error): AccountError {
  switch (error.trouble) {
    case 'not-pop3':
    case 'no-login':
    case 'timeout':
    case 'lost':
      return error.trouble;
    case 'no-stls':
      return 'tls';
    case 'out-of-step':
      return 'protocol';
    case 'stopped':
      return 'other';
    case 'refused':
      if (isLoginFailure(error)) return 'login';
      return isLoginStep(error) || error.code === 'IN-USE' || error.code === 'LOGIN-DELAY' ? 'busy' : 'server';
  }
}

/** Our own disk: full, broken or read-only. */
function isDiskTrouble(error: unknown): boolean {
  if (/^(?:ENOSPC|EDQUOT|EROFS|EIO)$/.test(codeOf(error) ?? '')) return true;
  if (!(error instanceof Error)) return false;
  // SQLite's result codes: READONLY, IOERR, FULL.
  if ('errcode' in error && [8, 10, 13].includes(Number(error.errcode) % 256)) return true;
  return isDiskTrouble(error.cause);
}

/** As isDiskTrouble(), of what is left when an error was told in words. */
export function isDiskText(text: string): boolean {
  return /ENOSPC|EDQUOT|EROFS|\bEIO\b|disk is full|disk I\/O error|readonly database/.test(text);
}

function sayTrouble(error: unknown, account: string, endpoint: Endpoint): Trouble {
  const prefix = account + ' at ' + endpoint.host + ':' + endpoint.port + ': ';
  if (error instanceof LoginError)
    return error.refused
      ? { kind: 'login', problem: prefix + error.message + ' (mailferry login ' + account + ')' }
      : { kind: 'session', problem: prefix + error.message };
  if (!(error instanceof Pop3Error))
    return {
      kind: 'session',
      problem:
        prefix +
        stripPlace(error instanceof ConnectError ? error.message : describe(error), endpoint) +
        hintForConnect(error, endpoint),
    };
  if (isLoginFailure(error)) {
    const remedy =
      error.step === 'AUTH XOAUTH2'
        ? 'check user, that POP3 is switched on at the provider, and log in again (mailferry login ' + account + ')'
        : 'check user and password, and that POP3 is switched on at the provider';
    return { kind: 'login', problem: prefix + 'login refused, ' + stripPlace(error.message, endpoint) + '; ' + remedy };
  }
  return { kind: 'session', problem: prefix + stripPlace(error.message, endpoint) + remedyFor(error) };
}

/** A refusal of a step of the login, unless the server says (or hints) that it will pass. */
function isLoginFailure(error: Pop3Error): boolean {
  if (error.trouble !== 'refused' || !isLoginStep(error)) return false;
  if (error.code !== undefined) return error.code === 'AUTH' || error.code === 'SYS/PERM';
  // Servers without response codes say it in words.
  return !/\b(lock(ed)?|busy|in use|wait|try again|temporar)/i.test(error.message);
}

function isLoginStep(error: Pop3Error): boolean {
  return /^(?:USER|PASS|APOP|AUTH [A-Z0-9-]+)$/.test(error.step);
}

function remedyFor(error: Pop3Error): string {
  switch (error.trouble) {
    case 'not-pop3':
      return '; check host and port';
    case 'timeout':
    case 'lost':
      return error.step === 'greeting'
        ? ', expected +OK; check port and tls (port 995 needs tls: implicit)'
        : ', will be tried again';
    case 'refused':
      return ', will be tried again';
    case 'out-of-step':
      return ', nothing was deleted, will be tried again';
    case 'no-stls':
    case 'no-login':
    case 'stopped':
      return '';
  }
}

function hintForConnect(error: unknown, endpoint: Endpoint): string {
  if (!(error instanceof ConnectError) || error.stage !== 'tls') return '';
  const wrongVersion = /wrong.version|packet length|EPROTO/i.test(error.message);
  return wrongVersion && endpoint.tls === 'implicit'
    ? ' (the port does not speak TLS from the first byte: 995 does, 110 needs tls: starttls)'
    : '';
}

/** The place stands in front already. */
function stripPlace(message: string, endpoint: Endpoint): string {
  const place = endpoint.host + ':' + endpoint.port;
  return message.replace(new RegExp(' (?:to|with|from|at) ' + place.replaceAll(/[.[\]:]/g, '\\$&')), '');
}
