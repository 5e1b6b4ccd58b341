// Slows down who guesses passwords. Promise: only the pair of address and user name that failed is held up, so that neither
// the other agents behind the same line nor the agent itself at another one pay for it.
import type { Clock } from '#shared/clock.ts';

/** Failures that cost nothing: a person at a prompt. */
const burst = 10;
/** After them, one try each so many milliseconds. */
const refillMs = 30_000;
const maxPairs = 20_000;

export type LoginThrottle = {
  /** False: not even looked at. */
  readonly mayTry: (address: string, user: string) => boolean;
  readonly failed: (address: string, user: string) => void;
};

export function createLoginThrottle(clock: Pick<Clock, 'monotonic'>): LoginThrottle {
  /** When the bucket of the pair is full again. */
  const full = new Map<string, number>();
  const keyOf = (address: string, user: string): string => address + ' ' + user.slice(0, 80);
  return {
    mayTry: (address, user) => (full.get(keyOf(address, user)) ?? 0) - clock.monotonic() <= (burst - 1) * refillMs,
    failed(address, user) {
      const key = keyOf(address, user);
      const now = clock.monotonic();
      const until = Math.max(now, full.get(key) ?? 0) + refillMs;
      full.delete(key);
      full.set(key, until);
      const [oldest] = full.keys();
      if (full.size > maxPairs && oldest !== undefined) full.delete(oldest);
    },
  };
}
