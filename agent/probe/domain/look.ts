// Questions to DNS in the form that the checks of a domain need: found, none, or not known. What is not known is never taken for
// none.
import type { Dns, RecordType } from '../dns.ts';
import type { Finding, Level } from '../check.ts';

export type Looked =
  | { readonly kind: 'found'; readonly values: readonly string[] }
  | { readonly kind: 'none'; readonly exists: boolean }
  | { readonly kind: 'unknown'; readonly text: string };
export type Look = (name: string, type: RecordType) => Promise<Looked>;

/** Each question is asked once, however many checks need its answer. */
export function createLook(dns: Dns, signal: AbortSignal): Look {
  const asked = new Map<string, Promise<Looked>>();
  return (name, type) => {
    const key = type + ' ' + name.toLowerCase();
    const known = asked.get(key);
    if (known !== undefined) return known;
    const answer = ask(dns, name, type, signal);
    asked.set(key, answer);
    return answer;
  };
}

async function ask(dns: Dns, name: string, type: RecordType, signal: AbortSignal): Promise<Looked> {
  const answer = await dns.ask({ name, type }, signal);
  switch (answer.kind) {
    case 'records':
      return { kind: 'found', values: answer.values };
    case 'none':
      return { kind: 'none', exists: answer.reason === 'nodata' };
    case 'failed':
      return { kind: 'unknown', text: answer.text };
  }
}

/** All addresses of a host; unknown when one of the two questions was not answered and the other found nothing. */
export async function addressesOf(look: Look, host: string): Promise<Looked> {
  const [four, six] = await Promise.all([look(host, 'A'), look(host, 'AAAA')]);
  const values = [four, six].flatMap((one) => (one.kind === 'found' ? one.values : []));
  if (values.length > 0) return { kind: 'found', values };
  if (four.kind === 'unknown') return four;
  return six;
}

/** Those of a kind of record that share their name with others: SPF, DKIM and DMARC are texts among texts. */
export async function textsOf(look: Look, name: string, mark: RegExp): Promise<Looked> {
  const texts = await look(name, 'TXT');
  if (texts.kind !== 'found') return texts;
  const values = texts.values.filter((text) => mark.test(text));
  return values.length === 0 ? { kind: 'none', exists: true } : { kind: 'found', values };
}

/** Makes findings about one property of one domain. */
export function speakOf(target: string, check: string) {
  return (level: Level, text: string, remedy?: string): Finding => ({
    target,
    check,
    level,
    text,
    ...(remedy === undefined ? {} : { remedy }),
  });
}

export const resolverRemedy =
  'Nothing, when it passes. If it stays, check the resolver (probe.domain.resolver) and the name servers of the domain.';

/** `tag=value; tag=value` of DKIM and DMARC, tags in lower case; undefined for what is no such list. */
export function readTags(text: string): ReadonlyMap<string, string> | undefined {
  const tags = new Map<string, string>();
  for (const part of text.split(';')) {
    if (part.trim() === '') continue;
    const [, tag, value] = /^\s*([A-Za-z][A-Za-z0-9_]*)\s*=([^]*)$/.exec(part) ?? [];
    if (tag === undefined || value === undefined || tags.has(tag.toLowerCase())) return undefined;
    tags.set(tag.toLowerCase(), value.trim());
  }
  return tags;
}
