// The report on a mail to its sender: RFC 3464 in a multipart/report (RFC 6522), with what RFC 3461 asked for. Pure; the same
// notice gives the same bytes, so that a try after a crash is the same mail again. Written by hand and not with nodemailer's
// MimeNode: that one draws boundary, date and Message-ID, folds and encodes by rules of its own, and gives a stream.
import { groupFields, splitLines, valueOf } from '../submission/header.ts';
import type { Field } from '../submission/header.ts';
import { formatDate, isAscii, noteHeader, toBody } from './note.ts';
import type { NoticeKind, Report } from './report.ts';

export type NoticeOptions = {
  readonly id: string;
  readonly kind: Exclude<NoticeKind, 'warned'>;
  readonly to: string;
  readonly reports: readonly Report[];
  /** Of the mail that it is about: the header as bytes, may be cut off anywhere; or all of it, when `whole`. */
  readonly original: Buffer;
  readonly whole?: boolean;
  /** The envelope sender, when the notice goes to the operator in its place. */
  readonly sender?: string | undefined;
  readonly arrivedAt: number;
  readonly createdAt: number;
  /** Until when a delayed mail is tried. */
  readonly retryUntil?: number | undefined;
  /** RFC 3461 section 4.4, decoded. */
  readonly envid?: string | undefined;
  readonly hostname: string;
  readonly relayHost: string;
  readonly traceId: string;
};
type Part = { readonly type: string; readonly encoding: '7bit' | '8bit' | 'base64'; readonly bytes: Buffer };

export function composeNotice(options: NoticeOptions): Buffer {
  const fields = groupFields(headerLines(options.original));
  const text = humanText(options);
  const parts: readonly Part[] = [
    { type: 'text/plain; charset=utf-8', encoding: isAscii(text) ? '7bit' : '8bit', bytes: Buffer.from(text) },
    { type: 'message/delivery-status', encoding: '7bit', bytes: Buffer.from(deliveryStatus(options)) },
    (options.whole === true && isHeader(fields) ? wholeMail(options.original) : undefined) ?? headerOnly(fields),
  ];
  let boundary = '=_mailferry_' + options.id;
  while (parts.some(({ bytes }) => bytes.includes(boundary))) boundary += '_';
  const found = fields.find((field) => field.name === 'message-id');
  const { subject } = wordsOf(options);
  const about = found === undefined ? undefined : valueOf(found);
  const eightBit = parts.some((part) => part.encoding === '8bit') ? 'Content-Transfer-Encoding: 8bit\r\n' : '';
  const report = 'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="' + boundary + '"\r\n';
  return Buffer.concat([
    Buffer.from(noteHeader({ ...options, subject, about }) + report + eightBit + '\r\n'),
    ...parts.flatMap((part) => [partHead(part, boundary), part.bytes, Buffer.from('\r\n')]),
    Buffer.from('--' + boundary + '--\r\n'),
  ]);
}

function partHead({ encoding, type }: Part, boundary: string): Buffer {
  const lines = ['--' + boundary, 'Content-Type: ' + type, 'Content-Transfer-Encoding: ' + encoding];
  return Buffer.from(lines.join('\r\n') + '\r\n\r\n');
}

/** What a notice is about, in words. */
function wordsOf(options: NoticeOptions): { readonly subject: string; readonly title: string; readonly last: string } {
  const { kind, reports, sender } = options;
  const Mail = sender === undefined ? 'Your mail' : 'A mail';
  const of = (sender === undefined ? '' : ' of ' + sender) + ' of ' + formatDate(options.arrivedAt);
  if (kind === 'failed')
    return {
      subject: Mail + ' could not be delivered',
      title: Mail + of + ' could not be delivered to:',
      last: 'It will not be tried again.',
    };
  if (kind === 'relayed')
    return {
      subject: Mail + ' was handed on',
      title: Mail + of + ' was handed on, to a server that sends no confirmations, for:',
      last: 'Nothing more will be told about it unless it fails.',
    };
  if (reports.every((one) => one.held === true))
    return {
      subject: Mail + ' may not have arrived',
      title: 'It is not known whether ' + Mail.toLowerCase() + of + ' has arrived at:',
      last: 'It is not sent again by itself, or it could arrive twice: ask the recipient, or the administrator of your mail server.',
    };
  return {
    subject: Mail + ' is delayed',
    title: Mail + of + ' has not been delivered yet to:',
    last: 'It is tried again without your help. You need not send it again.',
  };
}

function humanText(options: NoticeOptions): string {
  const { last, title } = wordsOf(options);
  const lines = [title, '', ...options.reports.flatMap(aboutRecipient)];
  if (options.sender !== undefined)
    lines.push('You get this because its sender has no mailbox here, or could not be told.');
  const follows =
    options.whole === true ? ' The mail follows, as far as it can be shown.' : ' The header of the mail follows.';
  lines.push(last + follows);
  return toBody(lines.join('\n'));
}

