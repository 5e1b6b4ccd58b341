// What the last answers of block lists mean to a person, and what to do about them.
import type { Finding } from './check.ts';
import type { DnsblResult } from './dnsbl.ts';
import { remedyOf } from './severity.ts';
import type { Role } from './severity.ts';
import type { Level } from './zone-data.ts';

export type ResultsOptions = {
  readonly results: readonly DnsblResult[];
  /** How loud it is told by now. */
  readonly standing: (result: DnsblResult) => { readonly level: Level; readonly doubtful: boolean };
  readonly roleOf: (target: string) => Role | undefined;
  /** Names that have no address, and why. */
  readonly problems: ReadonlyMap<string, string>;
};

export function describeResults(options: ResultsOptions): readonly Finding[] {
  const names = [...options.problems].map(([name, problem]): Finding => ({
    target: name,
    check: 'address',
    level: 'unknown',
    text: 'no address is known for it: ' + problem,
    remedy: 'Check the name under probe.dnsbl.names, and that dynamic DNS is set up for it.',
  }));
  return [...names, ...options.results.map((result) => describeOne(result, options))];
}

function describeOne(result: DnsblResult, options: ResultsOptions): Finding {
  const { reason, target, zone } = result;
  const base = { target, check: zone };
  switch (result.state) {
    case 'clean':
    case 'gone':
    case 'not-applicable': {
      const told = options.standing(result).level;
      if (told === 'warning' || told === 'critical')
        return {
          ...base,
          level: told,
          text: 'was listed; this answer says that it no longer is, the next one decides',
        };
      return { ...base, level: result.level === 'info' ? 'info' : 'ok', text: reason === '' ? 'not listed' : reason };
    }
    case 'listed':
      return { ...base, ...describeListing(result, options) };
    case 'refused':
      return {
        ...base,
        level: 'unknown',
        text: 'the list refuses to answer: ' + reason,
        remedy: 'Use a resolver of your own (probe.dnsbl.resolver), or a key of the list.',
      };
    case 'error':
      return {
        ...base,
        level: 'unknown',
        text: 'no usable answer: ' + reason,
        remedy: 'Nothing, when it passes. If it stays, check the resolver, or take the list out of probe.dnsbl.zones.',
      };
    case 'zone-unhealthy':
      return {
        ...base,
        level: 'unknown',
        text: 'the list ' + reason,
        remedy:
          'Ask through a resolver of your own, which a list may refuse less silently; if it stays, take the list out of probe.dnsbl.zones.',
      };
  }
}

function describeListing(result: DnsblResult, options: ResultsOptions): Pick<Finding, 'level' | 'text' | 'remedy'> {
  const { doubtful, level } = options.standing(result);
  if (doubtful)
    return {
      level: 'unknown',
      text: 'listed like at most other lists at once, which is more likely a fault of the resolver: ' + result.reason,
      remedy: 'Ask again through another resolver.',
    };
  const role = options.roleOf(result.target) ?? 'site';
  const pending = level === 'none' && result.level !== 'none' ? ' (not yet confirmed by a second answer)' : '';
  return {
    level: level === 'none' ? 'info' : level,
    text: 'listed' + pending + ': ' + result.reason,
    remedy: remedyOf(role, result.class ?? 'listed'),
  };
}
