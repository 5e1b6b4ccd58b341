// A POP3 server (RFC 1939, 2449, 2595) whose good behaviour can be replaced step by step by what real ones do wrong.
import { startLineServer } from './line-server.ts';
import type { Action, Connection, LineServer } from './line-server.ts';

export type ScriptedMail = { uid: string; bytes: Buffer };
export type Pop3Step = {
  /** `connect` before the greeting, else the command in upper case. */
  readonly verb: string;
  /** What stands after the command; '' when nothing does. */
  readonly argument: string;
  readonly connection: number;
  readonly secure: boolean;
  /** How often this verb was seen before, over all connections. */
  readonly before: number;
  /** What a good server would say. For RETR and TOP: status line, stuffed bytes, end line. */
  readonly good: Buffer;
};

export type ScriptedPop3 = LineServer & {
  /** May be changed while it runs; a session sees what was there when it logged in. */
  readonly mails: ScriptedMail[];
  /** `VERB argument` of every command, in order, over all connections; the argument of PASS and AUTH is left out. */
  readonly commands: readonly string[];
  /** UIDs of mails that a session ended by QUIT has deleted. */
  readonly deleted: readonly string[];
};

export type ScriptedPop3Options = {
  readonly mails?: readonly ScriptedMail[];
  readonly user?: string;
  readonly password?: string;
  /** Offers STLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Lines of the CAPA answer. */
  readonly capabilities?: readonly string[];
  /** Undefined: behave well. */
  readonly script?: (step: Pop3Step) => Action | undefined;
};

type Session = { mails: readonly ScriptedMail[]; readonly marked: Set<ScriptedMail>; user: string; open: boolean };

export async function startScriptedPop3(options: ScriptedPop3Options): Promise<ScriptedPop3> {
  const mails = [...(options.mails ?? [])];
  const commands: string[] = [];
  const deleted: string[] = [];
  const seen = new Map<string, number>();

  async function step(connection: Connection, verb: string, argument: string, good: Buffer): Promise<boolean> {
    const before = seen.get(verb) ?? 0;
    seen.set(verb, before + 1);
    const facts = { verb, argument, connection: connection.serial, secure: connection.secure(), before, good };
    return connection.act(options.script?.(facts) ?? good);
  }

  async function serve(connection: Connection): Promise<void> {
    const session: Session = { mails: [], marked: new Set(), user: '', open: false };
    if (!(await step(connection, 'connect', '', Buffer.from('+OK scripted POP3\r\n')))) return;
    for (let line = await connection.line(); line !== undefined; line = await connection.line()) {
      const [word = '', ...rest] = line.split(' ');
      const verb = word.toUpperCase();
      const argument = rest.join(' ');
      const secret = verb === 'PASS' || verb === 'AUTH';
      commands.push(secret || argument === '' ? verb : verb + ' ' + argument);
      const good = answer({ options, session, verb, argument, mails, secure: connection.secure() });
      if (!(await step(connection, verb, argument, good))) return;
      if (verb === 'STLS' && options.tls !== undefined && !connection.secure()) await connection.startTls(options.tls);
      if (verb !== 'QUIT') continue;
      for (const mail of session.marked) {
        deleted.push(mail.uid);
        mails.splice(mails.indexOf(mail), 1);
      }
      return;
    }
  }

  const server = await startLineServer({ serve });
  return { ...server, mails, commands, deleted };
}

type Request = {
  readonly options: ScriptedPop3Options;
  readonly session: Session;
  readonly verb: string;
  readonly argument: string;
  readonly mails: readonly ScriptedMail[];
  readonly secure: boolean;
};

function answer(request: Request): Buffer {
  const { options, session, verb, argument } = request;
  switch (verb) {
    case 'CAPA': {
      const stls = options.tls !== undefined && !request.secure ? ['STLS'] : [];
      const capabilities = options.capabilities ?? ['USER', 'UIDL', 'TOP', 'RESP-CODES', 'PIPELINING'];
      return lines('+OK', [...capabilities, ...stls]);
    }
    case 'STLS':
      return Buffer.from(options.tls === undefined ? '-ERR no TLS here\r\n' : '+OK begin TLS\r\n');
    case 'USER':
      session.user = argument;
      return Buffer.from('+OK\r\n');
    case 'PASS':
      session.open = session.user === (options.user ?? session.user) && argument === (options.password ?? argument);
      session.mails = [...request.mails];
      return Buffer.from(session.open ? '+OK\r\n' : '-ERR [AUTH] wrong user or password\r\n');
    case 'QUIT':
      return Buffer.from('+OK bye\r\n');
    default:
      return session.open ? transact(session, verb, argument) : Buffer.from('-ERR log in first\r\n');
  }
}

function transact(session: Session, verb: string, argument: string): Buffer {
  const all = session.mails.map((mail, index) => ({ mail, number: index + 1 }));
  const live = all.filter(({ mail }) => !session.marked.has(mail));
  const one = live.find(({ number }) => number === Number(argument.split(' ')[0]));
  const missing = Buffer.from('-ERR no such message\r\n');
  const list = (show: (mail: ScriptedMail) => string): Buffer => {
    if (argument === '')
      return lines(
        '+OK',
        live.map(({ mail, number }) => number + ' ' + show(mail)),
      );
    return one === undefined ? missing : Buffer.from('+OK ' + one.number + ' ' + show(one.mail) + '\r\n');
  };
  switch (verb) {
    case 'STAT': {
      const size = live.reduce((sum, { mail }) => sum + mail.bytes.length, 0);
      return Buffer.from('+OK ' + live.length + ' ' + size + '\r\n');
    }
    case 'LIST':
      return list((mail) => String(mail.bytes.length));
    case 'UIDL':
      return list((mail) => mail.uid);
    case 'RETR':
      return one === undefined ? missing : multiline(one.mail.bytes);
    case 'TOP':
      return one === undefined ? missing : multiline(top(one.mail.bytes, Number(argument.split(' ')[1] ?? 0)));
    case 'DELE':
      if (one === undefined) return missing;
      session.marked.add(one.mail);
      return Buffer.from('+OK\r\n');
    case 'RSET':
      session.marked.clear();
      return Buffer.from('+OK\r\n');
    case 'NOOP':
      return Buffer.from('+OK\r\n');
    default:
      return Buffer.from('-ERR unknown command\r\n');
  }
}

function lines(status: string, rest: readonly string[]): Buffer {
  return Buffer.from([status, ...rest, '.', ''].join('\r\n'), 'latin1');
}

/** Status line, the bytes with their leading dots doubled, the end line (RFC 1939 section 3). Only CRLF ends a line. */
export function multiline(bytes: Buffer): Buffer {
  const text = ('\r\n' + bytes.toString('latin1')).replaceAll('\r\n.', '\r\n..').slice(2);
  const end = text === '' || text.endsWith('\r\n') ? '.\r\n' : '\r\n.\r\n';
  return Buffer.from('+OK\r\n' + text + end, 'latin1');
}

function top(bytes: Buffer, count: number): Buffer {
  const headerEnd = bytes.indexOf('\r\n\r\n');
  if (headerEnd < 0) return bytes;
  let end = headerEnd + 4;
  for (let n = 0; n < count; n += 1) {
    const next = bytes.indexOf('\r\n', end);
    if (next < 0) return bytes;
    end = next + 2;
  }
  return bytes.subarray(0, end);
}
