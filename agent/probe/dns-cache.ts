// Answers that may be believed for a while, by resolver, type and name: what one resolver said proves nothing about another.
// Failures are never kept. Bounded: the entry that was stored first goes first.
import type { Clock } from '#shared/clock.ts';
import type { Reply } from './dns-message.ts';

export type Known = Extract<Reply, { readonly kind: 'records' | 'none' }>;
export type DnsCache = {
  /** `ageMs`: since it was answered. */
  readonly get: (key: string) => (Known & { readonly ageMs: number }) | undefined;
  readonly put: (key: string, answer: Known) => void;
  readonly size: () => number;
};

export type DnsCacheOptions = {
  readonly clock: Pick<Clock, 'monotonic'>;
  /** The time to live that a server gives is not taken for shorter or longer than this. */
  readonly minSeconds: number;
  readonly maxSeconds: number;
  readonly maxEntries?: number;
};

export function createDnsCache({ clock, minSeconds, maxSeconds, maxEntries = 2_000 }: DnsCacheOptions): DnsCache {
  const entries = new Map<string, { readonly answer: Known; readonly at: number; readonly until: number }>();
  return {
    get(key) {
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      const now = clock.monotonic();
      if (now >= entry.until) {
        entries.delete(key);
        return undefined;
      }
      return { ...entry.answer, ageMs: now - entry.at };
    },
    put(key, answer) {
      const seconds = Math.min(Math.max(answer.ttlSeconds, minSeconds), maxSeconds);
      if (seconds <= 0) return;
      const at = clock.monotonic();
      entries.delete(key);
      entries.set(key, { answer, at, until: at + seconds * 1_000 });
      const [oldest] = entries.keys();
      if (entries.size > maxEntries && oldest !== undefined) entries.delete(oldest);
    },
    size: () => entries.size,
  };
}
