// A socket whose other end is a function in the same process: no network, no waiting.
import { Socket } from 'node:net';

export type MemoryLine = {
  readonly socket: Socket;
  /** latin1; arrives at once, as a packet of its own. */
  readonly send: (text: string) => void;
  readonly end: (how: 'close' | 'reset') => void;
};

export function createMemoryLine(onText: (text: string) => void): MemoryLine {
  const socket = new Socket();
  let over = false;
  socket._read = () => {};
  socket._write = (chunk: string | Uint8Array, _encoding, done) => {
    onText(textOf(chunk));
    done();
  };
  // What was written while corked comes as one packet.
  socket._writev = (chunks, done) => {
    onText(chunks.map(({ chunk }: { readonly chunk: string | Uint8Array }) => textOf(chunk)).join(''));
    done();
  };
  return {
    socket,
    send(text) {
      if (!over && !socket.destroyed && text !== '') socket.push(Buffer.from(text, 'latin1'));
    },
    end(how) {
      if (over || socket.destroyed) return;
      over = true;
      if (how === 'close') socket.push(null);
      else socket.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    },
  };
}

const textOf = (chunk: string | Uint8Array): string =>
  typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString('latin1');
