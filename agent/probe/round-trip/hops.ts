// What the Received lines of a probe that came back tell: from which address the relay saw us, by which of its own addresses
// the mail left it, and what time it was there. Pure. Only lines above our own one count, since we know who wrote that.
import { isIP } from 'node:net';
import { addressTarget, isPrivate } from '../names.ts';

export type HeaderLine = { readonly name: string; readonly value: string };
export type Sighting = {
  /** The public address from which this site came to the relay. */
  readonly site: readonly string[];
  /** Addresses by which the relay sent the mail on. */
  readonly relay: readonly string[];
  /** The relay's clock when it took the mail, milliseconds since 1970; whole seconds. */
  readonly relayAt?: number;
  /** What the mailbox's provider says of spf, dkim and dmarc, such as `spf=pass`. */
  readonly authentication: Readonly<Record<string, string>>;
};

type Hop = { readonly from: readonly string[]; readonly by: string; readonly at: number | undefined };

/** `mailId`: the id under which our own queue took it, which stands in our Received line. */
export function readSighting(header: readonly HeaderLine[], mailId: string): Sighting {
  const received = header.filter(({ name }) => name === 'received').map(({ value }) => value);
  const own = received.findIndex((value) => new RegExp('\\bid ' + escape(mailId) + '(?![\\w-])').test(value));
  const hops = received.slice(0, Math.max(0, own)).map(readHop).reverse();
  const [first, ...later] = hops;
  const authentication = readAuthentication(header);
  if (first === undefined) return { site: [], relay: [], authentication };
  const leaving = later.find((hop) => hop.from.length > 0 && ownerOf(hop.by) !== ownerOf(first.by));
  // Relay and mailbox of one provider: every hop is its own, and the last public one is all that can be told.
  const relay = leaving ?? later.findLast((hop) => hop.from.length > 0);
  return {
    site: first.from,
    relay: relay?.from ?? [],
    ...(first.at === undefined ? {} : { relayAt: first.at }),
    authentication,
  };
}

/** Of the addresses of a line, the latest first: an earlier one of the same family is somebody else's by now. */
export function currentOf(addresses: readonly string[]): readonly string[] {
  const families = addresses.map((address) => addressTarget(address)?.family);
  return addresses.filter((_, index) => families.indexOf(families[index]) === index);
}

/** `from NAME (NAME [ADDRESS]) by NAME ...; DATE` (RFC 5321 section 4.4), and what others make of it. */
function readHop(value: string): Hop {
  const flat = value.replaceAll(/\s+/g, ' ');
  const from = /(?:^| )from (.*?)(?= by |;|$)/i.exec(flat)?.[1] ?? '';
  const by = /(?:^| )by ([^\s;()]+)/i.exec(flat)?.[1]?.toLowerCase() ?? '';
  const addresses = [...from.matchAll(/[[(]\s*(?:IPv6:)?([0-9a-fA-F:.]{3,45})\s*[\])]/g)]
    .map(([, text = '']) => (isIP(text) === 0 ? undefined : addressTarget(text)))
    .filter((target) => target !== undefined && !isPrivate(target))
    .flatMap((target) => target?.label ?? []);
  const at = Date.parse(
    flat
      .slice(flat.lastIndexOf(';') + 1)
      .replaceAll(/\([^()]*\)/g, ' ')
      .trim(),
  );
  return { from: [...new Set(addresses)], by, at: Number.isNaN(at) ? undefined : at };
}

/** The last two labels: exact enough to tell one provider's hosts from another's. */
function ownerOf(host: string): string {
  return host.split('.').slice(-2).join('.');
}

/** The provider's own line alone: it stands above the first Received, everything lower may come from a stranger. */
function readAuthentication(header: readonly HeaderLine[]): Readonly<Record<string, string>> {
  const top = header.findIndex(({ name }) => name === 'received');
  // Some providers write it below their topmost Received; but never below the one of the host before theirs.
  const second = header.findIndex(({ name }, index) => index > top && name === 'received');
  const lines = header.slice(0, second < 0 ? header.length : second);
  const value = lines.find(({ name }) => name === 'authentication-results')?.value ?? '';
  const plain = value.replaceAll(/\([^()]*\)/g, ' ');
  const found = [...plain.matchAll(/(?:^|[;\s])(spf|dkim|dmarc)\s*=\s*([a-z]+)/gi)];
  // Several signatures: one that passes is enough.
  return Object.fromEntries(
    ['spf', 'dkim', 'dmarc'].flatMap((method) => {
      const all = found
        .filter(([, name]) => name?.toLowerCase() === method)
        .map(([, , word = '']) => word.toLowerCase());
      const [first] = all;
      return first === undefined ? [] : [[method, all.includes('pass') ? 'pass' : first]];
    }),
  );
}

function escape(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
