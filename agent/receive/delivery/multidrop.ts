// One mailbox at the provider for many local addresses: the provider writes each mail's envelope recipient into its header.
// Promises: that line counts only where no sender can have written it, above the first Received, which must be the
// provider's own; nothing is guessed from To or Cc; in doubt the fallback mailbox gets the mail, so nobody's mail is lost.
import type { HeaderLine } from './header.ts';

export type Multidrop = {
  /** Name of the header line that holds an envelope recipient. */
  readonly header: string;
  /** Accepted domains. */
  readonly domains: readonly string[];
  /** Who gets what has no usable recipient. */
  readonly fallback: string;
  /** The host, or a domain of hosts, that stands after `by` in the provider's own Received. */
  readonly provider: string;
};

/** At least one address, each once, in the order of the header. */
export function multidropRecipients(header: readonly HeaderLine[], options: Multidrop): readonly string[] {
  const first = header.findIndex(({ name }) => name === 'received');
  const received = header[first];
  if (received === undefined || !isBy(received.value, options.provider)) return [options.fallback];
  const wanted = options.header.toLowerCase();
  const found = header
    .slice(0, first)
    .filter(({ name }) => name === wanted)
    .flatMap(({ value }) => value.split(','))
    .map(addressOf);
  const accepted = found.filter((address) => address !== undefined && isAccepted(address, options.domains));
  // What cannot be read may be somebody's address. One in another domain is no address of ours: the login's own, mostly.
  const doubt = accepted.length === 0 || found.includes(undefined);
  return unique([...accepted.flatMap((address) => address ?? []), ...(doubt ? [options.fallback] : [])]);
}

/** Undefined for whatever is no plain address: encoded, quoted, with a display name, broken by a fold. */
function addressOf(text: string): string | undefined {
  const address = /^<([^<>]*)>$/.exec(text.trim())?.[1] ?? text.trim();
  return address.length <= 254 && plain.test(address) ? address : undefined;
}
const plain =
  /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;

function isAccepted(address: string, domains: readonly string[]): boolean {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
  return domains.some((accepted) => accepted.toLowerCase() === domain);
}

/** RFC 5321 section 4.4: `from X by Y ...`. The name after from is the sender's claim, also when he claims to be "by". */
function isBy(received: string, provider: string): boolean {
  const words = withoutComments(received).trim().toLowerCase().split(/\s+/);
  const at = words.indexOf('by', words[0] === 'from' ? 2 : 0);
  const host = at < 0 ? '' : (words[at + 1] ?? '').replace(/[;.]+$/, '');
  const name = provider.toLowerCase();
  return host === name || host.endsWith('.' + name);
}

function withoutComments(text: string): string {
  let depth = 0;
  let rest = '';
  for (const letter of text) {
    if (letter === '(') depth += 1;
    else if (letter === ')') depth = Math.max(0, depth - 1);
    else if (depth === 0) rest += letter;
    if (letter === ')') rest += ' ';
  }
  return rest;
}

/** Local parts that differ in case alone mean one mailbox wherever mail is delivered today. */
function unique(addresses: readonly string[]): readonly string[] {
  const seen = new Map<string, string>();
  for (const address of addresses) if (!seen.has(address.toLowerCase())) seen.set(address.toLowerCase(), address);
  return [...seen.values()];
}
