// From a zone in the configuration to what is asked and how its answers are read. A key inside a zone name is a secret: it
// is in `name`, which goes to the resolver alone; everything that is shown uses `label` and `mask`.
import { nearest } from '#shared/config-problems.ts';
import { UserError } from '#shared/failure.ts';
import { refusedZones } from './dead-zones.ts';
import { toAsciiName } from './names.ts';
import { keyedSuffixes, knownZones } from './zone-data.ts';
import type { Codes, Level, Meaning, ZoneData, ZoneKind } from './zone-data.ts';

export type Zone = ZoneData & {
  /** As it is asked; may hold a key. */
  readonly name: string;
  /** As it is shown, keys masked. */
  readonly label: string;
  /** Takes the keys of this zone out of a text. */
  readonly mask: (text: string) => string;
};

/** What a user says of a list that we do not know, or know differently. */
export type OwnZone = {
  readonly kind?: Exclude<ZoneKind, 'unknown'>;
  /** Code (an octet may be `*`) -> what it means; all others are unknown then. */
  readonly codes?: Readonly<Record<string, string>>;
  /** Code -> what it says. */
  readonly refusals?: Readonly<Record<string, string>>;
  readonly severity?: Exclude<Level, 'none'>;
  readonly testName?: string;
};

const unknownList: ZoneData = {
  kind: 'unknown',
  codes: { kind: 'any', meaning: { text: 'listed', class: 'listed', level: 'warning' } },
  policy: 'a list that mailferry does not know',
  source: '',
};

/** Throws ZoneRefused for a name that cannot be asked, and for a list that is dead or never was. `key`: put in front of the name. */
export function openZone(text: string, own: OwnZone = {}, key?: string): Zone {
  const name = toAsciiName(key === undefined ? text : key.trim() + '.' + text);
  const { suffix, label, mask } = hideKey(name ?? text.trim(), key?.trim());
  if (name === undefined || !text.includes('.'))
    throw new ZoneRefused(label, 'not a DNS name', 'the name of a block list such as zen.spamhaus.org');
  const dead = Object.entries(refusedZones).find(([zone]) => name === zone || name.endsWith('.' + zone));
  if (dead !== undefined) {
    const [zone, reason] = dead;
    const near = nearest(zone, Object.keys(knownZones));
    const instead = near === undefined ? '' : ' (' + near + '?)';
    throw new ZoneRefused(label, reason, 'a block list that works' + instead + '; take it out');
  }
  const known = Object.hasOwn(knownZones, suffix) ? knownZones[suffix] : undefined;
  return { ...describeOwn(known ?? unknownList, own), name, label, mask };
}

function describeOwn(data: ZoneData, own: OwnZone): ZoneData {
  const { codes, kind = data.kind, refusals, severity, testName } = own;
  const louder = (meaning: Meaning): Meaning =>
    severity === undefined || meaning.level === 'none' ? meaning : { ...meaning, level: severity };
  const table = codes && {
    kind: 'table' as const,
    meanings: Object.fromEntries(
      Object.entries(codes).map(([code, text]) => [code, louder({ text, class: 'listed', level: 'warning' })]),
    ),
  };
  return {
    ...data,
    kind,
    codes: table ?? mapMeanings(data.codes, louder),
    ...(refusals && { refusals: { ...data.refusals, ...refusals } }),
    ...(testName !== undefined && { testName }),
  };
}

function mapMeanings(codes: Codes, change: (meaning: Meaning) => Meaning): Codes {
  if (codes.kind === 'any') return { ...codes, meaning: change(codes.meaning) };
  const meanings = Object.fromEntries(Object.entries(codes.meanings).map(([code, one]) => [code, change(one)]));
  return { ...codes, meanings };
}

/** A list that must not be asked. Keys are masked in all of it. */
export class ZoneRefused extends UserError {
  readonly label: string;
  readonly found: string;
  readonly expected: string;

  constructor(label: string, found: string, expected: string) {
    super('Cannot use block list ' + label + ': ' + found + ', expected ' + expected);
    this.label = label;
    this.found = found;
    this.expected = expected;
  }
}

/** The key that was given, the first label before a known suffix, and any label that looks like a key: long, without a word in it. */
function hideKey(
  name: string,
  given: string | undefined,
): {
  readonly suffix: string;
  readonly label: string;
  readonly mask: (text: string) => string;
} {
  const labels = name.split('.');
  const keyed = keyedSuffixes.some((suffix) => name.toLowerCase().endsWith('.' + suffix));
  const keys = labels.filter(
    (label, index) =>
      (given !== undefined && index === 0) ||
      (keyed && index < labels.length - 4) ||
      (/^[a-z0-9]{20,}$/i.test(label) && /\d/.test(label)),
  );
  const secrets = [...keys, ...(given === undefined ? [] : [given])].filter((key) => key !== '');
  const pattern = new RegExp(secrets.map((key) => escapeForPattern(key)).join('|'), 'gi');
  const mask = (text: string): string => (secrets.length === 0 ? text : text.replaceAll(pattern, '***'));
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
