// Asks clamd by INSTREAM (clamd(8)): the mail travels in pieces with their length in front, and one line comes back.
import { setImmediate } from 'node:timers/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { failureOf } from './check.ts';
import type { CheckMail, Finding, Scanner } from './check.ts';
import { startDeadline } from './check-deadline.ts';

export type ClamdOptions = {
  readonly place: { readonly host: string; readonly port: number } | { readonly path: string };
  /** Without progress for so long it has failed. */
  readonly timeoutMs: number;
  readonly onFailure: 'deliver' | 'wait';
  readonly found: 'quarantine' | 'deliver';
  readonly maxBytes: number;
};

const maxPieceBytes = 256 * 1_024;
const maxReplyBytes = 4_096;

export function createClamd(options: ClamdOptions): Scanner {
  const { place, onFailure, maxBytes } = options;
  const where = 'clamd at ' + ('path' in place ? place.path : place.host + ':' + place.port);
  return {
    name: 'clamd',
    onFailure,
    maxBytes,
    async scan(mail) {
      let connected = false;
      try {
        return findingOf(await ask(options, mail, () => (connected = true)), where, options.found);
      } catch (error) {
        return failureOf(where, error, connected);
      }
    },
  };
}

function findingOf(reply: string, where: string, found: ClamdOptions['found']): Finding {
  const [, name] = /^stream: ([^]+) FOUND$/.exec(reply) ?? [];
  if (name !== undefined && found === 'quarantine') return { kind: 'quarantine', reason: 'clamd found ' + name };
  if (name !== undefined) return { kind: 'pass', word: 'found ' + name, lines: ['X-Virus-Found: ' + name] };
  if (reply === 'stream: OK') return { kind: 'pass', word: 'clean', lines: [] };
  const remedy = /size limit exceeded/i.test(reply)
    ? '; raise StreamMaxLength at clamd, or lower check.clamd.maxBytes'
    : '';
  const state = 'it said ' + JSON.stringify(reply.slice(0, 200));
  return { kind: 'failure', away: false, text: 'Cannot ask ' + where + ': ' + state + ', expected a verdict' + remedy };
}

async function ask(options: ClamdOptions, mail: CheckMail, onConnect: () => void): Promise<string> {
  const socket = connect({ ...options.place, noDelay: true });
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const deadline = startDeadline({ timeoutMs: options.timeoutMs, signal: mail.signal, fail: reject });
  const reply = readReply(socket);
  socket.once('connect', () => {
    deadline.progress();
    onConnect();
  });
  // clamd may answer and close in the middle of the mail (size limit): then its line counts, not the broken pipe.
  const sent = send(socket, mail, deadline.progress).then(() => reply);
  try {
    return await Promise.race([failed, reply, sent]);
  } finally {
    deadline.end();
    socket.destroy();
    await Promise.allSettled([reply, sent]);
  }
}

/** The line, or why there is none. */
function readReply(socket: Socket): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = '';
  let problem: Error | undefined;
  const finish = (): void => {
    const end = text.search(/[\0\n]/);
    if (end >= 0) resolve(text.slice(0, end).trim());
    else reject(problem ?? new Error('it closed the connection without an answer'));
  };
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
    if (/[\0\n]/.test(text) || text.length > maxReplyBytes) finish();
  });
  socket.on('error', (error) => (problem = error));
  socket.on('close', finish);
  return promise;
}

/** Ends early when clamd has answered: whoever reads has its line. */
async function send(socket: Socket, mail: CheckMail, progress: () => void): Promise<void> {
  await write(socket, Buffer.from('zINSTREAM\0'), progress);
  for await (const chunk of mail.body.open()) {
    const bytes = Buffer.from(chunk);
    for (let at = 0; at < bytes.length; at += maxPieceBytes) {
      const piece = bytes.subarray(at, at + maxPieceBytes);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(piece.length);
      // A turn of the event loop first: an answer that has come is read before the pipe is found broken, which would lose it.
      await setImmediate();
      if (socket.destroyed || socket.bytesRead > 0) return;
      await write(socket, Buffer.concat([length, piece]), progress);
    }
  }
  await write(socket, Buffer.alloc(4), progress); // a piece of length 0 ends the mail
}

/** Resolves when the bytes are on their way, or never will be; the reader of the reply tells which. */
function write(socket: Socket, bytes: Buffer, progress: () => void): Promise<void> {
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    socket.once('close', resolve);
    socket.write(bytes, () => {
      socket.off('close', resolve);
      progress();
      resolve();
    });
  });
}
