// May a list be believed through this resolver? RFC 5782 section 5: a test entry that is always listed, another that never
// is. The first finds lists that are dead or silently refuse us, the second finds those that list the whole world.
import type { Dns } from './dns.ts';
import { expand6, reverse6 } from './names.ts';
import type { Target } from './names.ts';
import type { Resolver } from './resolvers.ts';
import { readCodes } from './zones.ts';
import type { Zone } from './zones.ts';

export type Health =
  | { readonly kind: 'healthy' }
  | {
      readonly kind: 'refused' | 'error' | 'zone-unhealthy';
      readonly text: string;
      /** Neither test entry is known: what an empty list does, and a list of another kind. */
      readonly absent: boolean;
    };

type TestEntries = {
  readonly listed: readonly { readonly name: string; readonly label: string }[];
  readonly clean: { readonly name: string; readonly label: string };
};

function testEntries(zone: Zone, family: Target['family']): TestEntries {
  const entry = (name: string, label: string = name) => ({ name, label });
  switch (family) {
    case 'ip4':
      return { listed: [entry('2.0.0.127', '127.0.0.2')], clean: entry('1.0.0.127', '127.0.0.1') };
    case 'ip6':
      return {
        listed: [entry(reverse6(expand6('::ffff:7f00:2')), '::ffff:7f00:2')],
        clean: entry(reverse6(expand6('::ffff:7f00:1')), '::ffff:7f00:1'),
      };
    case 'domain': {
      const own = zone.testName === undefined ? [] : [entry(zone.testName)];
      return { listed: [...own, entry('test', 'TEST')], clean: entry('invalid', 'INVALID') };
    }
  }
}

export async function selfTest(
  dns: Dns,
  zone: Zone,
  family: Target['family'],
  resolver: Resolver,
  signal: AbortSignal,
): Promise<Health> {
  const entries = testEntries(zone, family);
  const ask = (name: string) => dns.ask({ name: name + '.' + zone.name, type: 'A' }, signal, [resolver]);
  let found = false;
  for (const entry of entries.listed) {
    const answer = await ask(entry.name);
    if (answer.kind === 'failed') return problem('error', answer.text);
    if (answer.kind === 'none') continue;
    const reading = readCodes(zone, answer.values);
    if (reading.kind === 'refused') return problem('refused', reading.text);
    if (reading.kind === 'unhealthy') return problem('zone-unhealthy', reading.text);
    if (reading.kind === 'unknown') return problem('error', 'test entry ' + entry.label + ' ' + reading.text);
    found = true;
    break;
  }
  const answer = await ask(entries.clean.name);
  if (answer.kind === 'failed') return problem('error', answer.text);
  if (answer.kind === 'records') {
    const reading = readCodes(zone, answer.values);
    if (reading.kind === 'refused') return problem('refused', reading.text);
    return problem(
      'zone-unhealthy',
      'lists ' + entries.clean.label + ', which no list may hold: it lists the whole world',
    );
  }
  if (found) return { kind: 'healthy' };
  const missing = entries.listed.map((entry) => entry.label).join(' and ');
  const text =
    'does not list its test entry ' + missing + ': the list is empty or dead, or silently refuses this resolver';
  return { kind: 'zone-unhealthy', text, absent: true };
}

function problem(kind: 'refused' | 'error' | 'zone-unhealthy', text: string): Health {
  return { kind, text, absent: false };
}
