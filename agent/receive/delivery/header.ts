// The little that receive must read of a mail: some lines of its header. Bytes stay bytes; a text here is latin1.

export type HeaderLine = { readonly name: string; readonly value: string };

/** Header lines from the top, names in lower case, values unfolded; ends at the first line that is none (RFC 5322 section 2.2). */
export function readHeader(head: Buffer): readonly HeaderLine[] {
  const lines: { name: string; value: string }[] = [];
  for (const raw of head.toString('latin1', 0, headerEnd(head)).split('\n')) {
    const line = raw.replace(/\r$/, '');
    const last = lines.at(-1);
    if (/^[ \t]/.test(line) && last !== undefined) {
      last.value += line;
      continue;
    }
    const found = /^([\x21-\x39\x3b-\x7e]+)[ \t]*:([^]*)$/.exec(line);
    if (found === null) break;
    lines.push({ name: (found[1] ?? '').toLowerCase(), value: found[2] ?? '' });
  }
  return lines;
}

/** Where the first empty line begins: the body, mostly the larger part, need not become a text. */
export function headerEnd(head: Buffer): number {
  const strict = head.indexOf('\n\r\n');
  const before = strict < 0 ? head : head.subarray(0, strict);
  const bare = before.indexOf('\n\n');
  if (bare >= 0) return bare + 1;
  return strict < 0 ? head.length : strict + 1;
}

/**
 * When the provider took the mail: the date of the topmost Received, milliseconds since 1970; undefined when it cannot be
 * read. Lower ones were written by strangers.
 */
export function receivedAt(header: readonly HeaderLine[]): number | undefined {
  const value = header.find((line) => line.name === 'received')?.value;
  const date = value?.slice(value.lastIndexOf(';') + 1).replaceAll(/\([^()]*\)/g, ' ') ?? '';
  const form =
    /^\s*(?:[A-Za-z]{3},)?\s*\d{1,2}\s+[A-Za-z]{3}\s+\d{4}\s+\d{1,2}:\d{2}(?::\d{2})?\s+(?:[+-]\d{4}|[A-Z]{1,4})\s*$/;
  if (!form.test(date)) return undefined;
  const at = Date.parse(date);
  return Number.isNaN(at) ? undefined : at;
}

/** A header's value for people: encoded words decoded (RFC 2047), what cannot be decoded as it stands, at most 200 characters. */
export function readable(value: string): string {
  const joined = value.slice(0, 2_000).replaceAll(/(\?=)\s+(?==\?)/g, '$1');
  const text = joined.replaceAll(/=\?([\w-]{1,40})(?:\*[\w-]*)?\?([bq])\?([^?\s]*)\?=/gi, decodeWord);
  return text.replaceAll(/\s+/g, ' ').trim().slice(0, 200);
}

function decodeWord(word: string, charset: string, form: string, text: string): string {
  const quoted = (): Buffer =>
    Buffer.from(
      text
        .replaceAll('_', ' ')
        .replaceAll(/=([\da-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
      'latin1',
    );
  try {
    return new TextDecoder(charset).decode(form.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : quoted());
  } catch {
    return word; // a charset that nobody knows
  }
}
