// Is an address or a domain on a block list? Promise: `clean` is said only when the list said so through a resolver through
// which it has passed its self-test. Everything else that is not `listed` says why nothing can be said.
import type { Clock } from '#shared/clock.ts';
import { cleanText } from '#shared/meter.ts';
import type { DnsblState } from '#shared/metrics.ts';
import type { Dns } from './dns.ts';
import type { Target } from './names.ts';
import type { Resolver } from './resolvers.ts';
import { randomLabel, selfTest } from './self-test.ts';
import type { Health } from './self-test.ts';
import { isExpected, levelOf, worstLevel } from './severity.ts';
import type { Role } from './severity.ts';
import { readCodes } from './zone-codes.ts';
import type { Level, ListingClass, Meaning } from './zone-data.ts';
import { askedFamilies } from './zones.ts';
import type { Zone } from './zones.ts';

/** `role`: by default the site for addresses, the domain for names. */
export type ListTarget = Target & { readonly role?: Role };

export type DnsblResult = {
  /** The address or domain. */
  readonly target: string;
  /** The list, keys masked. */
  readonly zone: string;
  /** `not-applicable`: this kind of list cannot know it, so it was not asked. */
  readonly state: DnsblState | 'not-applicable';
  /** The answer, such as 127.0.0.2; empty when there was none. */
  readonly codes: readonly string[];
  /** The most serious accusation; undefined when there is none. */
  readonly class?: ListingClass;
  /** How loud, as of this one answer. */
  readonly level: Level;
  /** What the codes mean and the list's own words, or why nothing can be said. */
  readonly reason: string;
  /** When the list was asked: wall clock, milliseconds since 1970. */
  readonly checkedAt: number;
};

type Verdict = Omit<DnsblResult, 'target' | 'zone' | 'checkedAt'> & { readonly ageMs: number };

export type Dnsbl = {
  /** A result for each target. Never throws. */
  readonly check: (zone: Zone, targets: readonly ListTarget[], signal: AbortSignal) => Promise<readonly DnsblResult[]>;
};

export type DnsblOptions = {
  readonly dns: Dns;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random?: () => number;
  /** Mail leaves through a relay. */
  readonly relaying?: boolean;
};

