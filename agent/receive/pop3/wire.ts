// The line to a POP3 server: bytes in through the scanner only as fast as somebody takes them, lines out, every wait bounded.
import type { Socket } from 'node:net';
import type { Clock } from '#shared/clock.ts';
import { codeOf, describe } from '#shared/failure.ts';
import { openSocket, upgradeSocket } from '../../net/socket.ts';
import type { Endpoint, Watch } from '../../net/socket.ts';
import { Pop3Error } from './pop3-error.ts';
import { createScanner } from './scanner.ts';

export type Pop3Timeouts = {
  /** TCP and TLS. */
  readonly connectMs: number;
  /** A status line, from the moment it is its turn. Servers with large mailboxes take long over PASS, UIDL and QUIT. */
  readonly replyMs: number;
  /** Multi-line data must bring `progressBytes` (or its end) in this time: a trickle is no progress. */
  readonly progressMs: number;
};
export const defaultTimeouts: Pop3Timeouts = { connectMs: 30_000, replyMs: 90_000, progressMs: 60_000 };
const progressBytes = 4_096;
/** RFC 2449 section 4 allows 512; servers that write novels are let through up to here. */
const maxStatusBytes = 4_096;

export type Sink = (bytes: Buffer) => void | Promise<void>;
export type Wire = {
  /** The next status line, without CRLF. Throws Pop3Error. */
  readonly status: (step: string) => Promise<string>;
  /** The data after a status line, to its end. The server waits while the sink does. Throws Pop3Error, and what the sink throws. */
  readonly data: (step: string, sink: Sink) => Promise<void>;
  /** One command line, CRLF added. */
  readonly write: (line: string) => void;
  /** Bytes that came without being asked for. */
  readonly pending: () => number;
  /** What is written from now on is encrypted. */
  readonly secure: () => boolean;
  /** TLS from here on; what was received in clear and not read yet is dropped (RFC 2595 section 4). Throws ConnectError. */
  readonly upgrade: () => Promise<void>;
  readonly close: () => void;
};

export async function openWire(options: {
  readonly endpoint: Endpoint;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeouts: Pop3Timeouts;
  /** Sockets of another kind, for tests. */
  readonly connect?: typeof openSocket;
  readonly watch?: Watch;
}): Promise<Wire> {
  const { endpoint, signal, clock, timeouts, connect = openSocket } = options;
  const { watch } = options;
  const connectDeadline = { timeoutMs: timeouts.connectMs, signal, ...(watch && { watch }) };
  const place = endpoint.host + ':' + endpoint.port;
  let source = createSource(await connect(endpoint, connectDeadline), signal);
  let scanner = createScanner();
  let secure = endpoint.tls === 'implicit'; // openSocket() has verified it

  async function more(step: string, waitMs: number): Promise<number> {
    const startedAt = clock.monotonic();
    const result = await source.next(Math.max(1, waitMs));
    if ('why' in result) throw troubleOf(result, step, place, waitMs);
    scanner.push(result);
    return clock.monotonic() - startedAt;
  }

  function scan<T>(step: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      const message = 'Cannot read the answer to ' + step + ' from ' + place + ': ' + describe(error);
      throw new Pop3Error(message + ', expected a status line', { trouble: 'out-of-step', step, cause: error });
    }
  }

  return {
    async status(step) {
      const dueAt = clock.monotonic() + timeouts.replyMs;
      for (;;) {
        const line = scan(step, () => scanner.line(maxStatusBytes));
        if (line !== undefined) return line;
        await more(step, dueAt - clock.monotonic());
      }
    },
    async data(step, sink) {
      scanner.startData();
      let waitedMs = 0;
      let progress = 0;
      for (;;) {
        const { parts, ended } = scanner.data();
        // Joined: a mail with a dot on every line would reach a file in a million little pieces.
        const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts);
        progress += bytes?.length ?? 0;
        const taken = bytes === undefined || bytes.length === 0 ? undefined : sink(bytes);
        if (taken !== undefined) await taken;
        if (ended) return;
        if (progress >= progressBytes) [progress, waitedMs] = [0, 0];
        // Only our waiting for the server counts, not its waiting for us.
        waitedMs += await more(step, timeouts.progressMs - waitedMs);
      }
    },
    write: (line) => source.write(line + '\r\n'),
    pending: () => scanner.pending(),
    secure: () => secure,
    async upgrade() {
      const socket = source.detach();
      scanner = createScanner();
      source = createSource(await upgradeSocket(socket, endpoint, connectDeadline), signal);
      secure = true;
    },
    close: () => source.close(),
  };
}

type Ending = { readonly why: 'closed' | 'timeout' | 'stopped'; readonly error?: unknown };
type Source = {
  /** The next bytes, or why there are none. One caller at a time. */
  readonly next: (waitMs: number) => Promise<Buffer | Ending>;
  readonly write: (text: string) => void;
  /** Lets go of the socket, with everything unread dropped. */
  readonly detach: () => Socket;
  readonly close: () => void;
};

/** A socket that is read only when somebody asks: TCP itself makes the server wait. */
function createSource(socket: Socket, signal: AbortSignal): Source {
  const chunks: Buffer[] = [];
  let ending: Ending | undefined;
  let wake: (() => void) | undefined;
  let corked = false;
  const onData = (chunk: Buffer): void => {
    chunks.push(chunk);
    socket.pause();
    wake?.();
  };
  const end = (reason: Ending): void => {
    ending ??= reason;
    wake?.();
  };
  const onClose = (): void => end({ why: 'closed' });
  const onError = (error: Error): void => end({ why: 'closed', error });
  const onAbort = (): void => {
    end({ why: 'stopped' });
    socket.destroy();
  };
  socket.on('error', onError).on('close', onClose).on('end', onClose).on('data', onData).pause();
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();

  return {
    async next(waitMs) {
      const ready = chunks.shift();
      if (ready !== undefined) return ready;
      if (ending !== undefined) return ending;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const timer = setTimeout(() => end({ why: 'timeout' }), waitMs);
      socket.resume();
      await promise;
      clearTimeout(timer);
      wake = undefined;
      return chunks.shift() ?? ending ?? { why: 'closed' };
    },
    write(text) {
      // Commands of one turn leave in one packet: a window of DELE is one call to the kernel, not fifty.
      if (!corked) {
        corked = true;
        socket.cork();
        process.nextTick(() => {
          corked = false;
          socket.uncork();
        });
      }
      socket.write(text);
    },
    detach() {
      socket.off('close', onClose).off('end', onClose).off('data', onData);
      signal.removeEventListener('abort', onAbort);
      while (socket.read() !== null);
      return socket;
    },
    close() {
      signal.removeEventListener('abort', onAbort);
      end({ why: 'closed' });
      socket.destroy();
    },
  };
}

function troubleOf(ending: Ending, step: string, place: string, waitMs: number): Pop3Error {
  const about = 'Cannot read the answer to ' + step + ' from ' + place + ': ';
  switch (ending.why) {
    case 'stopped':
      return new Pop3Error(about + 'stopped', { trouble: 'stopped', step });
    case 'timeout':
      return new Pop3Error(about + 'nothing more came within ' + Math.round(waitMs / 1_000) + ' s', {
        trouble: 'timeout',
        step,
      });
    case 'closed': {
      const state =
        ending.error === undefined
          ? 'the server closed the connection'
          : (codeOf(ending.error) ?? describe(ending.error));
      return new Pop3Error(about + state, { trouble: 'lost', step, cause: ending.error });
    }
  }
}
