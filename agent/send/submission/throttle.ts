// Slows down whoever guesses passwords, across connections: per user and address, per address, and per user. Promise: a user
// that others fail to log in as is not locked out from an own network or from where it has logged in before; another user at
// the same address (every local client is 127.0.0.1) is not locked out by them; memory is bounded.
import { isIPv6 } from 'node:net';
import type { Clock } from '#shared/clock.ts';
import { isLoopback } from '#shared/net.ts';
import { isPrivate } from './trusted.ts';

export type Throttle = {
  /** False: the pair or its address has failed too often lately; the password must not even be looked at. */
  readonly mayTry: (user: string, address: string) => boolean;
  /** Gives the milliseconds by which the answer is to be delayed. */
  readonly failed: (user: string, address: string) => number;
  readonly succeeded: (user: string, address: string) => void;
};

/** Failures of one user at one address before it is closed for a while. */
const freeOfPair = 5;
/** Failures of all users at one address before those that have not logged in from it yet are kept out. */
const freeOfAddress = 20;
/** Failures of one user at all addresses before strangers of the Internet are kept out. */
const freeOfUser = 50;
/** Counted from the failure, whose answer is held back already. */
const closedFirstMs = 10_000;
const closedMaxMs = 60_000;
/** After so long without a failure all is forgiven. */
const forgetMs = 900_000;
const delayFirstMs = 250;
const delayMaxMs = 4_000;
const maxEntries = 5_000;

type Entry = { failures: number; lastAt: number; closedUntil: number };

export function createThrottle(clock: Pick<Clock, 'monotonic'>): Throttle {
  const entries = new Map<string, Entry>();
  const known = new Set<string>();
  const pairKey = (user: string, address: string): string => 'pair ' + siteOf(address) + ' ' + user.toLowerCase();
  const userKey = (user: string): string => 'user ' + user.toLowerCase();
  const addressKey = (address: string): string => 'address ' + siteOf(address);

  function find(key: string): Entry | undefined {
    const entry = entries.get(key);
    if (entry !== undefined && clock.monotonic() - entry.lastAt > forgetMs) {
      entries.delete(key);
      return undefined;
    }
    return entry;
  }

  const closed = (key: string): boolean => (find(key)?.closedUntil ?? 0) > clock.monotonic();

  function count(key: string, free: number): Entry {
    const entry = find(key) ?? { failures: 0, lastAt: 0, closedUntil: 0 };
    entry.failures += 1;
    entry.lastAt = clock.monotonic();
    const over = entry.failures - free;
    if (over >= 0) entry.closedUntil = entry.lastAt + Math.min(closedMaxMs, closedFirstMs * 2 ** Math.min(over, 20));
    // Deleted and set again: the map stays ordered by the last failure, the first one is the oldest.
    entries.delete(key);
    entries.set(key, entry);
    const [oldest] = entries.keys();
    if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
    return entry;
  }

  return {
    mayTry(user, address) {
      const pair = pairKey(user, address);
      if (closed(pair)) return false;
      // All programs of this machine are one address: it is slowed down as a whole, never closed.
      if (isLoopback(address) || known.has(pair)) return true;
      return !closed(addressKey(address)) && (isPrivate(address) || !closed(userKey(user)));
    },
    failed(user, address) {
      const all = count(addressKey(address), freeOfAddress).failures - freeOfAddress;
      const own = count(pairKey(user, address), freeOfPair).failures - 1;
      if (!isPrivate(address)) count(userKey(user), freeOfUser);
      return Math.min(delayMaxMs, delayFirstMs * 2 ** Math.min(Math.max(own, all), 20));
    },
    succeeded(user, address) {
      const pair = pairKey(user, address);
      entries.delete(pair);
      if (known.size < maxEntries) known.add(pair);
    },
  };
}

/** A client with IPv6 has a whole /64 of addresses to come from. */
function siteOf(address: string): string {
  if (!isIPv6(address) || isLoopback(address)) return address;
  const [head = '', tail] = address.replace(/%.*$/, '').split('::');
  const groups = head === '' ? [] : head.split(':');
  const rest = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Array.from({ length: Math.max(0, 8 - groups.length - rest.length) }, () => '0');
  const all = [...groups, ...zeros, ...rest].map((group) => group.replace(/^0+(?=.)/, '').toLowerCase());
  return all.slice(0, 4).join(':') + '::/64';
}
