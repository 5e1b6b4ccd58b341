// AUTH PLAIN, AUTH LOGIN (RFC 4954) and XOAUTH2. Promises: one try a session, never a weaker one after a refusal; a secret
// never travels in clear over a network, and never into an error.
import type { Channel } from './channel.ts';
import { answered, AnswerError, askFor } from './session.ts';
import type { Login } from './session.ts';
import type { Reply } from './reply.ts';

type Ask = (line: string) => Promise<Reply>;

/** Throws AnswerError when the login is not possible or not accepted. */
export async function logIn(options: {
  readonly channel: Channel;
  readonly capabilities: ReadonlyMap<string, string>;
  readonly login: Login;
  /** TLS, or an address of this machine. */
  readonly confidential: boolean;
  readonly timeoutMs: number;
}): Promise<void> {
  const { channel, login, timeoutMs } = options;
  if (!options.confidential) throw new AnswerError('the connection is not encrypted and leaves this machine; set tls');
  const offer = options.capabilities.get('AUTH');
  if (offer === undefined) throw new AnswerError('the server offers no login (AUTH); check port and tls');
  const reply = await prove(
    (line) => askFor(channel, line, timeoutMs),
    login,
    offer.toUpperCase().split(/\s+/).filter(Boolean),
  );
  if (reply.code === 235) return;
  const safe = { ...reply, text: redact(reply.text, login) };
  throw new AnswerError(answered(safe), safe);
}

async function prove(ask: Ask, login: Login, offered: readonly string[]): Promise<Reply> {
  const { auth = 'auto', user } = login;
  const choice = auth === 'auto' ? [] : [auth.toUpperCase()];
  if ('token' in login) {
    requireOffer(offered, ['XOAUTH2'], choice);
    return askToken(ask, xoauth2Of(user, login.token));
  }
  const method = requireOffer(offered, ['PLAIN', 'LOGIN'], choice);
  return method === 'PLAIN' ? askPlain(ask, plainOf(login)) : askLogin(ask, user, login.password);
}

/** The first that is possible, chosen and offered. */
function requireOffer(
  offered: readonly string[],
  possible: readonly string[],
  choice: readonly string[],
): string | undefined {
  const wanted = choice.length === 0 ? possible : choice;
  const method = possible.find((one) => wanted.includes(one) && offered.includes(one));
  if (method !== undefined) return method;
  throw new AnswerError('the server offers only ' + offered.join(', ') + ' and not ' + wanted.join(' or '));
}

async function askPlain(ask: Ask, response: string): Promise<Reply> {
  const reply = await ask('AUTH PLAIN ' + response);
  return reply.code === 334 ? ask(response) : reply; // a server that ignores the initial response
}

async function askLogin(ask: Ask, user: string, password: string): Promise<Reply> {
  for (const line of ['AUTH LOGIN', base64(user)]) {
    const reply = await ask(line);
    if (reply.code !== 334) return reply;
  }
  return ask(base64(password));
}

/**
 * In two steps: a token is longer than a command line may be (RFC 5321 section 4.5.3.1.4). What is wrong with it comes as
 * one more challenge, JSON in base64, which an empty line answers.
 */
async function askToken(ask: Ask, response: string): Promise<Reply> {
  const first = await ask('AUTH XOAUTH2');
  if (first.code !== 334) return first;
  const second = await ask(response);
  if (second.code !== 334) return second;
  const last = await ask('');
  return { ...last, text: last.text + ' (the token: ' + statusOf(second.text) + ')' };
}

/** `status` of {"status":"401","schemes":"bearer", ...}; short and harmless, for an error. */
function statusOf(challenge: string): string {
  const text = Buffer.from(challenge, 'base64').toString('latin1');
  return /"status"\s*:\s*"([A-Za-z0-9 ._-]{1,60})"/.exec(text)?.[1] ?? 'refused without a reason';
}

function xoauth2Of(user: string, token: string): string {
  return base64('user=' + user + '\u0001auth=Bearer ' + token + '\u0001\u0001');
}

function plainOf(login: { readonly user: string; readonly password: string }): string {
  return base64('\0' + login.user + '\0' + login.password);
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

/** Some servers repeat the line they did not like. */
function redact(text: string, login: Login): string {
  // The longest first: one may be part of another.
  const secrets =
    'token' in login
      ? [xoauth2Of(login.user, login.token), base64(login.token), login.token]
      : [plainOf(login), base64(login.password), login.password];
  return secrets
    .filter((secret) => secret !== '')
    .reduce((safe, secret) => safe.replaceAll(secret, '[redacted]'), text);
}
