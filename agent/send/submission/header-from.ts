// Whom a mail says it is from: every address in its From lines must be one that the user may send as, as its envelope
// sender must. Lenient with names, never with addresses: whatever a reader could take for an address is asked for.
import { maySend, refuse } from './access.ts';
import type { Answer } from './access.ts';
import type { Field } from './header.ts';

/** Hundreds of authors; a longer one would keep all other clients waiting. */
const maxFromBytes = 65_536;

/** A mail without From pretends to be nobody: the relay judges it. */
export function checkFrom(fields: readonly Field[], senders: readonly string[]): Answer {
  for (const field of fields.filter(({ name }) => name === 'from')) {
    if (field.bytes.length > maxFromBytes)
      return refuse(550, '5.7.1 The header From is longer than ' + maxFromBytes + ' bytes', 'header');
    const text = field.bytes.toString('utf8');
    const addresses = addressesIn(text.slice(text.indexOf(':') + 1));
    if (addresses.length === 0)
      return refuse(
        550,
        '5.7.1 The header From names no address; expected one that this user may send as',
        'header-from',
      );
    const foreign = addresses.find((address) => !isPlain(address) || !maySend(senders, address).ok);
    if (foreign === undefined) continue;
    const problem = '5.7.1 The header From names an address that this user may not send as';
    const remedy = '; ask for it to be added to `senders`, or write another one';
    return { ...refuse(550, problem + remedy, 'header-from'), address: printable(foreign) };
  }
  return { ok: true };
}

/** Everything with an @ outside of names, quotes and comments. */
export function addressesIn(value: string): readonly string[] {
  const commentless = withoutComments(value);
  // Readers differ about a quote or comment that never closes: then nothing is one.
  const text = commentless === undefined ? value.replaceAll(/["()\\]/g, ' ') : withoutNames(commentless);
  // RFC 5322 section 4.4: blanks around the @ are obsolete, not meaningless.
  const joined = text
    .replaceAll(/[\t\r\n ]+/g, ' ')
    .replaceAll(' @', '@')
    .replaceAll('@ ', '@');
  const words = [''];
  for (const [piece] of joined.matchAll(/"(?:\\.|[^"\\])*"|\[[^\] ]{0,80}\]|[^ ,;:<>"[]+|./gsu)) {
    if (/^[ ,;:<>]$/.test(piece)) words.push('');
    else words.push((words.pop() ?? '') + piece);
  }
  return words.filter((word) => word.includes('@')).map((word) => /^'(.+)'$/.exec(word)?.[1] ?? word);
}

/** Comments (RFC 5322 section 3.2.2, they nest) become a blank. Undefined when a comment or a quote never closes. */
function withoutComments(value: string): string | undefined {
  const kept: string[] = [];
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < value.length; at += 1) {
    const char = value[at] ?? '';
    const escaped = char === '\\' && (quoted || depth > 0);
    const piece = escaped ? value.slice(at, at + 2) : char;
    if (escaped) at += 1;
    if (depth === 0 && char === '"') quoted = !quoted;
    if (!quoted && char === '(') depth += 1;
    if (depth === 0) kept.push(piece);
    else if (char === ')') {
      depth -= 1;
      kept.push(' ');
    }
  }
  return quoted || depth > 0 ? undefined : kept.join('');
}

/**
 * A quoted or encoded name (RFC 2047 section 5: shown, never sent to) becomes a word that is no address. Not a blank: that
 * could join what stands on both sides of it. A quote before an @ is a local part.
 */
function withoutNames(text: string): string {
  return text
    .replaceAll(/"(?:\\.|[^"\\])*"(\s{0,100}@)?/gsu, (quote, before?: string) => (before === undefined ? ' x ' : quote))
    .replaceAll(/(?<=^|[\s<>,;:])=\?[^?\s]{1,80}\?[bq]\?[^?\s]{0,80}\?=(?=$|[\s<>,;:])/gi, ' x ');
}

/** One @, something on both sides of it, and no control characters: every reader sees the same domain. */
function isPlain(address: string): boolean {
  const rest = address.replace(/^"(?:\\.|[^"\\])*"(?=@)/su, 'x');
  return /^[^@"\u0000-\u0020\u007f]+@[^@"\u0000-\u0020\u007f]+$/.test(rest);
}

function printable(address: string): string {
  return address.replaceAll(/[^\u0020-\u007e]/gu, '?').slice(0, 300);
}
