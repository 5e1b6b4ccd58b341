// What stops an account, in one line that a person can act on: account, place, what was found, what was expected, the remedy.
import { describe } from '#shared/failure.ts';
import { LoginError } from '../accounts/login-error.ts';
import { ConnectError } from '../net/socket.ts';
import type { Endpoint } from '../net/socket.ts';
import { Pop3Error } from './pop3-error.ts';

/** How to go on: `login` must not be tried often (providers lock addresses out), the others may. */
export type TroubleKind = 'login' | 'session' | 'local';
export type Trouble = { readonly kind: TroubleKind; readonly problem: string };

export function troubleOf(error: unknown, account: string, endpoint: Endpoint): Trouble {
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
  if (error.trouble !== 'refused' || !/^(?:USER|PASS|APOP|AUTH [A-Z0-9-]+)$/.test(error.step)) return false;
  if (error.code !== undefined) return error.code === 'AUTH' || error.code === 'SYS/PERM';
  // Servers without response codes say it in words.
  return !/\b(lock(ed)?|busy|in use|wait|try again|temporar)/i.test(error.message);
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
