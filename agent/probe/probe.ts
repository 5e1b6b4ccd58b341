// Watches the site's addresses and sender domains on block lists: a round, results, a pause. Wrong options refuse the start
// (UserError); a network that does not answer is a result like any other.
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import { dnsblStates } from '#shared/metrics.ts';
import { createDns } from './dns.ts';
import type { DnsOptions } from './dns.ts';
import { createDnsbl } from './dnsbl.ts';
import type { Dnsbl, DnsblResult } from './dnsbl.ts';
import { addressTarget, domainTarget, isPrivate } from './names.ts';
import type { Target } from './names.ts';
import { parseResolver, systemResolvers } from './resolvers.ts';
import type { Resolver } from './resolvers.ts';
import { openZone } from './zones.ts';
import type { Zone } from './zones.ts';

/** The `probe` block of the configuration. */
export type ProbeOptions = {
  readonly config: {
    readonly dnsbl: {
      readonly resolver?: string;
      readonly zones: readonly string[];
      readonly addresses: readonly string[];
      readonly domains: readonly string[];
      readonly intervalSeconds: number;
    };
  };
  readonly meter: Meter;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly dns?: Pick<DnsOptions, 'timeoutMs' | 'tries'>;
};
export type Probe = {
  /** Rounds until aborted; never throws. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** The last result of each target at each list. */
  readonly results: () => readonly DnsblResult[];
};

/** A round starts this share of the interval early or late, so that many sites do not ask at the same second. */
const jitter = 0.1;

/** Throws UserError for a zone, address, domain or resolver that cannot be used. */
export function createProbe(options: ProbeOptions): Probe {
  const { meter, clock, random, log } = options;
  const { dnsbl: config } = options.config;
  const zones = readZones(config.zones);
  const targets = readTargets(config);
  const resolver = config.resolver === undefined ? undefined : readResolver(config.resolver);
  const results = new Map<string, DnsblResult>();

  for (const target of targets.filter(isPrivate))
    log.warn({ target: target.label }, 'not a public address: no block list can know it');

  function take(result: DnsblResult): void {
    const { target, zone, state, reason } = result;
    const key = target + ' ' + zone;
    const before = results.get(key);
    results.set(key, result);
    if (before?.state !== state || before.reason !== reason) {
      const facts = { target, zone, state, codes: result.codes, reason };
      if (state === 'clean') log.info(facts, 'block list result');
      else log.warn(facts, 'block list result');
    }
    meter.say('dnsbl', { target, zone }, { state: dnsblStates.indexOf(state), reason });
  }

  async function round(signal: AbortSignal): Promise<void> {
    const resolvers = resolver === undefined ? systemResolvers() : [resolver];
    const dnsbl: Dnsbl = createDnsbl({ dns: createDns({ resolvers, ...options.dns }), clock });
    await Promise.all(
      zones.map(async (zone) => {
        const found = await dnsbl.check(zone, targets, signal);
        // What was cut off by the stop says nothing about the list.
        if (!signal.aborted) for (const result of found) take(result);
      }),
    );
  }

  return {
    async run(signal) {
      if (zones.length === 0 || targets.length === 0) return;
      while (!signal.aborted) {
        await round(signal).catch((error: unknown) => log.error({ error: describe(error) }, 'block list round failed'));
        const factor = 1 - jitter + 2 * jitter * random();
        await clock.sleep(config.intervalSeconds * 1_000 * factor, signal);
      }
    },
    results: () => [...results.values()],
  };
}

function readZones(texts: readonly string[]): readonly Zone[] {
  const zones = texts.map(openZone);
  const labels = zones.map((zone) => zone.label);
  const twice = labels.find((label, index) => labels.indexOf(label) !== index);
  if (twice !== undefined) throw refuse('zones', twice + ' for the second time', 'every list once');
  return zones;
}

function readTargets(config: {
  readonly addresses: readonly string[];
  readonly domains: readonly string[];
}): readonly Target[] {
  const addresses = config.addresses.map((text) => {
    const target = addressTarget(text.trim());
    if (target === undefined) throw refuse('addresses', JSON.stringify(text), 'an IPv4 or IPv6 address');
    return target;
  });
  const domains = config.domains.map((text) => {
    const target = domainTarget(text);
    if (target === undefined) throw refuse('domains', JSON.stringify(text), 'a domain such as example.org');
    return target;
  });
  return [...new Map([...addresses, ...domains].map((target) => [target.label, target])).values()];
}

function readResolver(text: string): Resolver {
  const resolver = parseResolver(text);
  if (resolver === undefined)
    throw refuse('resolver', JSON.stringify(text), 'ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT (an address, not a name)');
  return resolver;
}

function refuse(option: string, found: string, expected: string): UserError {
  return new UserError('Cannot use option probe.dnsbl.' + option + ': found ' + found + ', expected ' + expected);
}
