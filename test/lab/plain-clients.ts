// The simplest clients there are, so that what the lab's servers do with bytes is known without any of our own rooms.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

const timeoutMs = 30_000;

type Talk = {
  /** Sends, and gives the first complete answer line after it (the last one of a multi-line SMTP answer). */
  readonly ask: (line: string | Buffer) => Promise<string>;
  /** The dot-ended data that follows an answer, undoubled. */
  readonly data: () => Promise<Buffer>;
  readonly end: () => void;
};

async function talk(port: number, lastLine: RegExp): Promise<Talk> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  const input = reader(socket);
  await once(socket, 'connect');
  const answer = async (): Promise<string> => {
    for (;;) {
      const line = (await input('\r\n')).toString('latin1');
      if (lastLine.test(line)) return line;
    }
  };
  await answer();
  return {
    ask: async (line) => {
      socket.write(typeof line === 'string' ? line + '\r\n' : line);
      return answer();
    },
    data: async () => {
      const text = '\r\n' + (await input('\r\n.\r\n', '\r\n')).toString('latin1').slice(0, -3);
      return Buffer.from(text.replaceAll('\r\n..', '\r\n.').slice(2), 'latin1');
    },
    end: () => socket.destroy(),
  };
}

/** Reads up to and including `mark`; `before` is what counts as read before the first byte. */
function reader(socket: Socket): (mark: string, before?: string) => Promise<Buffer> {
  const chunks = socket.iterator({ destroyOnReturn: false });
  let pending: Buffer = Buffer.alloc(0);
  return async (mark, before = '') => {
    const parts: Buffer[] = [];
    for (let tail = Buffer.from(before); ;) {
      const window = Buffer.concat([tail, pending]);
      const found = window.indexOf(mark);
      if (found >= 0) {
        const end = found + mark.length - tail.length;
        const rest = pending.subarray(end);
        parts.push(pending.subarray(0, end));
        pending = rest;
        return Buffer.concat(parts);
      }
      parts.push(pending);
      tail = window.subarray(Math.max(0, window.length - mark.length + 1));
      const late = AbortSignal.timeout(timeoutMs);
      const next = await Promise.race([chunks.next(), once(late, 'abort').then(() => undefined)]);
      if (next === undefined || next.done === true) throw new Error('Cannot read on: no ' + JSON.stringify(mark));
      pending = next.value as Buffer; // a socket without encoding gives Buffers
    }
  };
}

/** Also behind a bare LF: dovecot and postfix take that for a line end, would end the mail at the dot, and take it off again. */
function stuffed(bytes: Buffer): Buffer {
  const text = ('\r\n' + bytes.toString('latin1')).replaceAll('\n.', '\n..').slice(2);
  return Buffer.from(text + (text.endsWith('\r\n') ? '' : '\r\n') + '.\r\n', 'latin1');
}

/** One connection, one mail after the other. Gives the answers to the final dots. */
export async function handOver(options: {
  readonly protocol: 'smtp' | 'lmtp';
  readonly port: number;
  readonly from: string;
  readonly to: string;
  readonly mails: readonly Buffer[];
}): Promise<readonly string[]> {
  const server = await talk(options.port, /^\d{3}[ \r]/);
  const answers: string[] = [];
  const must = async (line: string, digit: string): Promise<void> => {
    const answer = await server.ask(line);
    if (!answer.startsWith(digit)) throw new Error('Cannot hand over: ' + line + ' was answered ' + answer);
  };
  try {
    await must((options.protocol === 'lmtp' ? 'LHLO' : 'EHLO') + ' client.test', '2');
    for (const mail of options.mails) {
      await must('MAIL FROM:<' + options.from + '>', '2');
      await must('RCPT TO:<' + options.to + '>', '2');
      await must('DATA', '3');
      answers.push(await server.ask(stuffed(mail)));
    }
    return answers;
  } finally {
    server.end();
  }
}

/** Everything in the mailbox, in order, without deleting. */
export async function retrieveAll(options: {
  readonly port: number;
  readonly user: string;
  readonly password: string;
}): Promise<readonly Buffer[]> {
  const server = await talk(options.port, /^(?:\+OK|-ERR)/);
  const must = async (line: string): Promise<string> => {
    const answer = await server.ask(line);
    if (!answer.startsWith('+OK')) throw new Error('Cannot retrieve: ' + line + ' was answered ' + answer);
    return answer;
  };
  try {
    await must('USER ' + options.user);
    await must('PASS ' + options.password);
    const status = await must('STAT');
    const mails: Buffer[] = [];
    for (let n = 1; n <= Number(status.split(' ')[1]); n += 1) {
      await must('RETR ' + n);
      mails.push(await server.data());
    }
    return mails;
  } finally {
    server.end();
  }
}
