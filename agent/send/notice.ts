// The report of a failed or late mail to its sender: RFC 3464 in a multipart/report (RFC 6522). Pure; the same notice gives
// the same bytes, so that a try after a crash is the same mail again.
import { groupFields, splitLines, valueOf } from './header.ts';
import type { Field } from './header.ts';

export type NoticeKind = 'failed' | 'delayed';

export type Report = {
  readonly address: string;
  readonly action: NoticeKind;
  /** RFC 3463. */
  readonly status: string;
  /** The relay's words. */
  readonly reply: string;
  /** An earlier try ended without an answer. */
  readonly mayHaveArrived: boolean;
  /** Not tried again by itself: whether it arrived is not known, and a person decides. */
  readonly held?: boolean;
};

/** What the index holds of a notice; throws on anything that this room did not write. */
export function decodeReports(text: string): readonly Report[] {
  const value: unknown = JSON.parse(text);
  if (Array.isArray(value) && value.every(isReport)) return value;
  throw new Error('Cannot read a notice: found another shape, expected what the queue wrote');
}

function isReport(value: unknown): value is Report {
  if (typeof value !== 'object' || value === null) return false;
  const { action, address, held, mayHaveArrived, reply, status }: Partial<Record<keyof Report, unknown>> = value;
  if (held !== undefined && typeof held !== 'boolean') return false;
  const texts = [address, reply, status].every((text) => typeof text === 'string');
  return texts && (action === 'failed' || action === 'delayed') && typeof mayHaveArrived === 'boolean';
}

/** The enhanced status of a reply (RFC 3463), if it fits its code; else the class alone, else `fallback`. */
export function statusOf(enhanced: string | undefined, reply: string, fallback: string): string {
  const [, klass, own] = /^([45])\d\d[ -]?(?:([45]\.\d{1,3}\.\d{1,3})\b)?/.exec(reply) ?? [];
  const found = enhanced ?? own;
  if (klass === undefined) return found ?? fallback;
  return found !== undefined && found.startsWith(klass) ? found : klass + '.0.0';
}

/** RFC 5322 section 3.3, in UTC. */
export function formatDate(wallMs: number): string {
  return new Date(wallMs).toUTCString().replace('GMT', '+0000');
}

export type NoticeOptions = {
  readonly id: string;
  readonly kind: NoticeKind;
  readonly to: string;
  readonly reports: readonly Report[];
  /** Header of the mail that it is about, as bytes; may be cut off anywhere. */
  readonly original: Buffer;
  readonly arrivedAt: number;
  readonly createdAt: number;
  /** This machine; part of an address, so of letters, digits, dots and hyphens. */
  readonly hostname: string;
  readonly relayHost: string;
};

export function composeNotice(options: NoticeOptions): Buffer {
  const fields = groupFields(headerLines(options.original));
  const original = encodeOriginal(fields);
  const text = humanText(options);
  const status = deliveryStatus(options);
  let boundary = '=_mailferry_' + options.id;
  while ([text, status, original.text].some((part) => part.includes(boundary))) boundary += '_';
  const parts = [
    'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n' + text,
    'Content-Type: message/delivery-status\r\n\r\n' + status,
    'Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: ' + original.encoding + '\r\n\r\n' + original.text,
  ];
  const body = parts.map((part) => '--' + boundary + '\r\n' + part + '\r\n').join('') + '--' + boundary + '--\r\n';
  return Buffer.from(noticeHeader(options, fields, boundary) + '\r\n' + body, 'utf8');
}

function noticeHeader(options: NoticeOptions, original: readonly Field[], boundary: string): string {
  const { hostname, id, to } = options;
  const found = original.find((field) => field.name === 'message-id');
  const about = found === undefined ? '' : valueOf(found);
  const reference = /^<[\u0021-\u003d\u003f-\u007e]{1,250}>$/.test(about)
    ? ['In-Reply-To: ' + about, 'References: ' + about]
    : [];
  const lines = [
    'From: Mail Delivery System <mailer-daemon@' + hostname + '>',
    'To: <' + to + '>',
    'Subject: ' + wordsOf(options).subject,
    'Date: ' + formatDate(options.createdAt),
    'Message-ID: <' + id + '@' + hostname + '>',
    ...reference,
    'Auto-Submitted: auto-replied',
    'MIME-Version: 1.0',
    'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="' + boundary + '"',
  ];
  return lines.join('\r\n') + '\r\n';
}