function aboutRecipient(one: Report): readonly string[] {
  const indent = '      ';
  return [
    '  ' + one.address,
    ...(one.reply.match(/.{1,200}/gu) ?? []).map((line) => indent + line),
    ...(one.meaning === undefined ? [] : [indent + 'This means: ' + one.meaning + '.']),
    ...(one.remedy === undefined || one.remedy === '' ? [] : [indent + 'What helps: ' + one.remedy + '.']),
    ...(one.mayHaveArrived
      ? [indent + 'An earlier try ended without an answer: it may have arrived all the same.']
      : []),
    '',
  ];
}

/** RFC 3464 sections 2.2 and 2.3, in its order of fields. */
function deliveryStatus(options: NoticeOptions): string {
  const { arrivedAt, envid, hostname, kind, relayHost, retryUntil } = options;
  const groups = [
    [
      ...(envid === undefined ? [] : ['Original-Envelope-Id: ' + ascii(envid).slice(0, 200)]),
      'Reporting-MTA: dns; ' + hostname,
      'Arrival-Date: ' + formatDate(arrivedAt),
    ],
    ...options.reports.map((one) => [
      ...(one.original === undefined ? [] : ['Original-Recipient: ' + originalOf(one.original)]),
      'Final-Recipient: ' + (isAscii(one.address) ? 'rfc822; ' : 'utf-8; ') + escapeUtf8(one.address),
      'Action: ' + one.action,
      'Status: ' + one.status,
      ...(isReply(one.reply) ? ['Remote-MTA: dns; ' + (one.host ?? relayHost)] : []),
      // Words of ours are no answer of a server, and not to be read as one.
      fold('Diagnostic-Code: ' + (isReply(one.reply) ? 'smtp; ' : 'x-mailferry; ') + ascii(one.reply)),
      ...(one.attemptedAt === undefined ? [] : ['Last-Attempt-Date: ' + formatDate(one.attemptedAt)]),
      ...(kind === 'delayed' && one.held !== true && retryUntil !== undefined
        ? ['Will-Retry-Until: ' + formatDate(retryUntil)]
        : []),
    ]),
  ];
  return groups.map((group) => group.join('\r\n') + '\r\n').join('\r\n');
}

const isReply = (reply: string): boolean => /^[2-5]\d\d(?: |$)/.test(reply);

/** `rfc822;ADDRESS`: the type stays, what cannot stand in a field is escaped or replaced. */
function originalOf(orcpt: string): string {
  const end = orcpt.indexOf(';');
  const type = orcpt.slice(0, Math.max(end, 0));
  const known = /^[a-z0-9-]{1,40}$/i.test(type) ? type : 'rfc822';
  return known + '; ' + ascii(escapeUtf8(orcpt.slice(end + 1))).slice(0, 600);
}

/** Lines up to the empty one; a last line that was cut off is left out. */
function headerLines(original: Buffer): readonly Buffer[] {
  const lines = splitLines(original);
  const end = lines.findIndex((line) => line[0] === 0x0a || line[0] === 0x0d);
  return end >= 0 ? lines.slice(0, end) : lines.filter((line) => line.at(-1) === 0x0a || line.at(-1) === 0x0d);
}

/** As it is when the line allows it, else base64: 8-bit bytes, NUL and long lines must not break the notice. */
function headerOnly(fields: readonly Field[]): Part {
  const type = 'text/rfc822-headers';
  const bytes = withCrlf(Buffer.concat(fields.map((field) => field.bytes)));
  if (fits(bytes) && isSevenBit(bytes)) return { type, encoding: '7bit', bytes };
  const encoded = bytes.toString('base64').replaceAll(/.{1,76}/g, '$&\r\n');
  return { type, encoding: 'base64', bytes: Buffer.from(encoded) };
}

const isHeader = (fields: readonly Field[]): boolean => fields.length > 0 && fields.every(({ name }) => name !== '');

/** Undefined when it cannot go as it is: RFC 2046 section 5.2.1 allows no encoding of a mail in a mail. */
function wholeMail(original: Buffer): Part | undefined {
  const bytes = withCrlf(original);
  if (!fits(bytes)) return undefined;
  return { type: 'message/rfc822', encoding: isSevenBit(bytes) ? '7bit' : '8bit', bytes };
}

const withCrlf = (bytes: Buffer): Buffer =>
  Buffer.from(bytes.toString('latin1').replaceAll(/\r\n|\r|\n/g, '\r\n'), 'latin1');
const isSevenBit = (bytes: Buffer): boolean => bytes.every((byte) => byte < 0x80);
const fits = (bytes: Buffer): boolean => !/[\u0000]|[^\r\n]{991}/.test(bytes.toString('latin1'));

const ascii = (text: string): string => text.replaceAll(/\s+/g, ' ').replaceAll(/[^\u0020-\u007e]/g, '?');

/** A field of any length in lines that every server takes. */
function fold(field: string): string {
  return (
    field
      .match(/.{1,900}(?:\s+|$)|.{1,900}/g)
      ?.map((line) => line.trim())
      .join('\r\n ') ?? field
  );
}

/** RFC 6533 section 3. */
function escapeUtf8(address: string): string {
  return Array.from(address, (char) =>
    isAscii(char) ? char : '\\x{' + (char.codePointAt(0) ?? 0).toString(16).toUpperCase() + '}',
  ).join('');
}
