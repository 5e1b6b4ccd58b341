// A small POP3 server for the demonstration: mailboxes in memory, RFC 1939 with UIDL and CAPA. Not a product.
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

export type Mailbox = { readonly password: string; mails: { readonly uid: string; readonly bytes: Buffer }[] };

type Session = { user: string; mailbox: Mailbox | undefined; mails: Mailbox['mails']; readonly deleted: Set<string> };

export function createPop3Server(options: { readonly mailboxes: ReadonlyMap<string, Mailbox> }): {
  readonly listen: () => Promise<number>;
  readonly close: () => Promise<void>;
} {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    serve(socket, options.mailboxes);
  });
  return {
    listen: () =>
      new Promise((resolve, reject) => {
        server.once('error', reject).listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)); // a TCP server
      }),
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}

function serve(socket: Socket, mailboxes: ReadonlyMap<string, Mailbox>): void {
  const session: Session = { user: '', mailbox: undefined, mails: [], deleted: new Set() };
  let pending = '';
  socket.write('+OK mailferry demonstration provider\r\n');
  socket.on('data', (chunk) => {
    pending += chunk.toString('latin1');
    if (pending.length > 4_096) socket.destroy();
    for (let end = pending.indexOf('\r\n'); end >= 0; end = pending.indexOf('\r\n')) {
      const line = pending.slice(0, end);
      pending = pending.slice(end + 2);
      const [word = '', ...rest] = line.split(' ');
      const answer = reply(session, mailboxes, word.toUpperCase(), rest.join(' '));
      socket.write(answer);
      if (word.toUpperCase() === 'QUIT') socket.end();
    }
  });
}

function reply(
  session: Session,
  mailboxes: ReadonlyMap<string, Mailbox>,
  command: string,
  argument: string,
): string | Buffer {
  switch (command) {
    case 'CAPA':
      return '+OK\r\nUSER\r\nUIDL\r\nTOP\r\nPIPELINING\r\n.\r\n';
    case 'USER':
      session.user = argument;
      return '+OK\r\n';
    case 'PASS':
      return login(session, mailboxes, argument);
    case 'QUIT':
      if (session.mailbox !== undefined) {
        session.mailbox.mails = session.mailbox.mails.filter((mail) => !session.deleted.has(mail.uid));
      }
      return '+OK bye\r\n';
    default:
      return session.mailbox === undefined ? '-ERR log in first\r\n' : transact(session, command, argument);
  }
}

function login(session: Session, mailboxes: ReadonlyMap<string, Mailbox>, password: string): string {
  const mailbox = mailboxes.get(session.user);
  if (mailbox?.password !== password) return '-ERR [AUTH] wrong user or password\r\n';
  session.mailbox = mailbox;
  session.mails = [...mailbox.mails];
  return '+OK\r\n';
}

function transact(session: Session, command: string, argument: string): string | Buffer {
  const live = session.mails
    .map((mail, index) => ({ mail, number: index + 1 }))
    .filter(({ mail }) => !session.deleted.has(mail.uid));
  const one = live.find(({ number }) => number === Number(argument));
  const list = (show: (entry: (typeof live)[number]) => string | number): string =>
    '+OK\r\n' + live.map((entry) => entry.number + ' ' + show(entry) + '\r\n').join('') + '.\r\n';
  switch (command) {
    case 'STAT':
      return '+OK ' + live.length + ' ' + live.reduce((sum, { mail }) => sum + mail.bytes.length, 0) + '\r\n';
    case 'LIST':
      return list(({ mail }) => mail.bytes.length);
    case 'UIDL':
      return list(({ mail }) => mail.uid);
    case 'NOOP':
      return '+OK\r\n';
    case 'RETR':
      return one === undefined
        ? '-ERR no such message\r\n'
        : Buffer.concat([Buffer.from('+OK\r\n'), stuffed(one.mail.bytes), Buffer.from('.\r\n')]);
    case 'TOP':
      return one === undefined
        ? '-ERR no such message\r\n'
        : Buffer.concat([Buffer.from('+OK\r\n'), stuffed(headerOf(one.mail.bytes)), Buffer.from('.\r\n')]);
    case 'DELE':
      if (one === undefined) return '-ERR no such message\r\n';
      session.deleted.add(one.mail.uid);
      return '+OK\r\n';
    default:
      return '-ERR unknown command\r\n';
  }
}

/** RFC 1939 section 3: a line that starts with a dot gets another one in front. */
function stuffed(bytes: Buffer): Buffer {
  const text = bytes.toString('latin1').replaceAll(/^\./gm, '..');
  return Buffer.from(text.endsWith('\r\n') ? text : text + '\r\n', 'latin1');
}

function headerOf(bytes: Buffer): Buffer {
  const end = bytes.indexOf('\r\n\r\n');
  return end < 0 ? bytes : bytes.subarray(0, end + 4);
}
