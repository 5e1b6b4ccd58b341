// What is told about a target at a list, made from many single answers. Lists flap, their servers answer from copies of
// different age, and a list that cannot be asked for a day has not taken anybody off. So a listing is told after the second
// answer that says so, it is taken back after the second one that does not, and what cannot be seen changes nothing.
import type { DnsblResult } from './dnsbl.ts';
import type { Level, ListingClass } from './zone-data.ts';

export type Standing = {
  readonly level: Level;
  /** Undefined: not told as listed. */
  readonly class?: ListingClass;
  /** What answers have begun to say otherwise, and since when. */
  readonly pending?: { readonly class?: ListingClass; readonly firstAt: number };
};

export type DampingLimits = {
  /** Between the first and the second answer that tell of a listing. */
  readonly confirmMs: number;
  /** Between the first and the second answer that tell of none. */
  readonly clearMs: number;
};

export const unknownStanding: Standing = { level: 'none' };

/** `at`: monotonic milliseconds of the answer itself; an answer out of a cache is not a second one. */
export function nextStanding(before: Standing, result: DnsblResult, at: number, limits: DampingLimits): Standing {
  switch (result.state) {
    case 'listed': {
      const found = result.class ?? 'listed';
      if (before.class === found) return { level: result.level, class: found };
      if (before.pending?.class !== found) return { ...before, pending: { class: found, firstAt: at } };
      const old = at > before.pending.firstAt && at - before.pending.firstAt >= limits.confirmMs;
      return old ? { level: result.level, class: found } : before;
    }
    case 'clean': {
      // What is worth knowing, but accuses nobody, needs no second look.
      if (before.class === undefined) return { level: result.level };
      if (before.pending === undefined || before.pending.class !== undefined)
        return { ...before, pending: { firstAt: at } };
      const old = at > before.pending.firstAt && at - before.pending.firstAt >= limits.clearMs;
      return old ? { level: result.level } : before;
    }
    case 'refused':
    case 'error':
    case 'zone-unhealthy':
    case 'gone':
    case 'not-applicable':
      return before;
  }
}

const fewestChanges = 3;

/**
 * Targets of which more than half of the lists that answered have just changed from clean to listed. Lists do not agree like
 * that within one round; a resolver that invents answers does, and so do domains that lapse.
 */
export function findMassChange(
  before: (result: DnsblResult) => DnsblResult['state'] | undefined,
  results: readonly DnsblResult[],
): ReadonlySet<string> {
  const counts = new Map<string, { answered: number; changed: number }>();
  for (const result of results) {
    if (result.state !== 'clean' && result.state !== 'listed') continue;
    const count = counts.get(result.target) ?? { answered: 0, changed: 0 };
    counts.set(result.target, count);
    count.answered += 1;
    if (result.state === 'listed' && before(result) === 'clean') count.changed += 1;
  }
  const doubtful = [...counts].filter(
    ([, { answered, changed }]) => changed >= fewestChanges && changed * 2 > answered,
  );
  return new Set(doubtful.map(([target]) => target));
}
