// Watches the site's addresses and sender domains on block lists: what a round finds, and what is told of it. Wrong options
// refuse the start (UserError); a network that does not answer is a result like any other.
import type { Clock } from '#shared/clock.ts';
import { UserError } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import type { Check } from './check.ts';
import { createDnsCache } from './dns-cache.ts';
import { createDnsSockets } from './dns-sockets.ts';
import { createDns } from './dns.ts';
import type { DnsOptions } from './dns.ts';
import { findDnsblProblem } from './dnsbl-options.ts';
import type { DnsblOptions, ZoneOption } from './dnsbl-options.ts';
import { describeResults } from './dnsbl-findings.ts';
import { createDnsbl } from './dnsbl.ts';
import type { DnsblResult, ListTarget } from './dnsbl.ts';
import { isPrivate } from './names.ts';
import { publicOperator } from './public-resolvers.ts';
import { parseResolver, showResolver, systemResolvers } from './resolvers.ts';
import type { Resolver } from './resolvers.ts';
import { createStandings } from './standings.ts';
import { createTargets } from './targets.ts';
import type { Learned } from './targets.ts';
import { createZonePace, isLineDown } from './zone-pace.ts';
import { openZone } from './zones.ts';
import type { Zone } from './zones.ts';

export type ProbeOptions = {
  /** The `probe` block of the configuration. */
  readonly config: { readonly dnsbl: DnsblOptions };
  readonly meter: Meter;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  /** The key of a zone of the configuration, by its place there. */
  readonly key?: (index: number, secret: NonNullable<Exclude<ZoneOption, string>['key']>) => string;
  readonly learned?: () => Learned;
  readonly dns?: Pick<DnsOptions, 'timeoutMs' | 'tries'>;
};
export type Probe = {
  /** One round; the schedule belongs to the caller. Undefined when there is nothing to ask. */
  readonly check: Check | undefined;
  /** The last result of each target at each list that can know it. */
  readonly results: () => readonly DnsblResult[];
};

/** Longer than any round with dead lists and resolvers; what hangs for longer is a mistake of ours. */
const roundMs = 300_000;
const shortestTtlSeconds = 900;
const longestTtlSeconds = 21_600;

/** Throws UserError for a zone, address, domain or resolver that cannot be used. */
export function createProbe(options: ProbeOptions): Probe {
  const { clock, log, random, meter } = options;
  const { dnsbl: config } = options.config;
  const problem = findDnsblProblem(config);
  if (problem !== undefined)
    throw new UserError(
      'Cannot use option probe.dnsbl.' +
        problem.path.join('.') +
        ': found ' +
        problem.found +
        ', expected ' +
        problem.expected,
    );
  const zones = config.zones.map((option, index) => readZone(option, index, options));
  const muted = new Set(config.mute.map((text) => openZone(text).label));
  const intervalMs = config.intervalSeconds * 1_000;
  const targets = createTargets({ ...config, ...(options.learned && { learned: options.learned }) });
  const standings = createStandings({ config, meter, clock, muted });
  const pace = createZonePace(intervalMs);
  const cache = createDnsCache({
    clock,
    // Every round asks anew, unless the list says that its answer holds for longer.
    minSeconds: Math.min(shortestTtlSeconds, config.intervalSeconds * 0.8),
    maxSeconds: longestTtlSeconds,
  });
  const sockets = createDnsSockets();
  const results = new Map<string, DnsblResult>();
  let known: readonly ListTarget[] = [];
  let asked = '';

  function findResolvers(): readonly Resolver[] {
    const own = config.resolver === undefined ? undefined : parseResolver(config.resolver);
    const resolvers = own === undefined ? systemResolvers() : [own];
    const key = resolvers.map(showResolver).join(' ');
    if (key === asked) return resolvers;
    asked = key;
    pace.reset();
    for (const resolver of resolvers) {
      const operator = publicOperator(resolver);
      if (operator !== undefined)
        log.warn(
          { resolver: showResolver(resolver), operator },
          'a public resolver: most block lists refuse it; use a resolver of your own, or a key of the list',
        );
    }
    return resolvers;
  }

  function takeTargets(gathered: readonly ListTarget[]): void {
    for (const target of gathered) {
      if (known.some(({ label }) => label === target.label) || !isPrivate(target)) continue;
      log.warn({ target: target.label }, 'not a public address: no block list can know it');
    }
    for (const { label } of known) {
      if (gathered.some((target) => target.label === label)) continue;
      log.info({ target: label }, 'no longer an address of this site: what lists say of it is forgotten');
      const gone = [...results.values()].filter(({ target }) => target === label);
      for (const result of gone) results.delete(keyOf(result));
      standings.forget(gone);
    }
    known = gathered;
  }

  async function round(signal: AbortSignal): Promise<readonly DnsblResult[]> {
    const dns = createDns({ resolvers: findResolvers(), cache, sockets, ...options.dns });
    const gathered = await targets.gather(dns, signal);
    if (signal.aborted) return [];
    takeTargets(gathered);
    const dnsbl = createDnsbl({ dns, clock, random, relaying: config.relaying });
    const due = zones.filter(({ label }) => pace.isDue(label, clock.monotonic()));
    const found = await Promise.all(due.map(async (zone) => ({ zone, all: await dnsbl.check(zone, known, signal) })));
    // What was cut off by the stop says nothing about the list.
    if (signal.aborted) return [];
    const lineDown = isLineDown(found.map(({ all }) => all));
    const fresh = found.flatMap(({ zone, all }) => {
      pace.take(zone.label, all, clock.monotonic(), lineDown);
      return all.filter(({ state }) => state !== 'not-applicable');
    });
    for (const result of fresh) results.set(keyOf(result), result);
    standings.take(fresh, [...results.values()], known);
    for (const { label } of zones) sayZone(label);
    return [...results.values()];
  }

  function sayZone(zone: string): void {
    const blindMs = pace.blindFor(zone, clock.monotonic());
    const own = [...results.values()].filter((result) => result.zone === zone);
    const why = own.some(({ state }) => state === 'clean' || state === 'listed') ? '' : (own[0]?.reason ?? '');
    if (own.length > 0) meter.say('dnsbl_zone', { zone }, { blind_seconds: Math.round(blindMs / 1_000), problem: why });
  }

  const nothing = zones.length === 0 || (config.addresses.length === 0 && !hasOthers(options));
  const check: Check = {
    kind: 'dnsbl',
    name: 'dnsbl',
    everyMs: intervalMs,
    timeoutMs: roundMs,
    run: async (signal) =>
      describeResults({
        results: await round(signal),
        standing: standings.of,
        roleOf: (label) => known.find((target) => target.label === label)?.role,
        problems: targets.problems(),
      }),
  };
  return { check: nothing ? undefined : check, results: () => [...results.values()] };
}

function hasOthers({ config: { dnsbl }, learned }: ProbeOptions): boolean {
  const { domains, names, relayAddresses } = dnsbl;
  return domains.length + names.length + relayAddresses.length > 0 || learned !== undefined;
}

function keyOf({ target, zone }: DnsblResult): string {
  return target + ' ' + zone;
}

function readZone(option: ZoneOption, index: number, { key: read }: ProbeOptions): Zone {
  if (typeof option === 'string') return openZone(option);
  const { key: secret, zone, ...own } = option;
  const key = secret === undefined ? undefined : read?.(index, secret);
  return openZone(zone, own, key);
}
