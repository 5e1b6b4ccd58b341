// One query and its answer with one server. Promise: settles by its own deadline, closes or gives back its socket in every
// case, and ends at once when the signal is aborted. Messages that answer something else are passed over.
import { connect } from 'node:net';
import { codeOf, describe } from '#shared/failure.ts';
import { findStranger, maxTcpBytes } from './dns-message.ts';
import type { Resolver } from './resolvers.ts';

export type Exchange =
  | { readonly kind: 'message'; readonly message: Buffer }
  | { readonly kind: 'timeout' | 'network' | 'malformed' | 'stopped'; readonly text: string };
export type ExchangeOptions = {
  readonly resolver: Resolver;
  readonly query: Buffer;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
};

/** What came instead of the answer, for the text of a time-out. */
export type Seen = { stranger: string | undefined };

/** Runs `open` with a way to settle once; whatever happens first wins, then `close` of what was opened is called. */
export function settleOnce(
  options: ExchangeOptions,
  seen: Seen,
  open: (settle: (exchange: Exchange) => void) => (exchange: Exchange) => void,
): Promise<Exchange> {
  return new Promise((resolve) => {
    let settled = false;
    let close: ((exchange: Exchange) => void) | undefined;
    let outcome: Exchange | undefined;
    const settle = (exchange: Exchange): void => {
      if (settled) return;
      settled = true;
      outcome = exchange;
      clearTimeout(timer);
      options.signal.removeEventListener('abort', onAbort);
      close?.(exchange);
      resolve(exchange);
    };
    const onAbort = (): void => settle({ kind: 'stopped', text: 'stopped' });
    const timer = setTimeout(() => {
      const instead = seen.stranger === undefined ? '' : ', only ' + seen.stranger;
      settle({ kind: 'timeout', text: 'no answer within ' + options.timeoutMs + ' ms' + instead });
    }, options.timeoutMs);
    options.signal.addEventListener('abort', onAbort, { once: true });
    close = open(settle);
    if (outcome !== undefined) close(outcome); // settled while it was opened
    if (options.signal.aborted) onAbort();
  });
}

export function exchangeTcp(options: ExchangeOptions): Promise<Exchange> {
  const { resolver, query } = options;
  return settleOnce(options, { stranger: undefined }, (settle) => {
    const socket = connect({ host: resolver.address, port: resolver.port, family: resolver.family });
    let received = Buffer.alloc(0);
    socket.on('error', (error) => settle({ kind: 'network', text: 'TCP ' + (codeOf(error) ?? describe(error)) }));
    socket.on('close', () => settle({ kind: 'network', text: 'the server closed the TCP connection early' }));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2) return;
      const length = received.readUInt16BE(0);
      if (length > maxTcpBytes) settle({ kind: 'malformed', text: 'an answer of ' + length + ' bytes over TCP' });
      if (received.length < 2 + length) return;
      const message = received.subarray(2, 2 + length);
      const stranger = findStranger(query, message, maxTcpBytes);
      settle(
        stranger === undefined ? { kind: 'message', message } : { kind: 'malformed', text: stranger + ' over TCP' },
      );
    });
    const length = Buffer.alloc(2);
    length.writeUInt16BE(query.length);
    socket.write(Buffer.concat([length, query]));
    return () => socket.destroy();
  });
}
