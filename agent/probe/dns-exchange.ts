// One query and its answer with one server: UDP from a fresh port, or TCP. Promise: settles by its own deadline, closes its
// socket in every case, and ends at once when the signal is aborted. Datagrams that answer something else are passed over.
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { codeOf, describe } from '#shared/failure.ts';
import { findStranger, maxTcpBytes, maxUdpBytes } from './dns-message.ts';
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

/** Runs `open` with a way to settle once; whatever happens first wins, then `close` of what was opened is called. */
function settleOnce(
  options: ExchangeOptions,
  state: { stranger: string | undefined },
  open: (settle: (exchange: Exchange) => void) => () => void,
): Promise<Exchange> {
  const { promise, resolve } = Promise.withResolvers<Exchange>();
  const onAbort = (): void => resolve({ kind: 'stopped', text: 'stopped' });
  const timer = setTimeout(() => {
    const instead = state.stranger === undefined ? '' : ', only ' + state.stranger;
    resolve({ kind: 'timeout', text: 'no answer within ' + options.timeoutMs + ' ms' + instead });
  }, options.timeoutMs);
  options.signal.addEventListener('abort', onAbort, { once: true });
  const close = open(resolve);
  if (options.signal.aborted) onAbort();
  return promise.finally(() => {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', onAbort);
    close();
  });
}

export function exchangeUdp(options: ExchangeOptions): Promise<Exchange> {
  const { resolver, query } = options;
  const state: { stranger: string | undefined } = { stranger: undefined };
  return settleOnce(options, state, (settle) => {
    const socket = createSocket(resolver.family === 6 ? 'udp6' : 'udp4');
    const fail = (error: unknown): void => settle({ kind: 'network', text: codeOf(error) ?? describe(error) });
    socket.on('error', fail);
    socket.on('message', (message) => {
      const stranger = findStranger(query, message, maxUdpBytes);
      if (stranger === undefined) settle({ kind: 'message', message });
      else state.stranger = stranger;
    });
    let closed = false;
    socket.on('connect', () => {
      if (closed) return;
      socket.send(query, (error) => {
        if (error !== null) fail(error);
      });
    });
    // A connected socket takes datagrams of this server alone, and hears "port unreachable" at once.
    socket.connect(resolver.port, resolver.address);
    return () => {
      closed = true;
      socket.close();
    };
  });
}

export function exchangeTcp(options: ExchangeOptions): Promise<Exchange> {
  const { resolver, query } = options;
  const state: { stranger: string | undefined } = { stranger: undefined };
  return settleOnce(options, state, (settle) => {
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
