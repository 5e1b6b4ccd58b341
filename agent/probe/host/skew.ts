// How far this clock is off, by what servers outside say of the time. One server may be wrong: the middle of what several say
// counts, and what was said long ago does not.
import type { Clock } from '#shared/clock.ts';

export type Skew = {
  /** `aheadMs`: that server's clock against ours. */
  readonly tell: (server: string, aheadMs: number) => void;
  /** Positive: this clock is behind. Undefined when nobody has told. */
  readonly seconds: () => number | undefined;
};

const validMs = 86_400_000;
const maxServers = 32;

export function createSkew(clock: Pick<Clock, 'monotonic'>): Skew {
  const told = new Map<string, { readonly aheadMs: number; readonly at: number }>();
  return {
    tell(server, aheadMs) {
      told.delete(server);
      told.set(server, { aheadMs, at: clock.monotonic() });
      const [oldest] = told.keys();
      if (told.size > maxServers && oldest !== undefined) told.delete(oldest);
    },
    seconds() {
      const now = clock.monotonic();
      const current = [...told.values()].filter(({ at }) => now - at < validMs).map(({ aheadMs }) => aheadMs);
      const sorted = current.toSorted((a, b) => a - b);
      const middle = sorted[Math.floor((sorted.length - 1) / 2)];
      return middle === undefined ? undefined : middle / 1_000;
    },
  };
}
