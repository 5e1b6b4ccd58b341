// May a list be believed through this resolver? RFC 5782 section 5: a test entry that is always listed, another that never
// is, and a name that nobody can have listed. The first finds lists that are dead or silently refuse us, the others find
// those that list the whole world. What is asked depends on the kind of list: addresses of lists of addresses, names of lists
// of names.
import type { Dns } from './dns.ts';
import { expand6, reverse6 } from './names.ts';
import type { Target } from './names.ts';
import type { Resolver } from './resolvers.ts';
import { readCodes } from './zone-codes.ts';
import type { Zone } from './zones.ts';

export type Health =
  | { readonly kind: 'healthy' }
  | {
      readonly kind: 'refused' | 'error' | 'zone-unhealthy';
      readonly text: string;
      /** Neither test entry is known: what an empty list does, and a list of another kind. */
      readonly absent: boolean;
      /** The name of which the list has words on why it refuses. */
      readonly words?: string;
    };

type Entry = { readonly name: string; readonly label: string };
type TestEntries = { readonly listed: readonly Entry[]; readonly clean: Entry };

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

/** Letters and digits alone: a resolver may refuse to pass on what is no host name, and that says nothing of the list. */
export function randomLabel(random: () => number): string {
  const letters = 'abcdefghijklmnopqrstuvwxyz';
  const pick = (from: string): string => from.charAt(Math.floor(random() * from.length));
  return pick(letters) + Array.from({ length: 15 }, () => pick(letters + '0123456789')).join('');
}

export type SelfTestOptions = {
  readonly dns: Dns;
  readonly zone: Zone;
  readonly family: Target['family'];
  readonly resolver: Resolver;
  /** See randomLabel(). */
  readonly nobody: string;
  readonly signal: AbortSignal;
};

export async function selfTest(options: SelfTestOptions): Promise<Health> {
  const { zone, family } = options;
  const entries = testEntries(zone, family);
  const mustList = zone.untested?.includes('listed') !== true;
  const listed = mustList ? await findListed(options, entries.listed) : { found: true };
  if ('problem' in listed) return listed.problem;
  const nobody = { name: options.nobody, label: 'an invented name' };
  const unlisted = zone.untested?.includes('clean') === true ? [nobody] : [entries.clean, nobody];
  // All at once: a slow list would else take a round trip for each.
  const problems = await Promise.all(unlisted.map((entry) => findWorld(options, entry)));
  const [first] = problems.filter((one) => one !== undefined);
  if (first !== undefined) return first;
  if (listed.found) return { kind: 'healthy' };
  const missing = entries.listed.map((entry) => entry.label).join(' and ');
  const text =
    'does not list its test entry ' + missing + ': the list is empty or dead, or silently refuses this resolver';
  return { kind: 'zone-unhealthy', text, absent: true };
}

async function findListed(
  options: SelfTestOptions,
  entries: readonly Entry[],
): Promise<{ readonly found: boolean } | { readonly problem: Health }> {
  for (const entry of entries) {
    const { answer, name } = await ask(options, entry);
    if (answer.kind === 'failed') return { problem: problem('error', answer.text) };
    if (answer.kind === 'none') continue;
    const reading = readCodes(options.zone, answer.values);
    switch (reading.kind) {
      case 'known':
        return { found: true };
      case 'refused':
        return { problem: problem('refused', reading.text, name) };
      case 'unhealthy':
        return { problem: problem('zone-unhealthy', reading.text) };
      case 'unknown':
        return { problem: problem('error', 'test entry ' + entry.label + ' ' + reading.text) };
    }
  }
  return { found: false };
}

/** An entry that must not be listed. */
async function findWorld(options: SelfTestOptions, entry: Entry): Promise<Health | undefined> {
  const { answer, name } = await ask(options, entry);
  if (answer.kind === 'failed') return problem('error', answer.text);
  if (answer.kind === 'none') return undefined;
  const reading = readCodes(options.zone, answer.values);
  if (reading.kind === 'refused') return problem('refused', reading.text, name);
  if (reading.kind === 'unhealthy') return problem('zone-unhealthy', reading.text);
  return problem('zone-unhealthy', 'lists ' + entry.label + ', which no list may hold: it lists the whole world');
}

async function ask({ dns, resolver, signal, zone }: SelfTestOptions, entry: Entry) {
  const name = entry.name + '.' + zone.name;
  return { name, answer: await dns.ask({ name, type: 'A' }, signal, [resolver]) };
}

function problem(kind: 'refused' | 'error' | 'zone-unhealthy', text: string, words?: string): Health {
  return { kind, text, absent: false, ...(words !== undefined && { words }) };
}
