// From a zone in the configuration to what is asked and how its answers are read. A key inside a zone name is a secret: it
// is in `name`, which goes to the resolver alone; everything that is shown uses `label` and `mask`.
import { nearest } from '#shared/config-problems.ts';
import { UserError } from '#shared/failure.ts';
import { toAsciiName } from './names.ts';
import { commonRefusals, keyedSuffixes, knownZones, refusedZones } from './zone-data.ts';
import type { ZoneData, ZoneKind } from './zone-data.ts';

export type Zone = ZoneData & {
  /** As it is asked; may hold a key. */
  readonly name: string;
  /** As it is shown, keys masked. */
  readonly label: string;
  /** Takes the keys of this zone out of a text. */
  readonly mask: (text: string) => string;
};

/** What a set of addresses means. Never a boolean: "cannot see" must not look like "not listed". */
export type Reading =
  | { readonly kind: 'listed' | 'expected'; readonly meanings: readonly string[] }
  | { readonly kind: 'refused' | 'unhealthy' | 'unknown'; readonly text: string };

const plain: ZoneData = { kind: 'unknown', codes: { kind: 'any' }, note: 'a list that mailferry does not know' };

/** Throws UserError for a name that cannot be asked, and for a list that is dead or lists no bad senders. */
export function openZone(text: string): Zone {
  const name = toAsciiName(text);
  if (name === undefined || !name.includes('.'))
    throw refuse(hideKey(text.trim()).label, 'not a DNS name', 'the name of a block list such as zen.spamhaus.org');
  const { suffix, label, mask } = hideKey(name);
  const dead = Object.entries(refusedZones).find(([zone]) => name === zone || name.endsWith('.' + zone));
  if (dead !== undefined) {
    const [zone, reason] = dead;
    const near = nearest(zone, Object.keys(knownZones));
    const instead = near === undefined ? '' : ' (' + near + '?)';
    throw refuse(label, reason, 'a block list that works' + instead + '; take it out of probe.dnsbl.zones');
  }
  const known = Object.hasOwn(knownZones, suffix) ? knownZones[suffix] : undefined;
  return { ...(known ?? plain), name, label, mask };
}

function refuse(label: string, found: string, expected: string): UserError {
  return new UserError('Cannot use block list ' + label + ': ' + found + ', expected ' + expected);
}

/** The first label before a known suffix, and any label that looks like a key: long, without a word in it. */
function hideKey(name: string): {
  readonly suffix: string;
  readonly label: string;
  readonly mask: (text: string) => string;
} {
  const labels = name.split('.');
  const keyed = keyedSuffixes.some((suffix) => name.toLowerCase().endsWith('.' + suffix));
  const keys = labels.filter(
    (label, index) => (keyed && index < labels.length - 4) || (/^[a-z0-9]{20,}$/i.test(label) && /\d/.test(label)),
  );
  const secrets = new RegExp(keys.map((key) => escapeForPattern(key)).join('|'), 'gi');
  const mask = (text: string): string => (keys.length === 0 ? text : text.replaceAll(secrets, '***'));
  const suffix = labels.filter((label) => !keys.includes(label)).join('.');
  return { suffix, label: labels.map((label) => (keys.includes(label) ? '***' : label)).join('.'), mask };
}

/** RegExp.escape() came with a later Node than the oldest we run on. */
function escapeForPattern(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9]/g, (character) => '\\' + character);
}

export function askedFamilies(kind: ZoneKind): readonly ('ip4' | 'ip6' | 'domain')[] {
  switch (kind) {
    case 'ip':
      return ['ip4', 'ip6'];
    case 'unknown':
      return ['ip4', 'ip6', 'domain'];
    case 'ip4':
    case 'ip6':
    case 'domain':
      return [kind];
  }
}

/** Reads the addresses of one answer; there is at least one. The most serious doubt wins over any accusation. */
export function readCodes(zone: ZoneData, addresses: readonly string[]): Reading {
  const outside = addresses.find((address) => !/^127\.\d+\.\d+\.\d+$/.test(address));
  if (outside !== undefined)
    return {
      kind: 'unhealthy',
      text: 'answered ' + outside + ', outside 127.0.0.0/8: the list is dead, or the resolver invents answers',
    };
  const refusal = addresses.find((address) => refusalOf(zone, address) !== undefined);
  if (refusal !== undefined)
    return { kind: 'refused', text: 'answered ' + refusal + ': ' + (refusalOf(zone, refusal) ?? '') };
  const listed = unique(addresses.flatMap((address) => meaningsOf(zone, address)));
  if (listed.length > 0) return { kind: 'listed', meanings: listed };
  const expected = unique(addresses.flatMap((address) => lookUp(zone.expected, address) ?? []));
  if (expected.length > 0) return { kind: 'expected', meanings: expected };
  return { kind: 'unknown', text: 'answered ' + addresses.join(', ') + ', a code that the list does not document' };
}

function refusalOf(zone: ZoneData, address: string): string | undefined {
  const own = lookUp(zone.refusals, address) ?? lookUp(commonRefusals, address);
  if (own !== undefined) return own;
  if (address.startsWith('127.255.255.')) return 'an error code';
  if (zone.codes.kind === 'any' && address === '127.0.0.1') return 'a code with which lists refuse a resolver';
  // Bit 1 is how SURBL and URIBL say "blocked", alone or among others.
  return zone.codes.kind === 'bits' && (lastOctet(address) & 1) === 1 ? 'the list refuses this resolver' : undefined;
}

function meaningsOf(zone: ZoneData, address: string): readonly string[] {
  const { codes } = zone;
  switch (codes.kind) {
    case 'table': {
      const meaning = lookUp(codes.meanings, address);
      return meaning === undefined ? [] : [meaning];
    }
    case 'bits':
      return Object.entries(codes.meanings).flatMap(([bit, meaning]) =>
        (lastOctet(address) & Number(bit)) === 0 ? [] : [meaning],
      );
    case 'any':
      return ['listed'];
  }
}

function lookUp(table: Readonly<Record<string, string>> | undefined, key: string): string | undefined {
  return table !== undefined && Object.hasOwn(table, key) ? table[key] : undefined;
}

function lastOctet(address: string): number {
  return Number(address.slice(address.lastIndexOf('.') + 1));
}

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
