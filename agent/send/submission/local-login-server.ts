// Asks a mail server whether a password is right, by logging in and out again. Promise: bounded in time and bytes; the
// password goes nowhere else and into no error text; what is not a clear yes or no is trouble.
import type { Socket } from 'node:net';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { openSocket, upgradeSocket } from '../../net/socket.ts';
import type { Endpoint } from '../../net/socket.ts';
import { ConversationError, openConversation } from '../../smtp/conversation.ts';

export type ServerAnswer =
  | { readonly verdict: 'right' | 'wrong' }
  | { readonly verdict: 'trouble'; readonly problem: string };

export async function askServer(options: {
  readonly protocol: 'imap' | 'pop3' | 'smtp';
  readonly endpoint: Endpoint;
  /** Without control characters. */
  readonly login: { readonly user: string; readonly password: string };
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly log: Log;
}): Promise<ServerAnswer> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), options.timeoutMs);
  try {
    const { protocol } = options;
    const answer = await (protocol === 'smtp'
      ? askSmtp(options, stop.signal)
      : askLines(options, protocol, stop.signal));
    return answer.verdict === 'trouble' ? { ...answer, problem: redact(answer.problem, options.login) } : answer;
  } catch (error) {
    return { verdict: 'trouble', problem: redact(describe(error), options.login) };
  } finally {
    clearTimeout(timer);
  }
}

type Question = Parameters<typeof askServer>[0];

/** Some servers repeat the line they did not like. */
function redact(text: string, { user, password }: Question['login']): string {
  const secrets = [Buffer.from('\0' + user + '\0' + password).toString('base64'), password];
  return secrets.reduce((safe, secret) => safe.replaceAll(secret, '[redacted]'), text);
}

async function askSmtp(options: Question, signal: AbortSignal): Promise<ServerAnswer> {
  const { endpoint, login, clock, log } = options;
  try {
    const conversation = await openConversation({
      endpoint,
      protocol: 'smtp',
      name: 'localhost',
      signal,
      clock,
      log,
      login,
    });
    await conversation.quit();
    return { verdict: 'right' };
  } catch (error) {
    if (error instanceof ConversationError && error.phase === 'auth' && error.reply?.code === 535)
      return { verdict: 'wrong' };
    throw error;
  }
}

const maxLineBytes = 8_192;

type Lines = { readonly say: (text: string) => void; readonly line: () => Promise<string> };

async function askLines(options: Question, protocol: 'imap' | 'pop3', signal: AbortSignal): Promise<ServerAnswer> {
  const { endpoint, timeoutMs } = options;
  const deadline = { timeoutMs, signal };
  let socket = await openSocket(endpoint, deadline);
  try {
    const talk = protocol === 'imap' ? imap : pop3;
    let lines = createLines(socket, signal);
    await talk.greeting(lines);
    if (endpoint.tls === 'starttls') {
      await talk.startTls(lines);
      socket.removeAllListeners('data'); // said in clear behind the answer: dropped
      socket = await upgradeSocket(socket, endpoint, deadline);
      lines = createLines(socket, signal);
    }
    return await talk.logIn(lines, options.login);
  } finally {
    socket.destroy();
  }
}

const imap = {
  async greeting({ line }: Lines): Promise<void> {
    const text = await line();
    if (!/^\* OK\b/i.test(text)) throw new Error('Cannot log in: the server greets with something else than OK');
  },
  async startTls({ say, line }: Lines): Promise<void> {
    say('a STARTTLS');
    if (!/^a OK\b/i.test(await tagged(line, 'a'))) throw new Error('Cannot log in: the server refuses STARTTLS');
  },
  async logIn({ say, line }: Lines, { user, password }: Question['login']): Promise<ServerAnswer> {
    say('b AUTHENTICATE PLAIN');
    const go = await tagged(line, 'b');
    if (!go.startsWith('+')) throw new Error('Cannot log in: the server refuses AUTHENTICATE PLAIN');
    say(Buffer.from('\0' + user + '\0' + password).toString('base64'));
    const answer = await tagged(line, 'b');
    if (/^b OK\b/i.test(answer)) {
      say('c LOGOUT');
      return { verdict: 'right' };
    }
    // RFC 5530: a server that cannot look the password up says so; without a code it is a refusal.
    const clear = /^b NO\b/i.test(answer) && !/\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG|CONTACTADMIN)\]/i.test(answer);
    return clear
      ? { verdict: 'wrong' }
      : { verdict: 'trouble', problem: 'the server answered ' + answer.slice(0, 200) };
  },
} as const;

const pop3 = {
  async greeting({ line }: Lines): Promise<void> {
    if (!/^\+OK\b/.test(await line())) throw new Error('Cannot log in: the server greets with something else than +OK');
  },
  async startTls({ say, line }: Lines): Promise<void> {
    say('STLS');
    if (!/^\+OK\b/.test(await line())) throw new Error('Cannot log in: the server refuses STLS');
  },
  async logIn({ say, line }: Lines, { user, password }: Question['login']): Promise<ServerAnswer> {
    say('USER ' + user);
    let answer = await line();
    if (/^\+OK\b/.test(answer)) {
      say('PASS ' + password);
      answer = await line();
    }
    if (/^\+OK\b/.test(answer)) {
      say('QUIT');
      return { verdict: 'right' };
    }
    // RFC 3206 and RFC 2449: trouble of the server, or the right password for a mailbox that is in use.
    const clear = /^-ERR\b/.test(answer) && !/\[(?:SYS\/|IN-USE|LOGIN-DELAY)/i.test(answer);
    return clear
      ? { verdict: 'wrong' }
      : { verdict: 'trouble', problem: 'the server answered ' + answer.slice(0, 200) };
  },
} as const;

/** Untagged lines may come before the answer; a bounded number of them. */
async function tagged(line: () => Promise<string>, tag: string): Promise<string> {
  for (let n = 0; n < 100; n += 1) {
    const text = await line();
    if (text.startsWith(tag + ' ') || text.startsWith('+')) return text;
  }
  throw new Error('Cannot log in: the server says a hundred lines but no answer');
}

function createLines(socket: Socket, signal: AbortSignal): Lines {
  let text = '';
  let failure: Error | undefined;
  let wake = (): void => {};
  const fail = (why: string): void => {
    failure ??= new Error('Cannot log in: ' + why);
    wake();
  };
  socket
    .on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
      if (text.length > maxLineBytes) fail('the server sends more than a line');
      wake();
    })
    .on('error', (error: Error) => fail(describe(error)))
    .on('close', () => fail('the server closed the connection'));
  signal.addEventListener('abort', () => fail('no answer in time'), { once: true });
  if (signal.aborted) fail('no answer in time');
  return {
    say: (line) => void socket.write(line + '\r\n'),
    async line() {
      for (;;) {
        const end = text.indexOf('\r\n');
        if (end >= 0) {
          const line = text.slice(0, end);
          text = text.slice(end + 2);
          return line;
        }
        if (failure !== undefined) throw failure;
        await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}
