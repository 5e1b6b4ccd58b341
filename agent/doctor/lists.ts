// Whether block lists can be asked through this resolver: many answer a public one with a refusal (RFC 5782 section 5 has
// test entries for that).
import { Resolver } from 'node:dns/promises';
import { codeOf, describe } from '#shared/failure.ts';
import type { AgentConfig } from '../config.ts';
import type { Check, Common } from './check.ts';
import { doubtful, noted, well, wrong } from './finding.ts';
import type { Trial } from './finding.ts';

/** Of lists of addresses, and two that lists of domains have. */
const testEntries = ['2.0.0.127', 'test', 'dbltest.com'] as const;

export function checkLists({ loaded }: Common): readonly Check[] {
  const { dnsbl } = loaded.value.probe ?? {};
  if (dnsbl === undefined || dnsbl.addresses.length + dnsbl.domains.length === 0) return [];
  return dnsbl.zones.map((zone, index) => ({
    name: 'block list',
    path: ['probe', 'dnsbl', 'zones', index],
    look: async () => tryList(nameOf(loaded, index, zone), dnsbl.resolver),
  }));
}

type Zone = NonNullable<NonNullable<AgentConfig['probe']>['dnsbl']>['zones'][number];

/** With its key. Throws UserError when that cannot be read. */
function nameOf(loaded: Common['loaded'], index: number, zone: Zone): string {
  if (typeof zone === 'string') return zone;
  const path = ['probe', 'dnsbl', 'zones', index, 'key'];
  return zone.key === undefined ? zone.zone : loaded.secret(path, zone.key) + '.' + zone.zone;
}

/** A key in front of the name of a list is nobody's business. */
const shown = (zone: string): string => zone.replace(/^[^.]{16,}\./, '***.');

export async function tryList(zone: string, server: string | undefined): Promise<Trial> {
  const resolver = new Resolver({ timeout: 3_000, tries: 2 });
  const name = zone.replace(/\s.*$/, '');
  const told = shown(name);
  const through = server === undefined ? "this machine's resolver" : server;
  try {
    if (server !== undefined) resolver.setServers([server]);
  } catch (error) {
    return wrong({
      found: 'the resolver ' + server + ': ' + describe(error),
      expected: 'ADDRESS or ADDRESS:PORT',
      remedy: 'correct probe.dnsbl.resolver',
    });
  }
  for (const entry of testEntries) {
    try {
      const addresses = await resolver.resolve4(entry + '.' + name);
      if (addresses.some((one) => one.startsWith('127.255.255.')))
        return doubtful({
          found: told + ' refuses to answer through ' + through + ' (' + addresses.join(', ') + ')',
          expected: 'an answer',
          remedy:
            'ask through a resolver of your own or of your provider (probe.dnsbl.resolver), or with a key of the list',
        });
      if (addresses.some((one) => one.startsWith('127.'))) return well(told + ' answers through ' + through);
      return doubtful({
        found: told + ' answers ' + addresses.join(', ') + ', which is no answer of a block list',
        expected: 'an address in 127.0.0.0/8',
        remedy: 'the list has moved or the resolver makes answers up: take another resolver, or leave the list away',
      });
    } catch (error) {
      if (codeOf(error) === 'ENOTFOUND' || codeOf(error) === 'ENODATA') continue;
      return wrong({
        found: 'no answer about ' + told + ' through ' + through + ' (' + (codeOf(error) ?? describe(error)) + ')',
        expected: 'an answer of the resolver',
        remedy: 'check probe.dnsbl.resolver, or the name servers of this machine (DSM: Control Panel > Network)',
      });
    }
  }
  return noted(
    told + ' has none of the usual test entries: it is empty, dead, or of another kind',
    'check the name of the list; the agent tells what it finds in `mailferry status`',
  );
}
