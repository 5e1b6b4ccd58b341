// The text of an SPF record as terms (RFC 7208 section 12), and macros in it (section 7). Pure.

export type Qualifier = 'pass' | 'fail' | 'softfail' | 'neutral';
export type Mechanism = 'all' | 'include' | 'a' | 'mx' | 'ptr' | 'ip4' | 'ip6' | 'exists';
export type Term = {
  readonly mechanism: Mechanism;
  readonly qualifier: Qualifier;
  /** The domain, or the network; macros not expanded; empty: the domain itself. */
  readonly target: string;
  /** Bits that count. */
  readonly bits4: number;
  readonly bits6: number;
};
export type SpfRecord = { readonly terms: readonly Term[]; readonly redirect?: string };

const qualifiers: Readonly<Record<string, Qualifier>> = { '+': 'pass', '-': 'fail', '~': 'softfail', '?': 'neutral' };
const mechanisms: readonly Mechanism[] = ['all', 'include', 'a', 'mx', 'ptr', 'ip4', 'ip6', 'exists'];
const isMechanism = (word: string): word is Mechanism => mechanisms.some((one) => one === word);

/** Gives a sentence when it cannot be read. One bad term spoils the whole record (section 4.6). */
export function readRecord(text: string): SpfRecord | string {
  const terms: Term[] = [];
  let redirect: string | undefined;
  for (const word of text.split(' ').slice(1)) {
    if (word === '') continue;
    const [, name, value] = /^([A-Za-z][A-Za-z0-9._-]*)=(.*)$/.exec(word) ?? [];
    if (name !== undefined && value !== undefined) {
      if (name.toLowerCase() !== 'redirect') continue; // exp, and what nobody knows yet
      if (redirect !== undefined) return 'redirect= stands there twice';
      if (!isDomainSpec(value)) return word + ' cannot be read';
      redirect = value;
      continue;
    }
    const term = readTerm(word);
    if (typeof term === 'string') return term;
    terms.push(term);
  }
  return { terms, ...(redirect === undefined ? {} : { redirect }) };
}

function readTerm(word: string): Term | string {
  const [, sign = '', name = '', rest = ''] = /^([-+~?]?)([A-Za-z0-9]+)([:/].*)?$/.exec(word) ?? [];
  const mechanism = name.toLowerCase();
  const qualifier = qualifiers[sign === '' ? '+' : sign];
  if (!isMechanism(mechanism) || qualifier === undefined) return 'the term ' + word + ' is not known';
  const bad = 'the term ' + word + ' cannot be read';
  const whole = { mechanism, qualifier, target: '', bits4: 32, bits6: 128 };
  if (mechanism === 'all') return rest === '' ? whole : bad;
  if (mechanism === 'ip4' || mechanism === 'ip6') return readNetwork(whole, rest) ?? bad;
  const takesBits = mechanism === 'a' || mechanism === 'mx';
  const [, target, four, six] =
    (takesBits ? /^(?::(.+?))?(?:\/(\d{1,2}))?(?:\/\/(\d{1,3}))?$/ : /^(?::(.+))?$/).exec(rest) ?? [];
  if (target === undefined && (mechanism === 'include' || mechanism === 'exists')) return bad;
  if (target !== undefined && !isDomainSpec(target)) return bad;
  if (rest !== '' && target === undefined && four === undefined && six === undefined) return bad;
  const bits4 = Number(four ?? 32);
  const bits6 = Number(six ?? 128);
  return bits4 > 32 || bits6 > 128 ? bad : { ...whole, target: target ?? '', bits4, bits6 };
}

function readNetwork(term: Term, rest: string): Term | undefined {
  const [, target, bits] = /^:([0-9A-Fa-f:.]+)(?:\/(\d{1,3}))?$/.exec(rest) ?? [];
  const most = term.mechanism === 'ip4' ? 32 : 128;
  const width = Number(bits ?? most);
  if (target === undefined || width > most || parseAddress(target)?.bits !== most) return undefined;
  return { ...term, target, bits4: width, bits6: width };
}

const macroForm = /%\{([slodiphcrtv])(\d*)(r?)([-.+,/_=]*)\}/gi;

function isDomainSpec(text: string): boolean {
  const left = text.replaceAll(macroForm, 'x').replaceAll(/%[%_-]/g, 'x');
  return left !== '' && !/[%\s]/.test(left);
}

/** `values`: by letter. Upper case letters ask for percent encoding. */
export function expandMacros(text: string, values: (letter: string) => string): string {
  const expanded = text.replaceAll(macroForm, (_, letter: string, digits: string, reverse: string, marks: string) => {
    const splitter = marks === '' ? '.' : marks;
    const parts = values(letter.toLowerCase()).split(new RegExp('[' + splitter.replaceAll(/[-\]\\^]/g, '\\$&') + ']'));
    if (reverse !== '') parts.reverse();
    const kept = digits === '' || Number(digits) === 0 ? parts : parts.slice(-Number(digits));
    const joined = kept.join('.');
    return letter === letter.toLowerCase() ? joined : encodeURIComponent(joined);
  });
  const plain = expanded.replaceAll('%%', '%').replaceAll('%_', ' ').replaceAll('%-', '%20').replace(/\.$/, '');
  // Too long a name loses labels on the left (section 7.3).
  const labels = plain.split('.');
  while (labels.length > 1 && labels.join('.').length > 253) labels.shift();
  return labels.join('.');
}

export type Address = { readonly value: bigint; readonly bits: 32 | 128 };

/** IPv4 inside IPv6 is IPv4 (section 5). Undefined for what is no address. */
export function parseAddress(text: string): Address | undefined {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text)?.[1];
  const four = mapped ?? text;
  if (/^\d{1,3}(?:\.\d{1,3}){3}$/.test(four)) {
    const bytes = four.split('.').map(Number);
    if (bytes.some((byte) => byte > 255)) return undefined;
    return { value: bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n), bits: 32 };
  }
  if (!text.includes(':')) return undefined;
  try {
    const canonical = new URL('http://[' + text + ']').hostname.slice(1, -1);
    const [head = '', tail] = canonical.split('::');
    const left = head === '' ? [] : head.split(':');
    const right = tail === undefined || tail === '' ? [] : tail.split(':');
    const gap = Array.from({ length: 8 - left.length - right.length }, () => '0');
    const groups = [...left, ...gap, ...right];
    return { value: groups.reduce((sum, group) => sum * 65_536n + BigInt('0x' + group), 0n), bits: 128 };
  } catch {
    return undefined;
  }
}

export function isWithin(address: Address, network: Address, bits: number): boolean {
  if (address.bits !== network.bits) return false;
  const shift = BigInt(address.bits - bits);
  return address.value >> shift === network.value >> shift;
}
