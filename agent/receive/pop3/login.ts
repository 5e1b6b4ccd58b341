// The login of a POP3 session: USER/PASS and APOP (RFC 1939), AUTH PLAIN and LOGIN (RFC 5034), XOAUTH2.
// Promises: one try a session, never a weaker one after a refusal; a token goes out under TLS or inside this machine only, a
// password in clear only when the configuration says `tls: none`; no secret in an error.
import { createHash } from 'node:crypto';
import { isLoopback } from '#shared/net.ts';
import type { AuthChoice, AuthMethod } from '../../accounts/auth-choice.ts';
import type { LoginSecret } from '../../accounts/secret.ts';
import type { Endpoint } from '../../net/socket.ts';
import { Pop3Error } from './pop3-error.ts';
import type { Session } from './session.ts';

export type Login = {
  readonly endpoint: Endpoint;
  /** The line is encrypted. */
  readonly secure: boolean;
  readonly user: string;
  readonly secret: LoginSecret;
  readonly auth: AuthChoice;
  /** Empty when the server knows no CAPA. */
  readonly capabilities: ReadonlyMap<string, string>;
  readonly greeting: string;
};

/** RFC 5034 section 4: a longer command line must not carry an initial response. */
const maxCommandBytes = 255;

/** Throws Pop3Error: `refused` by the server, or `no-login` when nothing that is allowed fits. */
export async function logIn(session: Session, login: Login): Promise<void> {
  const { user, secret, endpoint } = login;
  const method = chooseMethod(login);
  // The wire and the configuration say the same; a password is worth asking twice.
  if (endpoint.tls !== 'none' && !login.secure) throw noLogin(login, 'the line is not encrypted', 'TLS');
  if (secret.kind === 'token') {
    if (method !== 'xoauth2') throw noLogin(login, 'auth is ' + method + ' and there is only a token', 'auth: xoauth2');
    if (!login.secure && !isLoopback(endpoint.host))
      throw noLogin(login, 'the line is not encrypted', 'tls: implicit or starttls for a token');
    return askXoauth2(session, xoauth2Of(user, secret.token));
  }
  const { password } = secret;
  switch (method) {
    case 'user-pass':
      await session.run('USER', user);
      await session.run('PASS', password);
      return undefined;
    case 'apop': {
      const timestamp = timestampOf(login.greeting);
      if (timestamp === undefined)
        throw noLogin(login, 'the server offers no APOP (its greeting has no timestamp)', 'one, or auth: auto');
      await session.run('APOP', user + ' ' + apopDigest(timestamp, password));
      return undefined;
    }
    case 'plain':
      return askPlain(session, plainOf(user, password), login.capabilities.has('SASL'));
    case 'login':
      await session.authenticate('AUTH LOGIN', undefined, (_, n) => base64(n === 0 ? user : password));
      return undefined;
    case 'xoauth2':
      throw noLogin(login, 'auth is xoauth2 and there is only a password', 'oauth, or another auth');
  }
}

/**
 * Under TLS every login with a password is as good as the other, and USER/PASS is what every server knows. In clear APOP
 * hides the password. It is not taken under TLS: servers send the timestamp also for mailboxes whose password they hold
 * only hashed, and a refused try counts.
 */
export function chooseMethod(login: Omit<Login, 'endpoint' | 'user'>): AuthMethod {
  const { auth, secret, secure, capabilities } = login;
  if (auth !== 'auto') return auth;
  if (secret.kind === 'token') return 'xoauth2';
  const apop = timestampOf(login.greeting) !== undefined;
  if (!secure && apop) return 'apop';
  if (capabilities.size === 0 || capabilities.has('USER')) return 'user-pass';
  const mechanisms = (capabilities.get('SASL') ?? '').toUpperCase().split(/\s+/);
  if (mechanisms.includes('PLAIN')) return 'plain';
  if (mechanisms.includes('LOGIN')) return 'login';
  return apop ? 'apop' : 'user-pass'; // many servers do not list USER (RFC 2449 section 6.2)
}

/** What a server must not be quoted with. */
export function secretsOf(user: string, secret: LoginSecret): readonly string[] {
  if (secret.kind === 'token') return [secret.token, xoauth2Of(user, secret.token), base64(secret.token)];
  return [secret.password, plainOf(user, secret.password), base64(secret.password)];
}

/** RFC 1939 section 7: a message id in the greeting; printable, or somebody on the way made it up (RFC 1939 errata, APOP attacks). */
export function timestampOf(greeting: string): string | undefined {
  return /<[!-;=?A-~]*@[!-;=?A-~]*>/.exec(greeting)?.[0];
}

export function apopDigest(timestamp: string, password: string): string {
  return createHash('md5').update(timestamp, 'latin1').update(password, 'utf8').digest('hex');
}

/** CAPA SASL says that the server takes an initial response (RFC 2449 section 6.3); without it the older two steps. */
async function askPlain(session: Session, response: string, initial: boolean): Promise<void> {
  const fits = 'AUTH PLAIN '.length + response.length + 2 <= maxCommandBytes;
  await session.authenticate('AUTH PLAIN', initial && fits ? response : undefined, () => response);
}

/**
 * Two steps always: Microsoft 365 refuses a token on the line of the command. What is wrong with a token comes as one more
 * challenge, JSON in base64, which an empty line answers.
 */
async function askXoauth2(session: Session, response: string): Promise<void> {
  let status = '';
  try {
    await session.authenticate('AUTH XOAUTH2', undefined, (challenge, n) => {
      if (n === 0) return response;
      status = statusOf(challenge);
      return '';
    });
  } catch (error) {
    if (status === '' || !(error instanceof Pop3Error) || error.trouble !== 'refused') throw error;
    const { trouble, step, code, cause } = error;
    throw new Pop3Error(error.message + ' (the token: ' + status + ')', { trouble, step, code, cause });
  }
}

/** `status` of {"status":"401","schemes":"bearer", ...}; short and harmless, for an error. */
function statusOf(challenge: string): string {
  const text = Buffer.from(challenge, 'base64').toString('latin1');
  return /"status"\s*:\s*"([A-Za-z0-9 ._-]{1,60})"/.exec(text)?.[1] ?? 'refused without a reason';
}

function xoauth2Of(user: string, token: string): string {
  return base64('user=' + user + '\u0001auth=Bearer ' + token + '\u0001\u0001');
}

function plainOf(user: string, password: string): string {
  return base64('\0' + user + '\0' + password);
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function noLogin(login: Login, state: string, expected: string): Pop3Error {
  const place = login.endpoint.host + ':' + login.endpoint.port;
  const message = 'Cannot log in at ' + place + ': ' + state + ', expected ' + expected;
  return new Pop3Error(message, { trouble: 'no-login', step: 'login' });
}
