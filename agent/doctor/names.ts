// The names of the servers, and whether both kinds of addresses lead somewhere: a line with half-broken IPv6 works, but
// each connection begins with a wait.
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { openSocket } from '../net/socket.ts';
import { doubtful, well } from './finding.ts';
import type { Trial } from './finding.ts';

export type Place = { readonly host: string; readonly port: number };
type Found = readonly { readonly address: string; readonly family: number }[];

/** `find`: for tests. Undefined when there is nothing to look up, and when it cannot be. */
export async function tryName(
  place: Place,
  options: {
    readonly signal: AbortSignal;
    readonly timeoutMs?: number;
    readonly find?: (host: string) => Promise<Found>;
  },
): Promise<Trial | undefined> {
  const { host } = place;
  if (isIP(host) !== 0) return undefined;
  const find = options.find ?? ((name: string) => lookup(name, { all: true }));
  const limitMs = options.timeoutMs ?? 5_000;
  let addresses: Found;
  try {
    addresses = await within(find(host), limitMs);
  } catch {
    return undefined; // whoever connects there tells it, with the option
  }
  const [four, six] = [4, 6].map((family) => addresses.find((one) => one.family === family)?.address);
  const told = host + ' is ' + addresses.map((one) => one.address).join(', ');
  if (four === undefined || six === undefined) return well(told);
  const reaches = async (address: string): Promise<boolean> =>
    openSocket({ host: address, port: place.port, tls: 'none' }, { timeoutMs: 3_000, signal: options.signal }).then(
      (socket) => {
        socket.destroy();
        return true;
      },
      () => false,
    );
  const [byFour, bySix] = await Promise.all([reaches(four), reaches(six)]);
  if (!byFour || bySix) return well(told);
  return doubtful({
    option: ['host'],
    found: host + ' answers by IPv4 (' + four + ') but not by IPv6 (' + six + ')',
    expected: 'both to work, or IPv6 to be off',
    remedy: 'it works, each connection begins with a wait; mend IPv6 at the router, or switch it off on this machine',
  });
}

async function within<T>(work: Promise<T>, limitMs: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error('no answer within ' + limitMs + ' ms')), limitMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
