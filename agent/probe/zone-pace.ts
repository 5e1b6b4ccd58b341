// When a list is asked again, and for how long it could not be seen. A list that is dead, or that does not want us, is asked
// ever more rarely; one that merely failed comes back sooner.
import type { DnsblResult } from './dnsbl.ts';

export type ZonePace = {
  readonly isDue: (zone: string, now: number) => boolean;
  /** `lineDown`: nothing could be asked at all, which is not the fault of the list. */
  readonly take: (zone: string, results: readonly DnsblResult[], now: number, lineDown: boolean) => void;
  /** Milliseconds; 0 when its last answers count. */
  readonly blindFor: (zone: string, now: number) => number;
  /** Everything is asked again; how long it could not be seen stays. */
  readonly reset: () => void;
};

const refusedMs = 2_100_000; // what the best-known list gives as time to live of its refusal
const longestMs = 21_600_000;
const longestErrorRounds = 8;

type Pace = { failures: number; dueAt: number; blindSince: number | undefined };

/** `now`s are monotonic milliseconds. */
export function createZonePace(intervalMs: number): ZonePace {
  const paces = new Map<string, Pace>();

  function pauseAfter(failures: number, refused: boolean): number {
    const longest = refused ? Math.max(longestMs, intervalMs) : intervalMs * longestErrorRounds;
    const first = refused ? Math.max(refusedMs, intervalMs) : intervalMs;
    return Math.min(longest, first * 2 ** (failures - 1));
  }

  return {
    isDue: (zone, now) => now >= (paces.get(zone)?.dueAt ?? 0),
    take(zone, results, now, lineDown) {
      const asked = results.filter(({ state }) => state !== 'not-applicable');
      const pace = paces.get(zone) ?? { failures: 0, dueAt: 0, blindSince: undefined };
      paces.set(zone, pace);
      if (asked.length === 0 || asked.some(({ state }) => state === 'clean' || state === 'listed')) {
        paces.delete(zone);
        return;
      }
      pace.blindSince ??= now;
      if (lineDown) return;
      pace.failures += 1;
      const refused = asked.some(({ state }) => state === 'refused' || state === 'zone-unhealthy');
      // Rounds come a little early or late; half an interval keeps the next one from being missed by a second.
      pace.dueAt = now + pauseAfter(pace.failures, refused) - intervalMs / 2;
    },
    blindFor(zone, now) {
      const since = paces.get(zone)?.blindSince;
      return since === undefined ? 0 : now - since;
    },
    reset() {
      for (const pace of paces.values()) Object.assign(pace, { failures: 0, dueAt: 0 });
    },
  };
}

/** Two or more lists, and not one that could be asked: the line or the resolver, not the lists. */
export function isLineDown(results: readonly (readonly DnsblResult[])[]): boolean {
  const asked = results.filter((one) => one.some(({ state }) => state !== 'not-applicable'));
  return (
    asked.length > 1 && asked.every((one) => one.every(({ state }) => state === 'error' || state === 'not-applicable'))
  );
}
