// What the flow tests compare: mails as they were put at the provider and as they lie in the local mailbox.
import { createHash } from 'node:crypto';

export const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

/** Servers store a mail with LF line ends; on the wire every line ends in CRLF. A bare CR is not a line end and stays. */
export function asStored(bytes: Buffer): Buffer {
  return Buffer.from(bytes.toString('latin1').replaceAll('\r\n', '\n'), 'latin1');
}

/** The mail as fetched: everything below the trace header that the agent puts on top. Throws when there is none. */
export function belowTrace(stored: Buffer): Buffer {
  const start = stored.indexOf('X-Mailferry-Trace: in ');
  const end = stored.indexOf('\n', start);
  if (start < 0 || end < 0) throw new Error('no trace header in ' + JSON.stringify(stored.toString('latin1', 0, 200)));
  return stored.subarray(end + 1);
}

/** How often each text occurs. */
export function tally(values: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return counts;
}

export type Expected = { readonly name: string; readonly bytes: Buffer };

/** Names of the mails that are not there byte for byte, and the beginnings of what is there and should not be. */
export function compareMails(
  expected: readonly Expected[],
  stored: readonly Buffer[],
): { readonly missing: readonly string[]; readonly unexpected: readonly string[] } {
  const wanted = new Map<string, string[]>();
  for (const { name, bytes } of expected) wanted.set(sha256(bytes), [...(wanted.get(sha256(bytes)) ?? []), name]);
  const unexpected: string[] = [];
  for (const bytes of stored) {
    if (wanted.get(sha256(bytes))?.shift() === undefined)
      unexpected.push(bytes.length + ' bytes: ' + bytes.toString('latin1', 0, 160));
  }
  return { missing: [...wanted.values()].flat(), unexpected };
}

/** An ordinary small mail from outside, unlike every other. */
export function incoming(options: { readonly serial: number; readonly to: string }): Buffer {
  const date = new Date().toUTCString().replace('GMT', '+0000');
  const lines = [
    'Return-Path: <customer@outside.example>',
    'Received: from outside.example (outside.example [192.0.2.1])',
    '\tby mx.provider.example; ' + date,
    'From: <customer@outside.example>',
    'To: <' + options.to + '>',
    'Subject: Question ' + options.serial,
    'Date: ' + date,
    'Message-ID: <in-' + options.serial + '-' + options.to + '>',
    '',
    'Question number ' + options.serial + '.',
    '',
  ];
  return Buffer.from(lines.join('\r\n'));
}
