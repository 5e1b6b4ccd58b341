// A POP3 server in memory that plays one valid session, with planned mutations of its answers, and writes down what passed.
import { createMemoryLine } from './memory-line.ts';
import { below, kinds, pick } from './mutations.ts';
import type { Kind, Random, Reply } from './mutations.ts';

export type Mail = { readonly id: number; readonly uid: string; readonly bytes: string };
export type Session = {
  readonly line: ReturnType<typeof createMemoryLine>;
  /** Complete command lines, in order. */
  readonly commands: readonly string[];
  /** Everything that was sent, latin1. */
  readonly stream: () => string;
  /** Mutations that took place. */
  readonly applied: readonly Kind[];
  /** By message number minus one; what was there at the login. */
  readonly listed: () => readonly Mail[];
  /** Removed by a QUIT that arrived. */
  readonly deleted: readonly Mail[];
};

type Planned = { readonly verb: string; nth: number; readonly kind: Kind };
const targets = [
  'connect',
  'CAPA',
  'USER',
  'PASS',
  'STAT',
  'STAT',
  'UIDL',
  'UIDL',
  'UIDL',
  'LIST',
  'LIST',
  'RETR',
  'RETR',
  'RETR',
  'RETR',
  'RETR',
  'DELE',
  'DELE',
  'QUIT',
  'QUIT',
  'NOOP',
  'TOP',
] as const;

function plan(random: Random): Planned[] {
  const count = random() < 0.05 ? 0 : random() < 0.7 ? 1 : 2 + below(random, 2);
  return Array.from({ length: count }, () => ({
    verb: pick(random, targets),
    nth: random() < 0.6 ? 0 : below(random, 4),
    kind: pick(random, kinds),
  }));
}

/** Deletes from `mailbox` at QUIT. */
export function openSession(mailbox: Mail[], random: Random): Session {
  const planned = plan(random);
  const capabilities = ['USER', 'UIDL', 'TOP', 'RESP-CODES', ...(random() < 0.7 ? ['PIPELINING'] : [])];
  const knowsCapa = random() < 0.95;
  const cutting = random() < 0.3 ? (random() < 0.1 ? 'bytes' : 'some') : 'whole';
  const commands: string[] = [];
  const applied: Kind[] = [];
  const deleted: Mail[] = [];
  const marked = new Set<Mail>();
  let listed: readonly Mail[] = [];
  let input = '';
  let stream = '';
  let held = '';
  let silent = false;

  function send(bytes: string): void {
    stream += bytes;
    if (cutting === 'whole') return line.send(bytes);
    for (let rest = bytes; rest !== '';) {
      const size = cutting === 'bytes' ? 1 : 1 + below(random, rest.length);
      line.send(rest.slice(0, size));
      rest = rest.slice(size);
    }
  }

  function answer(verb: string, good: string): void {
    if (silent) return;
    let reply: Reply = { verb, text: good };
    for (const one of planned) {
      if (one.verb !== verb) continue;
      one.nth -= 1;
      if (one.nth !== -1) continue;
      reply = one.kind.apply(reply, random);
      applied.push(one.kind);
    }
    if (reply.later === true) {
      held += reply.text;
      return;
    }
    send(held + reply.text);
    held = '';
    if (reply.end === undefined) return;
    silent = true;
    if (reply.end !== 'hang') line.end(reply.end);
  }

  function command(text: string): void {
    commands.push(text);
    const [verb = '', argument = ''] = text.split(' ');
    const one = listed[Number(argument) - 1];
    const live = one !== undefined && !marked.has(one);
    const rows = (show: (mail: Mail) => string | number): string =>
      '+OK\r\n' + listed.map((mail, index) => index + 1 + ' ' + show(mail) + '\r\n').join('') + '.\r\n';
    switch (verb) {
      case 'CAPA':
        return answer(verb, knowsCapa ? ['+OK', ...capabilities, '.', ''].join('\r\n') : '-ERR unknown\r\n');
      case 'PASS':
        listed = [...mailbox];
        return answer(verb, '+OK logged in\r\n');
      case 'STAT':
        return answer(
          verb,
          '+OK ' + listed.length + ' ' + listed.reduce((sum, mail) => sum + mail.bytes.length, 0) + '\r\n',
        );
      case 'UIDL':
        return answer(
          verb,
          rows((mail) => mail.uid),
        );
      case 'LIST':
        return answer(
          verb,
          rows((mail) => mail.bytes.length),
        );
      case 'RETR':
        return answer(
          verb,
          live ? '+OK ' + one.bytes.length + ' octets\r\n' + stuffed(one.bytes) : '-ERR no such message\r\n',
        );
      case 'TOP':
        return answer(
          verb,
          live
            ? '+OK\r\n' + stuffed(one.bytes.slice(0, one.bytes.indexOf('\r\n\r\n') + 4))
            : '-ERR no such message\r\n',
        );
      case 'DELE':
        if (live) marked.add(one);
        return answer(verb, live ? '+OK deleted\r\n' : '-ERR no such message\r\n');
      case 'QUIT':
        if (silent) return undefined;
        for (const mail of marked) {
          const at = mailbox.indexOf(mail);
          if (at >= 0) deleted.push(...mailbox.splice(at, 1));
        }
        return answer(verb, '+OK bye\r\n');
      case 'USER':
      case 'NOOP':
      case 'RSET':
        return answer(verb, '+OK\r\n');
      default:
        return answer(verb, '-ERR unknown command\r\n');
    }
  }

  const line = createMemoryLine((text) => {
    input += text;
    const lines = input.split('\r\n');
    input = lines.pop() ?? '';
    for (const one of lines) command(one);
  });
  answer('connect', '+OK ready\r\n');
  return { line, commands, stream: () => stream, applied, listed: () => listed, deleted };
}

/** RFC 1939 section 3. */
function stuffed(bytes: string): string {
  const body = ('\r\n' + bytes).replaceAll('\r\n.', '\r\n..').slice(2);
  return body + (body === '' || body.endsWith('\r\n') ? '.\r\n' : '\r\n.\r\n');
}
