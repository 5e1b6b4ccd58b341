// Connecting to a name that has several addresses (RFC 8305, "happy eyeballs"). Promises: an address that does not answer costs
// a moment, not the connection (half-broken IPv6); one that answers slowly is not given up for one that never does (a slow
// line), which Node's own way does after 250 ms; of the connections that came about one is left.
import { lookup } from 'node:dns/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';

export type Address = { readonly address: string; readonly family: number };
export type RaceOptions = {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** For tests. */
  readonly find?: (host: string) => Promise<readonly Address[]>;
};

/** RFC 8305 section 5: the pause before the next address is tried beside those that have not answered. */
const pauseMs = 250;

/** Throws what the name's look-up throws, or the first address that failed; an Error when time is over or it was stopped. */
export async function connectByName(host: string, port: number, options: RaceOptions): Promise<Socket> {
  const { timeoutMs, signal, find = (name) => lookup(name, { all: true }) } = options;
  const end = Promise.withResolvers<never>();
  end.promise.catch(() => {}); // told by the race alone
  const late = setTimeout(() => end.reject(new Error('no answer within ' + timeoutMs + ' ms')), timeoutMs);
  const onAbort = (): void => end.reject(new Error('stopped'));
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted === true) onAbort();
  const running = new Set<Socket>();
  try {
    const addresses = alternate(await Promise.race([find(host), end.promise]));
    const winner = await Promise.race([race(addresses, port, running), end.promise]);
    running.delete(winner);
    return winner;
  } finally {
    clearTimeout(late);
    signal?.removeEventListener('abort', onAbort);
    for (const socket of running) socket.destroy();
  }
}

/** Both families in turn, beginning with the one that the system prefers (RFC 8305 section 4). */
function alternate(addresses: readonly Address[]): readonly Address[] {
  const first = addresses.filter(({ family }) => family === addresses[0]?.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]?.family);
  return first.flatMap((one, index) => [one, ...second.slice(index, index + 1)]).concat(second.slice(first.length));
}

/** `running`: every socket that was opened; the caller destroys those that are left over. */
function race(addresses: readonly Address[], port: number, running: Set<Socket>): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const failures: unknown[] = [];
  let next = 0;
  let timer: NodeJS.Timeout | undefined;

  function tryNext(): void {
    clearTimeout(timer);
    const address = addresses[next];
    if (address === undefined) return;
    next += 1;
    const socket = connect({ host: address.address, port, noDelay: true, keepAlive: true });
    running.add(socket);
    // Stays until the owner adds its own: an unheard 'error' would end the process.
    socket.on('error', (error) => {
      if (!socket.connecting && !running.has(socket)) return;
      running.delete(socket);
      failures.push(error);
      if (failures.length === addresses.length) reject(failures[0]);
      else tryNext();
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      next = addresses.length;
      resolve(socket);
    });
    timer = setTimeout(tryNext, pauseMs);
  }

  if (addresses.length === 0) reject(new Error('the name has no address'));
  else tryNext();
  return promise.finally(() => {
    clearTimeout(timer);
    next = addresses.length;
  });
}