export function createDnsbl(options: DnsblOptions): Dnsbl {
  const { dns, clock, relaying = true } = options;
  const nobody = randomLabel(options.random ?? Math.random);

  /** The list's own words, empty when it has none. */
  async function words(name: string, resolver: Resolver, signal: AbortSignal): Promise<readonly string[]> {
    const text = await dns.ask({ name, type: 'TXT' }, signal, [resolver]);
    return text.kind === 'records' ? text.values : [];
  }

  async function askTarget(zone: Zone, target: ListTarget, resolver: Resolver, signal: AbortSignal): Promise<Verdict> {
    const name = target.name + '.' + zone.name;
    const answer = await dns.ask({ name, type: 'A' }, signal, [resolver]);
    if (answer.kind === 'failed') return unsure('error', answer.text);
    const { ageMs } = answer;
    if (answer.kind === 'none') return { state: 'clean', codes: [], level: 'none', reason: '', ageMs };
    const codes = answer.values.slice(0, 16);
    const reading = readCodes(zone, answer.values);
    switch (reading.kind) {
      case 'known': {
        const judged = judgeMeanings(reading.meanings, target, relaying);
        const own = judged.state === 'listed' ? await words(name, resolver, signal) : [];
        return { ...judged, codes, ageMs, reason: [judged.reason, ...own].join(': ') };
      }
      case 'refused':
        return {
          ...unsure('refused', [reading.text, ...(await words(name, resolver, signal))].join(': ')),
          codes,
          ageMs,
        };
      case 'unhealthy':
        return { ...unsure('zone-unhealthy', reading.text), codes, ageMs };
      case 'unknown':
        return { ...unsure('error', reading.text), codes, ageMs };
    }
  }

  /** Self-tests of the families that are to be asked; of a list of unknown kind always both kinds, to learn which it is. */
  async function testFamilies(
    zone: Zone,
    targets: readonly ListTarget[],
    resolver: Resolver,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<Target['family'], Health>> {
    const families = new Set(targets.map((target) => target.family));
    if (zone.kind === 'unknown') families.add('ip4').add('domain');
    const tested = [...families].map(async (family) => {
      const health = await selfTest({ dns, zone, family, resolver, nobody, signal });
      if (health.kind !== 'refused' || health.words === undefined) return [family, health] as const;
      const text = [health.text, ...(await words(health.words, resolver, signal))].join(': ');
      return [family, { ...health, text }] as const;
    });
    return new Map(await Promise.all(tested));
  }

  async function judge(
    zone: Zone,
    targets: readonly ListTarget[],
    resolver: Resolver,
    signal: AbortSignal,
  ): Promise<readonly Verdict[]> {
    const health = await testFamilies(zone, targets, resolver, signal);
    const someThere = [...health.values()].some((one) => one.kind === 'healthy' || !one.absent);
    return Promise.all(
      targets.map(async (target) => {
        const tested = health.get(target.family);
        if (tested === undefined) return notApplicable;
        if (tested.kind === 'healthy') return askTarget(zone, target, resolver, signal);
        if (zone.kind === 'unknown' && tested.absent && someThere) return notApplicable;
        return unsure(tested.kind, tested.text);
      }),
    );
  }

  return {
    async check(zone, targets, signal) {
      const families: readonly string[] = askedFamilies(zone.kind);
      const verdicts = new Map<ListTarget, Verdict>(
        targets.filter((target) => !families.includes(target.family)).map((target) => [target, notApplicable]),
      );
      let open = targets.filter((target) => families.includes(target.family));
      // A resolver that fails, is refused or invents answers may have a neighbour that does not: ask that one, with its own self-test.
      for (const resolver of dns.resolvers) {
        if (open.length === 0 || signal.aborted) break;
        const judged = await judge(zone, open, resolver, signal);
        const next: ListTarget[] = [];
        for (const [index, target] of open.entries()) {
          const verdict = judged[index];
          if (verdict === undefined) continue;
          const done = verdict.state === 'clean' || verdict.state === 'listed' || verdict.state === 'not-applicable';
          if (done || !verdicts.has(target)) verdicts.set(target, verdict);
          if (!done) next.push(target);
        }
        open = next;
      }
      if (dns.resolvers.length === 0)
        for (const target of open) verdicts.set(target, unsure('error', 'no resolver is known'));
      const now = clock.now();
      return targets.flatMap((target) => {
        const found = verdicts.get(target);
        if (found === undefined) return []; // stopped
        const { ageMs, ...verdict } = found;
        return {
          ...verdict,
          target: target.label,
          zone: zone.label,
          reason: cleanText(zone.mask(verdict.reason)),
          checkedAt: now - ageMs,
        };
      });
    },
  };
}

const notApplicable: Verdict = { state: 'not-applicable', codes: [], level: 'none', reason: '', ageMs: 0 };

function unsure(state: 'error' | 'refused' | 'zone-unhealthy', reason: string): Verdict {
  return { state, codes: [], level: 'none', reason, ageMs: 0 };
}

function judgeMeanings(
  meanings: readonly Meaning[],
  target: ListTarget,
  relaying: boolean,
): Pick<Verdict, 'state' | 'level' | 'reason' | 'class'> {
  const role = roleOf(target);
  const bad = meanings.filter((meaning) => !isExpected(meaning, role, relaying));
  const told = bad.length > 0 ? bad : meanings;
  const level = worstLevel(told.map((meaning) => levelOf(meaning, role, relaying)));
  const worst = told.find((meaning) => levelOf(meaning, role, relaying) === level);
  return {
    state: bad.length > 0 ? 'listed' : 'clean',
    level,
    ...(worst && { class: worst.class }),
    reason: told.map(({ text }) => text).join(', '),
  };
}

export function roleOf(target: ListTarget): Role {
  return target.role ?? (target.family === 'domain' ? 'domain' : 'site');
}
