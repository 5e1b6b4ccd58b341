// AUTH PLAIN and AUTH LOGIN (RFC 4954). A password never travels in clear over a network, and never into an error.
import type { Channel } from './channel.ts';
import { answered, AnswerError, askFor } from './session.ts';
import type { Reply } from './reply.ts';

type Login = { readonly user: string; readonly password: string };

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
  const mechanisms = offer.toUpperCase().split(/\s+/);
  const ask = (line: string): Promise<Reply> => askFor(channel, line, timeoutMs);
  let reply: Reply;
  if (mechanisms.includes('PLAIN')) reply = await askPlain(ask, login);
  else if (mechanisms.includes('LOGIN')) reply = await askLogin(ask, login);
  else throw new AnswerError('the server offers only ' + mechanisms.join(', ') + ' and not PLAIN or LOGIN');
  if (reply.code !== 235) {
    const safe = { ...reply, text: redact(reply.text, login) };
    throw new AnswerError(answered(safe), safe);
  }
}

async function askPlain(ask: (line: string) => Promise<Reply>, login: Login): Promise<Reply> {
  const reply = await ask('AUTH PLAIN ' + plainOf(login));
  return reply.code === 334 ? ask(plainOf(login)) : reply; // a server that ignores the initial response
}

async function askLogin(ask: (line: string) => Promise<Reply>, login: Login): Promise<Reply> {
  for (const line of ['AUTH LOGIN', base64(login.user)]) {
    const reply = await ask(line);
    if (reply.code !== 334) return reply;
  }
  return ask(base64(login.password));
}

function plainOf(login: Login): string {
  return base64('\0' + login.user + '\0' + login.password);
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

/** Some servers repeat the line they did not like. */
function redact(text: string, login: Login): string {
  // The longest first: one may be part of another.
  const secrets = [plainOf(login), base64(login.password), login.password].filter((secret) => secret !== '');
  return secrets.reduce((safe, secret) => safe.replaceAll(secret, '[redacted]'), text);
}
