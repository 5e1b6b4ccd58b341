// UDP exchanges over a few connected sockets. A few queries share a port, and a port is used for some hundred queries at
// most; whoever wants to forge an answer has to hit port and id of an open query, and of these pairs there are as many as
// with a port for each query. A port that owes an answer takes no new query, so a second try has a fresh port beside its
// fresh id. Opening a socket for each query would cost more than the query itself.
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { codeOf, describe } from '#shared/failure.ts';
import { settleOnce } from './dns-exchange.ts';
import type { Exchange, ExchangeOptions, Seen } from './dns-exchange.ts';
import { findStranger, maxUdpBytes } from './dns-message.ts';
import { showResolver } from './resolvers.ts';

export type DnsSockets = { readonly exchange: (options: ExchangeOptions) => Promise<Exchange> };

const maxOpen = 8;
const maxUses = 256;
const idleMs = 1_000;

type Waiting = {
  readonly query: Buffer;
  readonly seen: Seen;
  readonly settle: (exchange: Exchange) => void;
};
type Line = {
  readonly socket: Socket;
  readonly key: string;
  /** By the id of the query. */
  readonly waiting: Map<number, Waiting>;
  uses: number;
  connected: boolean;
  /** Takes no more queries; closed when nothing is open any more. */
  ending: boolean;
  closed: boolean;
};

/** Opens sockets when they are needed, closes them a second after they are not; none keeps the program alive while idle. */
export function createDnsSockets(): DnsSockets {
  const lines = new Set<Line>();
  let sweep: NodeJS.Timeout | undefined;

  function close(line: Line): void {
    lines.delete(line);
    if (!line.closed) line.socket.close();
    line.closed = true;
  }

  function openLine({ resolver }: ExchangeOptions, key: string): Line {
    const socket = createSocket(resolver.family === 6 ? 'udp6' : 'udp4');
    const line: Line = {
      socket,
      key,
      waiting: new Map(),
      uses: 0,
      connected: false,
      ending: false,
      closed: false,
    };
    socket.on('message', (message) => take(line, message));
    socket.on('error', (error) => fail(line, error));
    socket.on('connect', () => {
      line.connected = true;
      for (const { query } of line.waiting.values()) send(line, query);
    });
    // A connected socket takes datagrams of this server alone, and hears "port unreachable" at once.
    socket.connect(resolver.port, resolver.address);
    lines.add(line);
    return line;
  }

  function findLine(options: ExchangeOptions, id: number): Line {
    const key = showResolver(options.resolver);
    for (const line of lines) {
      if (line.key === key && !line.ending && line.waiting.size < maxOpen && !line.waiting.has(id)) return line;
    }
    return openLine(options, key);
  }

  function fail(line: Line, error: unknown): void {
    const waiting = [...line.waiting.values()];
    line.ending = true;
    close(line);
    for (const { settle } of waiting) settle({ kind: 'network', text: codeOf(error) ?? describe(error) });
  }

  function send(line: Line, query: Buffer): void {
    if (line.closed) return;
    line.socket.send(query); // what goes wrong is an 'error' of the socket
  }

  function release(line: Line, id: number, { kind }: Exchange): void {
    line.waiting.delete(id);
    if (kind !== 'message' || line.uses >= maxUses) line.ending = true;
    if (line.waiting.size > 0) return;
    if (line.ending) return close(line);
    line.socket.unref();
    sweep ??= setTimeout(() => {
      sweep = undefined;
      for (const one of lines) if (one.waiting.size === 0) close(one);
    }, idleMs).unref();
    sweep.refresh();
  }

  return {
    exchange(options) {
      const { query } = options;
      const id = query.readUInt16BE(0);
      const seen: Seen = { stranger: undefined };
      return settleOnce(options, seen, (settle) => {
        const line = findLine(options, id);
        line.uses += 1;
        line.waiting.set(id, { query, seen, settle });
        if (line.waiting.size === 1) line.socket.ref();
        if (line.connected) send(line, query);
        return (exchange) => release(line, id, exchange);
      });
    },
  };
}

function take(line: Line, message: Buffer): void {
  const asked = message.length < 2 ? undefined : line.waiting.get(message.readUInt16BE(0));
  if (asked === undefined) {
    for (const { query, seen } of line.waiting.values()) seen.stranger = findStranger(query, message, maxUdpBytes);
    return;
  }
  const stranger = findStranger(asked.query, message, maxUdpBytes);
  if (stranger === undefined) asked.settle({ kind: 'message', message });
  else asked.seen.stranger = stranger;
}
