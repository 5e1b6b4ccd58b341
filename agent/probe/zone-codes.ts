// How the addresses of one answer are read. Never a boolean: "cannot see" must not look like "not listed".
import { commonRefusals } from './zone-data.ts';
import type { Meaning, ZoneData } from './zone-data.ts';

export type Reading =
  /** What the list says, good or bad. */
  | { readonly kind: 'known'; readonly meanings: readonly Meaning[] }
  | { readonly kind: 'refused' | 'unhealthy' | 'unknown'; readonly text: string };

type Coded = Pick<ZoneData, 'codes' | 'refusals'>;

/** There is at least one address. The most serious doubt wins over any accusation. */
export function readCodes(zone: Coded, addresses: readonly string[]): Reading {
  const outside = addresses.find((address) => !/^127\.\d+\.\d+\.\d+$/.test(address));
  if (outside !== undefined)
    return {
      kind: 'unhealthy',
      text: 'answered ' + outside + ', outside 127.0.0.0/8: the list is dead, or the resolver invents answers',
    };
  const refusal = addresses.find((address) => refusalOf(zone, address) !== undefined);
  if (refusal !== undefined)
    return { kind: 'refused', text: 'answered ' + refusal + ': ' + (refusalOf(zone, refusal) ?? '') };
  const meanings = new Map(
    addresses.flatMap((address) => meaningsOf(zone, address)).map((meaning) => [meaning.text, meaning]),
  );
  if (meanings.size > 0) return { kind: 'known', meanings: [...meanings.values()] };
  return { kind: 'unknown', text: 'answered ' + addresses.join(', ') + ', a code that the list does not document' };
}

function refusalOf(zone: Coded, address: string): string | undefined {
  const own = lookUp(zone.refusals, address) ?? lookUp(commonRefusals, address);
  if (own !== undefined) return own;
  if (address.startsWith('127.255.255.')) return 'an error code';
  if (zone.codes.kind === 'any' && address === '127.0.0.1') return 'a code with which lists refuse a resolver';
  // Bit 1 is how SURBL and URIBL say "blocked", alone or among others.
  return zone.codes.kind === 'bits' && (lastOctet(address) & 1) === 1 ? 'the list refuses this resolver' : undefined;
}

function meaningsOf({ codes }: Coded, address: string): readonly Meaning[] {
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
      return [codes.meaning];
  }
}

/** By the address itself, or by an entry with `*` for octets. */
function lookUp<T>(table: Readonly<Record<string, T>> | undefined, address: string): T | undefined {
  if (table === undefined) return undefined;
  if (Object.hasOwn(table, address)) return table[address];
  const octets = address.split('.');
  return Object.entries(table).find(
    ([pattern]) =>
      pattern.includes('*') && pattern.split('.').every((octet, index) => octet === '*' || octet === octets[index]),
  )?.[1];
}

function lastOctet(address: string): number {
  return Number(address.slice(address.lastIndexOf('.') + 1));
}
