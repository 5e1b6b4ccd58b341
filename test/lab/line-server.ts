// A TCP server that talks in lines and can be told to misbehave: what scripted POP3 and SMTP have in common.
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';

/**
 * What a script says to one step: one piece or several. Text and bytes are sent as they are (text must bring its CRLF), each
 * as a packet of its own. `end` is the last piece: `close` ends the connection in order, `reset` as a crash does, `hang`
 * says nothing more (later lines are read and lost).
 */
export type Piece = string | Uint8Array | { readonly pauseMs: number } | { readonly end: 'close' | 'reset' | 'hang' };
export type Action = Piece | readonly Piece[];

/** The pieces that are sent, without pauses and ends. */
export function sentBytes(action: Action): Buffer {
  const pieces = piecesOf(action).flatMap((piece) => (isSent(piece) ? [toBytes(piece)] : []));
  return Buffer.concat(pieces);
}

function piecesOf(action: Action): readonly Piece[] {
  return typeof action === 'string' || action instanceof Uint8Array || !isList(action) ? [action] : action;
}

function isList(action: Action): action is readonly Piece[] {
  return Array.isArray(action);
}

function isSent(piece: Piece): piece is string | Uint8Array {
  return typeof piece === 'string' || piece instanceof Uint8Array;
}

function toBytes(piece: string | Uint8Array): Uint8Array {
  return typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece;
}

export type Connection = {
  /** 1 for the first connection to the server. */
  readonly serial: number;
  /** Performs an action; false when the connection takes part no longer. */
  readonly act: (action: Action) => Promise<boolean>;
  /** The next line without its CRLF (or LF), undefined at the end. latin1: a character a byte. */
  readonly line: () => Promise<string | undefined>;
  /** Bytes up to and including the end-of-data line, still dot-stuffed, undefined at the end. */
  readonly data: () => Promise<Buffer | undefined>;
  readonly bytes: (count: number) => Promise<Buffer | undefined>;
  readonly startTls: (tls: { readonly key: string; readonly cert: string }) => Promise<void>;
  readonly secure: () => boolean;
};

export type LineServer = {
  readonly host: string;
  readonly port: number;
  readonly opened: () => number;
  readonly open: () => number;
  /** Resets every connection. */
  readonly cut: () => void;
  readonly close: () => Promise<void>;
};

const maxPendingBytes = 128 * 1024 * 1024;

export async function startLineServer(options: {
  readonly port?: number;
  readonly serve: (connection: Connection) => Promise<void>;
}): Promise<LineServer> {
  const sockets = new Set<Socket>();
  let opened = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    opened += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    void options
      .serve(createConnection(socket, opened))
      .catch(() => {}) // the client went away in the middle of a step
      .finally(() => socket.destroySoon());
  });
  await once(server.listen(options.port ?? 0, '127.0.0.1'), 'listening');
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port, // a TCP server
    opened: () => opened,
    open: () => sockets.size,
    cut,
    close: async () => {
      if (!server.listening) return;
      const closed = once(server.close(), 'close');
      cut();
      await closed;
    },
  };
}

function createConnection(plain: Socket, serial: number): Connection {
  let socket = plain;
  let pending: Buffer = Buffer.alloc(0);
  let input = socket.iterator({ destroyOnReturn: false });

  /** Adds what comes next to `pending`; false at the end. */
  async function more(): Promise<boolean> {
    const next = await input.next();
    if (next.done === true) return false;
    pending = Buffer.concat([pending, next.value as Buffer]); // a socket without encoding gives Buffers
    return pending.length <= maxPendingBytes;
  }
  function take(count: number): Buffer {
    const taken = pending.subarray(0, count);
    pending = pending.subarray(count);
    return taken;
  }
  async function send(bytes: Uint8Array): Promise<void> {
    if (!socket.destroyed && !socket.write(bytes)) await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
  }
  async function end(how: 'close' | 'reset' | 'hang'): Promise<false> {
    if (how === 'close') socket.end();
    else if (how === 'reset') plain.resetAndDestroy();
    else while (await more()) pending = Buffer.alloc(0);
    return false;
  }

  async function act(action: Action): Promise<boolean> {
    const pieces = piecesOf(action);
    for (const piece of pieces) {
      if (isSent(piece)) {
        await send(toBytes(piece));
        if (pieces.length > 1) await sleep(2); // else the kernel would join the pieces again
      } else if ('pauseMs' in piece) await sleep(piece.pauseMs);
      else return end(piece.end);
    }
    return !socket.destroyed;
  }

  return {
    serial,
    act,
    line: async () => {
      let end = pending.indexOf(10);
      while (end < 0) {
        if (!(await more())) return undefined;
        end = pending.indexOf(10);
      }
      return take(end + 1)
        .toString('latin1')
        .replace(/\r?\n$/, '');
    },
    data: async () => {
      const parts: Buffer[] = [];
      // As if a line had just ended: the first line may be the last one.
      for (let tail = Buffer.from('\r\n'); ;) {
        const chunk = take(pending.length);
        const window = Buffer.concat([tail, chunk]);
        const found = window.indexOf('\r\n.\r\n');
        if (found >= 0) {
          const end = found + 5 - tail.length;
          pending = chunk.subarray(end);
          return Buffer.concat([...parts, chunk.subarray(0, end)]);
        }
        parts.push(chunk);
        tail = window.subarray(-4);
        if (!(await more())) return undefined;
      }
    },
    bytes: async (count) => {
      while (pending.length < count) if (!(await more())) return undefined;
      return take(count);
    },
    startTls: async (tls) => {
      // The iterator would eat the handshake; a new one reads the clear text.
      await input.return?.();
      const secure = new TLSSocket(plain, { isServer: true, ...tls });
      secure.on('error', () => plain.destroy());
      await once(secure, 'secure');
      socket = secure;
      pending = Buffer.alloc(0);
      input = secure.iterator({ destroyOnReturn: false });
    },
    secure: () => socket instanceof TLSSocket,
  };
}
