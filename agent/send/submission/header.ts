// What the header of a mail becomes on its way out, as bytes. Promise: the body is not looked at; of the header only what
// is named here is added, taken away, folded or set aside, every other line keeps its bytes.
import { refuse } from './access.ts';
import type { Refusal } from './access.ts';
import type { Split } from './header-splitter.ts';
import { foldField, isSigned } from './long-lines.ts';

export type HeaderRules = {
  /** Value of the Received line without its date. */
  readonly received: string;
  readonly date: string;
  readonly messageId: string;
  readonly traceId: string;
  readonly maxHops: number;
  /** The own address that takes the place of the header From; the original stays readable. */
  readonly replaceFrom?: string;
  /** Answers go to the original author then. */
  readonly answerOriginal?: boolean;
  readonly resentFrom?: string;
};
/** Fields, then what ends the header. */
export type Rewritten = { readonly ok: true; readonly bytes: Buffer } | Refusal;

/** A header in its fields. `separator`: what ends it; `body`: the first bytes after that. */
export type Header = {
  readonly fields: readonly Field[];
  readonly separator: Buffer;
  readonly body: readonly Buffer[];
};

/** One field with its continuation lines. `name` is lower case; empty for a line that is no field. */
export type Field = { readonly name: string; readonly bytes: Buffer };

/** Bcc would tell every recipient what it hides; Return-Path belongs to the last server (RFC 5321 section 4.4). */
const removed = new Set(['bcc', 'resent-bcc', 'return-path']);
export const traceHeader = 'X-Mailferry-Trace';

/** New header with the empty line that ends it; or why the mail is refused. */
export function rewriteHeader({ fields, separator }: Header, rules: HeaderRules): Rewritten {
  const own = 'out ' + rules.traceId;
  if (fields.some((field) => field.name === traceHeader.toLowerCase() && valueOf(field) === own))
    return refuse(554, '5.4.6 Mail loop: this mail has gone out through this agent before', 'loop');
  const hops = fields.filter((field) => field.name === 'received').length;
  if (hops > rules.maxHops)
    return refuse(554, '5.4.6 Too many hops: ' + hops + ' Received lines, expected at most ' + rules.maxHops, 'loop');
  const signed = isSigned(fields);
  const kept: Buffer[] = [];
  const { replaceFrom } = rules;
  for (const field of fields.filter(({ name }) => !removed.has(name))) {
    const first = field === fields.find(({ name }) => name === 'from');
    if (replaceFrom !== undefined && first) kept.push(...otherFrom(field, replaceFrom, fields, rules));
    const folded = foldField(replaceFrom === undefined ? field : setAside(field), signed);
    if ('ok' in folded) return folded;
    kept.push(folded);
  }
  return { ok: true, bytes: Buffer.concat([addedLines(fields, rules, own), ...kept, separator]) };
}

function addedLines(fields: readonly Field[], rules: HeaderRules, trace: string): Buffer {
  const { date, messageId, received, resentFrom } = rules;
  const has = (name: string): boolean => fields.some((field) => field.name === name);
  const lines = [
    'Received: ' + received + ';\r\n\t' + date,
    traceHeader + ': ' + trace,
    ...(resentFrom === undefined ? [] : ['Resent-From: <' + resentFrom + '>', 'Resent-Date: ' + date]),
    ...(has('date') ? [] : ['Date: ' + date]),
    ...(has('message-id') ? [] : ['Message-ID: ' + messageId]),
  ];
  return Buffer.from(lines.join('\r\n') + '\r\n');
}

/** In the place of the original, so that it stands below the traces. */
function otherFrom(original: Field, own: string, fields: readonly Field[], rules: HeaderRules): readonly Buffer[] {
  const from = Buffer.from('From: ' + nameIn(original) + '<' + own + '>\r\n');
  const answers = rules.answerOriginal === true && !fields.some(({ name }) => name === 'reply-to');
  return answers ? [from, rename(original, 'Reply-To')] : [from];
}

/** Who wrote it, as a name that no reader takes for the address. */
function nameIn(from: Field): string {
  const [address] = /[^\s<>"@,;:]{1,64}@[^\s<>",;]{1,200}/.exec(valueOf(from)) ?? [];
  if (address === undefined) return '';
  return '"' + address.replace('@', ' at ').replaceAll(/[^A-Za-z0-9.+_ -]/g, '_') + '" ';
}

function setAside(field: Field): Field {
  if (field.name === 'from') return { name: 'x-original-from', bytes: rename(field, 'X-Original-From') };
  return field.name === 'sender' ? { name: 'x-original-sender', bytes: rename(field, 'X-Original-Sender') } : field;
}

function rename(field: Field, name: string): Buffer {
  return Buffer.concat([Buffer.from(name), field.bytes.subarray(field.bytes.indexOf(0x3a))]);
}

/**
 * A mail whose first line is no field has no header: all of it is body, and an empty line is put before it, or the
 * relay would take the first lines of the text for a broken header. "From " of a mailbox file before real fields is kept as a field.
 */
export function readFields(split: Split): Header {
  const lines = splitLines(split.header);
  const [first, second] = lines;
  if (first !== undefined && !isField(first)) {
    const mailbox = first.subarray(0, 5).toString('latin1') === 'From ' && second !== undefined && isField(second);
    if (!mailbox)
      return { fields: [], separator: Buffer.from('\r\n'), body: [split.header, split.separator, split.rest] };
    lines[0] = Buffer.concat([Buffer.from('X-Mailbox-Line: '), first]);
  }
  const missing = Buffer.from(endsLine(split.header) ? '\r\n' : '\r\n\r\n');
  const separator = split.separator.length > 0 ? split.separator : missing;
  return { fields: groupFields(lines), separator, body: [split.rest] };
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
