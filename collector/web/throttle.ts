// How often one address may be wrong: a few tries at once, then one every few seconds. Bounded in memory.
import { isIPv6 } from 'node:net';
import type { Clock } from '#shared/clock.ts';

export type Throttle = {
  /** Seconds until this address may try again; 0 when it may now. */
  readonly waitSeconds: (address: string) => number;
  readonly failed: (address: string) => void;
};

export function createThrottle(options: {
  readonly clock: Clock;
  /** Wrong tries at once. */
  readonly burst: number;
  /** One more after so long. */
  readonly everyMs: number;
  readonly maxAddresses: number;
}): Throttle {
  const { clock, burst, everyMs } = options;
  /** When the account of an address will be level again, monotonic. */
  const levelAt = new Map<string, number>();

  function forget(now: number): void {
    for (const [key, at] of levelAt) if (at <= now) levelAt.delete(key);
    // All of them wrong lately: those that come next share one account.
  }

  const keyOf = (address: string): string => {
    const key = networkOf(address);
    return levelAt.has(key) || levelAt.size < options.maxAddresses ? key : 'others';
  };

  return {
    waitSeconds(address) {
      const excess = (levelAt.get(keyOf(address)) ?? 0) - clock.monotonic() - (burst - 1) * everyMs;
      return excess <= 0 ? 0 : Math.ceil(excess / 1_000);
    },
    failed(address) {
      const now = clock.monotonic();
      if (levelAt.size >= options.maxAddresses) forget(now);
      const key = keyOf(address);
      levelAt.set(key, Math.max(now, levelAt.get(key) ?? 0) + everyMs);
    },
  };
}

/** One IPv6 customer has a whole /64 to try from. */
function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const mapped = /^::ffff:([0-9.]+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [left = '', right] = address.split('::');
  const head = left === '' ? [] : left.split(':');
  const tail = right === undefined || right === '' ? [] : right.split(':');
  const zeros = right === undefined ? 0 : Math.max(0, 8 - head.length - tail.length);
  return [...head, ...Array.from({ length: zeros }, () => '0'), ...tail].slice(0, 4).join(':') + '::/64';
}
