// The little that receive must read of a mail: some lines of its header. Bytes stay bytes; a text here is latin1.

export type HeaderLine = { readonly name: string; readonly value: string };

/** Header lines from the top, names in lower case, values unfolded; ends at the first line that is none (RFC 5322 section 2.2). */
export function readHeader(head: Buffer): readonly HeaderLine[] {
  const lines: { name: string; value: string }[] = [];
  for (const raw of head.toString('latin1').split('\n')) {
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
