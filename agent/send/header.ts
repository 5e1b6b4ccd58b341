// What the header of a mail becomes on its way out, as bytes. Promise: the body is not looked at; of the header only what
// is named here is added or taken away, every other line keeps its bytes.
import type { Split } from './header-splitter.ts';

export type HeaderRules = {
  /** Value of the Received line without its date. */
  readonly received: string;
  readonly date: string;
  readonly messageId: string;
  readonly traceId: string;
  readonly maxHops: number;
};
export type Rewritten =
  | { readonly ok: true; readonly bytes: Buffer; readonly fields: readonly Field[] }
  | { readonly ok: false; readonly code: number; readonly text: string };

/** One field with its continuation lines. `name` is lower case; empty for a line that is no field. */
export type Field = { readonly name: string; readonly bytes: Buffer };

/** Bcc would tell every recipient what it hides; Return-Path belongs to the last server (RFC 5321 section 4.4). */
const removed = new Set(['bcc', 'resent-bcc', 'return-path']);
export const traceHeader = 'X-Mailferry-Trace';

/** New header, empty line and first bytes of the body; or why the mail is refused. */
export function rewriteHeader(split: Split, rules: HeaderRules): Rewritten {
  const { fields, body } = readFields(split);
  const own = 'out ' + rules.traceId;
  if (fields.some((field) => field.name === traceHeader.toLowerCase() && valueOf(field) === own))
    return { ok: false, code: 554, text: '5.4.6 Mail loop: this mail has gone out through this agent before' };
  const hops = fields.filter((field) => field.name === 'received').length;
  if (hops > rules.maxHops)
    return {
      ok: false,
      code: 554,
      text: '5.4.6 Too many hops: ' + hops + ' Received lines, expected at most ' + rules.maxHops,
    };
  const has = (name: string): boolean => fields.some((field) => field.name === name);
  const added = [
    'Received: ' + rules.received + ';\r\n\t' + rules.date,
    traceHeader + ': ' + own,
    ...(has('date') ? [] : ['Date: ' + rules.date]),
    ...(has('message-id') ? [] : ['Message-ID: ' + rules.messageId]),
  ];
  const kept = fields.filter((field) => !removed.has(field.name)).map((field) => field.bytes);
  return { ok: true, bytes: Buffer.concat([Buffer.from(added.join('\r\n') + '\r\n'), ...kept, ...body]), fields };
}

/**
 * A mail whose first line is no field has no header: all of it is body, and an empty line is put before it, or the
 * relay would take the first lines of the text for a broken header. "From " of a mailbox file before real fields is kept as a field.
 */
function readFields(split: Split): { readonly fields: readonly Field[]; readonly body: readonly Buffer[] } {
  const lines = splitLines(split.header);
  const [first, second] = lines;
  if (first !== undefined && !isField(first)) {
    const mailbox = first.subarray(0, 5).toString('latin1') === 'From ' && second !== undefined && isField(second);
    if (!mailbox) return { fields: [], body: [Buffer.from('\r\n'), split.header, split.separator, split.rest] };
    lines[0] = Buffer.concat([Buffer.from('X-Mailbox-Line: '), first]);
  }
  const missing = Buffer.from(endsLine(split.header) ? '\r\n' : '\r\n\r\n');
  return { fields: groupFields(lines), body: [split.separator.length > 0 ? split.separator : missing, split.rest] };
}

/** Fields of a header, in order. A line that is neither field nor folded belongs to the field before: behind a Bcc it may be an address. */
export function groupFields(lines: readonly Buffer[]): readonly Field[] {
  const groups: { readonly name: string; readonly lines: Buffer[] }[] = [];
  for (const line of lines) {
    const name = line[0] === 0x20 || line[0] === 0x09 ? '' : nameOf(line);
    const previous = groups.at(-1);
    if (name === '' && previous !== undefined) previous.lines.push(line);
    else groups.push({ name, lines: [line] });
  }
  return groups.map((group) => ({ name: group.name, bytes: Buffer.concat(group.lines) }));
}

/** Cut after each CRLF, CR or LF. */
export function splitLines(header: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (let at = 0; at < header.length; at += 1) {
    const byte = header[at];
    if (byte !== 0x0a && !(byte === 0x0d && header[at + 1] !== 0x0a)) continue;
    lines.push(header.subarray(start, at + 1));
    start = at + 1;
  }
  if (start < header.length) lines.push(header.subarray(start));
  return lines;
}

/** The unfolded value of a field, trimmed. */
export function valueOf(field: Field): string {
  const text = field.bytes.toString('latin1');
  return text
    .slice(text.indexOf(':') + 1)
    .replaceAll(/\s+/g, ' ')
    .trim();
}

/** RFC 5322 section 3.6.8, and blanks before the colon as in section 4.5. */
function nameOf(line: Buffer): string {
  const colon = line.subarray(0, 1_000).indexOf(0x3a);
  if (colon < 1) return '';
  const name = line.toString('latin1', 0, colon).replace(/[ \t]+$/, '');
  return /^[\u0021-\u0039\u003b-\u007e]+$/.test(name) ? name.toLowerCase() : '';
}

const isField = (line: Buffer): boolean => nameOf(line) !== '';
const endsLine = (header: Buffer): boolean => header.length === 0 || header.at(-1) === 0x0a || header.at(-1) === 0x0d;
