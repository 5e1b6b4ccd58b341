// Is an address or a domain on a block list? Promise: `clean` is said only when the list said so through a resolver through
// which it has just passed its self-test. Everything else that is not `listed` says why nothing can be said.
import type { Clock } from '#shared/clock.ts';
import { cleanText } from '#shared/meter.ts';
import type { DnsblState } from '#shared/metrics.ts';
import type { Dns } from './dns.ts';
import type { Target } from './names.ts';
import type { Resolver } from './resolvers.ts';
import { selfTest } from './self-test.ts';
import type { Health } from './self-test.ts';
import { askedFamilies, readCodes } from './zones.ts';
import type { Zone } from './zones.ts';

export type DnsblResult = {
  /** The address or domain. */
  readonly target: string;
  /** The list, keys masked. */
  readonly zone: string;
  readonly state: DnsblState;
  /** The answer, such as 127.0.0.2; empty when there was none. */
  readonly codes: readonly string[];
  /** What the codes mean and the list's own words, or why nothing can be said. */
  readonly reason: string;
  /** Wall clock, milliseconds since 1970. */
  readonly checkedAt: number;
};

type Verdict = Pick<DnsblResult, 'state' | 'codes' | 'reason'>;

export type Dnsbl = {
  /** Results for the targets that this kind of list can know; none for the others. Never throws. */
  readonly check: (zone: Zone, targets: readonly Target[], signal: AbortSignal) => Promise<readonly DnsblResult[]>;
};

export function createDnsbl(options: { readonly dns: Dns; readonly clock: Clock }): Dnsbl {
  const { dns, clock } = options;

  async function askTarget(zone: Zone, target: Target, resolver: Resolver, signal: AbortSignal): Promise<Verdict> {
    const name = target.name + '.' + zone.name;
    const answer = await dns.ask({ name, type: 'A' }, signal, [resolver]);
    if (answer.kind === 'failed') return { state: 'error', codes: [], reason: answer.text };
    if (answer.kind === 'none') return { state: 'clean', codes: [], reason: '' };
    const codes = answer.values.slice(0, 16);
    const reading = readCodes(zone, answer.values);
    switch (reading.kind) {
      case 'listed': {
        const text = await dns.ask({ name, type: 'TXT' }, signal, [resolver]);
        const words = text.kind === 'records' ? text.values : [];
        return { state: 'listed', codes, reason: [reading.meanings.join(', '), ...words].join(': ') };
      }
      case 'expected':
        return { state: 'clean', codes, reason: reading.meanings.join(', ') };
      case 'refused':
        return { state: 'refused', codes, reason: reading.text };
      case 'unhealthy':
        return { state: 'zone-unhealthy', codes, reason: reading.text };
      case 'unknown':
        return { state: 'error', codes, reason: reading.text };
    }
  }

  /** Self-tests of the families that are to be asked; of a list of unknown kind always both kinds, to learn which it is. */
  async function testFamilies(
    zone: Zone,
    targets: readonly Target[],
    resolver: Resolver,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<Target['family'], Health>> {
    const families = new Set(targets.map((target) => target.family));
    if (zone.kind === 'unknown') families.add('ip4').add('domain');
    const tested = [...families].map(
      async (family) => [family, await selfTest(dns, zone, family, resolver, signal)] as const,
    );
    return new Map(await Promise.all(tested));
  }

  /** Undefined: not a question for this list. */
  async function judge(
    zone: Zone,
    targets: readonly Target[],
    resolver: Resolver,
    signal: AbortSignal,
  ): Promise<readonly (Verdict | undefined)[]> {
    const health = await testFamilies(zone, targets, resolver, signal);
    const someThere = [...health.values()].some((one) => one.kind === 'healthy' || !one.absent);
    return Promise.all(
      targets.map(async (target) => {
        const tested = health.get(target.family);
        if (tested === undefined) return undefined;
        if (tested.kind === 'healthy') return askTarget(zone, target, resolver, signal);
        if (zone.kind === 'unknown' && tested.absent && someThere) return undefined;
        return { state: tested.kind, codes: [], reason: tested.text };
      }),
    );
  }

  return {
    async check(zone, targets, signal) {
      const families: readonly string[] = askedFamilies(zone.kind);
      let open = targets.filter((target) => families.includes(target.family));
      const verdicts = new Map<Target, Verdict>();
      // A resolver that fails, is refused or invents answers may have a neighbour that does not: ask that one, with its own self-test.
      for (const resolver of dns.resolvers) {
        if (open.length === 0 || signal.aborted) break;
        const judged = await judge(zone, open, resolver, signal);
        const next: Target[] = [];
        for (const [index, target] of open.entries()) {
          const verdict = judged[index];
          if (verdict === undefined) continue;
          const done = verdict.state === 'clean' || verdict.state === 'listed';
          if (done || !verdicts.has(target)) verdicts.set(target, verdict);
          if (!done) next.push(target);
        }
        open = next;
      }
      if (dns.resolvers.length === 0)
        for (const target of open) verdicts.set(target, { state: 'error', codes: [], reason: 'no resolver is known' });
      return [...verdicts].map(([target, verdict]) => ({
        target: target.label,
        zone: zone.label,
        state: verdict.state,
        codes: verdict.codes,
        reason: cleanText(zone.mask(verdict.reason)),
        checkedAt: clock.now(),
      }));
    },
  };
}
