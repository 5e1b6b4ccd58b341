// A socket that is written to and answers with replies. Promise: every wait ends, by an answer, by its deadline or by
// close(); after the first trouble the socket is destroyed and every wait fails with that trouble. Answers that were
// received before are still handed out, answers that nobody asked for break the channel.
import type { Socket } from 'node:net';
import { codeOf, describe } from '#shared/failure.ts';
import { createReplyReader, showReply } from './reply.ts';
import type { Reply } from './reply.ts';

/** `reply` is a 421 that the server sent before it closed. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';
  readonly kind: 'closed' | 'timeout' | 'protocol' | 'stopped';
  readonly reply: Reply | undefined;
  constructor(
    message: string,
    kind: ChannelError['kind'],
    details?: { readonly reply?: Reply; readonly cause?: unknown },
  ) {
    super(message, details?.cause === undefined ? {} : { cause: details.cause });
    this.kind = kind;
    this.reply = details?.reply;
  }
}

export type Channel = {
  /** Resolves when the line took the bytes; `answers` is how many replies they ask for. */
  readonly write: (bytes: string | Uint8Array, answers: number, timeoutMs: number) => Promise<void>;
  /** Replies that were asked for arrive in order; the deadline counts for the whole reply, however it trickles. */
  readonly reply: (timeoutMs: number) => Promise<Reply>;
  /** A reply that waits to be fetched. */
  readonly answered: () => boolean;
  /** The promise, or the channel's trouble if that comes first. */
  readonly until: <T>(promise: Promise<T>) => Promise<T>;
  readonly failure: () => ChannelError | undefined;
  /** Hands the socket back for TLS. Throws when the server has said more than it was asked. */
  readonly detach: () => Socket;
  readonly fail: (error: ChannelError) => void;
};

/** `greets`: the server speaks first. */
export function createChannel(socket: Socket, options: { readonly greets: boolean }): Channel {
  const reader = createReplyReader({ onReply: take });
  const replies: Reply[] = [];
  const waiting = new Set<(error: ChannelError) => void>();
  let onReply: ((reply: Reply) => void) | undefined;
  let expected = options.greets ? 1 : 0;
  let failure: ChannelError | undefined;

  function fail(error: ChannelError): void {
    if (failure !== undefined) return;
    failure = error;
    socket.destroy();
    for (const reject of waiting) reject(error);
  }

  function take(reply: Reply): void {
    if (expected > 0) {
      expected -= 1;
      // Settled at once: trouble in the same packet must not overtake an answer that came before it.
      const settle = onReply;
      onReply = undefined;
      if (settle === undefined) replies.push(reply);
      else settle(reply);
      return;
    }
    if (reply.code === 421) fail(new ChannelError('the server closes: ' + showReply(reply), 'closed', { reply }));
    else fail(new ChannelError('the server answered unasked: ' + showReply(reply), 'protocol'));
  }

  const onData = (chunk: Buffer): void => {
    try {
      reader.push(chunk);
    } catch (cause) {
      fail(new ChannelError('the server answered ' + describe(cause), 'protocol', { cause }));
    }
  };
  const onEnd = (): void => fail(new ChannelError('the server closed the connection', 'closed'));
  const onError = (cause: Error): void =>
    fail(new ChannelError('the connection broke (' + (codeOf(cause) ?? describe(cause)) + ')', 'closed', { cause }));
  socket.on('data', onData).on('end', onEnd).on('close', onEnd).on('error', onError);

  /** Not Promise.race against one promise of failure: that would keep a reaction for every wait of the connection. */
  function wait<T>(
    begin: (resolve: (value: T) => void, reject: (error: unknown) => void) => void,
    limit?: { readonly timeoutMs: number; readonly late: string },
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    begin(resolve, reject);
    if (failure !== undefined) reject(failure);
    waiting.add(reject);
    const onTime = (): void => {
      if (limit !== undefined) fail(new ChannelError(limit.late + ' within ' + limit.timeoutMs + ' ms', 'timeout'));
    };
    const timer = limit && setTimeout(onTime, limit.timeoutMs);
    return promise.finally(() => {
      clearTimeout(timer);
      waiting.delete(reject);
    });
  }

  return {
    async write(bytes, answers, timeoutMs) {
      if (failure !== undefined) throw failure;
      expected += answers;
      if (socket.write(bytes)) return;
      await wait<void>((resolve) => socket.once('drain', () => resolve()), {
        timeoutMs,
        late: 'the server did not read on',
      });
    },
    reply(timeoutMs) {
      const next = replies.shift();
      if (next !== undefined) return Promise.resolve(next);
      const answer = wait<Reply>((resolve) => (onReply = resolve), { timeoutMs, late: 'no answer' });
      return answer.finally(() => (onReply = undefined));
    },
    answered: () => replies.length > 0,
    until: (promise) => wait((resolve, reject) => void promise.then(resolve, reject)),
    failure: () => failure,
    detach() {
      if (failure !== undefined) throw failure;
      socket.pause();
      if (reader.partial() || replies.length > 0 || socket.readableLength > 0) {
        // RFC 3207 section 6: what came in clear could be anybody's and must not count as said under TLS.
        fail(new ChannelError('the server sent more in clear before the TLS handshake', 'protocol'));
        throw failure ?? new Error('unreachable');
      }
      socket.off('data', onData).off('end', onEnd).off('close', onEnd).off('error', onError);
      return socket;
    },
    fail,
  };
}