/** What a notice is about, in words. */
function wordsOf(options: NoticeOptions): { readonly subject: string; readonly title: string; readonly last: string } {
  const mail = 'our mail of ' + formatDate(options.arrivedAt);
  if (options.kind === 'failed')
    return {
      subject: 'Your mail could not be delivered',
      title: 'Y' + mail + ' could not be delivered to:',
      last: 'It will not be tried again.',
    };
  if (options.reports.every((one) => one.held === true))
    return {
      subject: 'Your mail may not have arrived',
      title: 'It is not known whether y' + mail + ' has arrived at:',
      last: 'It is not sent again by itself, or it could arrive twice: ask the recipient, or the administrator of your mail server.',
    };
  return {
    subject: 'Your mail is delayed',
    title: 'Y' + mail + ' has not been delivered yet to:',
    last: 'It is tried again without your help. You need not send it again.',
  };
}

function humanText(options: NoticeOptions): string {
  const { last, title } = wordsOf(options);
  const lines = [title, ''];
  for (const one of options.reports) {
    lines.push('  ' + one.address);
    for (const line of one.reply.match(/.{1,200}/gu) ?? []) lines.push('      ' + line);
    if (one.mayHaveArrived)
      lines.push('      An earlier try ended without an answer: it may have arrived all the same.');
    lines.push('');
  }
  lines.push(last + ' The header of your mail follows.');
  return clean(lines.join('\n')).replaceAll('\n', '\r\n') + '\r\n';
}

function deliveryStatus(options: NoticeOptions): string {
  const groups = [
    ['Reporting-MTA: dns; ' + options.hostname, 'Arrival-Date: ' + formatDate(options.arrivedAt)],
    ...options.reports.map((one) => [
      'Final-Recipient: ' + (isAscii(one.address) ? 'rfc822; ' : 'utf-8; ') + escapeUtf8(one.address),
      'Action: ' + one.action,
      'Status: ' + one.status,
      'Remote-MTA: dns; ' + options.relayHost,
      'Diagnostic-Code: smtp; ' + ascii(one.reply).slice(0, 800),
      'Last-Attempt-Date: ' + formatDate(options.createdAt),
    ]),
  ];
  return groups.map((group) => group.join('\r\n') + '\r\n').join('\r\n');
}

/** Lines up to the empty one; a last line that was cut off is left out. */
function headerLines(original: Buffer): readonly Buffer[] {
  const lines = splitLines(original);
  const end = lines.findIndex((line) => line[0] === 0x0a || line[0] === 0x0d);
  return end >= 0 ? lines.slice(0, end) : lines.filter((line) => line.at(-1) === 0x0a || line.at(-1) === 0x0d);
}

/** As it is when the line allows it, else base64: 8-bit bytes, NUL and long lines must not break the notice. */
function encodeOriginal(fields: readonly Field[]): { readonly encoding: '7bit' | 'base64'; readonly text: string } {
  const text = Buffer.concat(fields.map((field) => field.bytes))
    .toString('latin1')
    .replaceAll(/\r\n|\r|\n/g, '\r\n');
  const plain = /^[\t\r\n\u0020-\u007e]*$/.test(text) && text.split('\r\n').every((line) => line.length <= 990);
  if (plain) return { encoding: '7bit', text };
  const encoded = Buffer.from(text, 'latin1').toString('base64');
  return { encoding: 'base64', text: encoded.replaceAll(/.{1,76}/g, '$&\r\n') };
}

const isAscii = (text: string): boolean => /^[\u0000-\u007f]*$/.test(text);
const clean = (text: string): string => text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ' ');
const ascii = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll(/[^\u0020-\u007e]/g, '?');

/** RFC 6533 section 3. */
function escapeUtf8(address: string): string {
  return Array.from(address, (char) =>
    isAscii(char) ? char : '\\x{' + (char.codePointAt(0) ?? 0).toString(16).toUpperCase() + '}',
  ).join('');
}
