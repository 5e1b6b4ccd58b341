// Is this the mail that we know? Message-ID, Date and From, hashed apart: what a provider puts on top of a mail, or changes
// elsewhere in its header, does not change them. Taken when a mail is fetched, compared with what TOP shows later.
import { hash } from 'node:crypto';
import { readHeader } from '../delivery/header.ts';
import type { HeaderLine } from '../delivery/header.ts';

/** Names of the lines, in the order of the fingerprint's parts. */
const names = ['message-id', 'date', 'from'] as const;
const absent = '-';

/** Undefined when the header holds too little to tell two mails apart: no Message-ID, and not both of the others. */
export function fingerprintOf(header: readonly HeaderLine[]): string | undefined {
  const parts = names.map((name) => {
    // The lowest one is the sender's own; others are put on top.
    const value =
      header
        .findLast((line) => line.name === name)
        ?.value.replaceAll(/\s+/g, ' ')
        .trim() ?? '';
    return value === '' ? absent : hash('sha256', Buffer.from(value, 'latin1'), 'hex').slice(0, 16);
  });
  const [id] = parts;
  return id === absent && parts.filter((part) => part !== absent).length < 2 ? undefined : parts.join('.');
}

/** `head`: the first bytes of a mail, as TOP gives them. */
export function fingerprintOfHead(head: Buffer): string | undefined {
  return fingerprintOf(readHeader(head));
}

/** alike: the same Message-ID, and yet something else differs; unknown: one of them has no fingerprint. */
export type Likeness = 'same' | 'alike' | 'other' | 'unknown';

export function compareFingerprints(a: string | undefined, b: string | undefined): Likeness {
  if (a === undefined || b === undefined) return 'unknown';
  if (a === b) return 'same';
  const id = messageIdPart(a);
  return id !== undefined && id === messageIdPart(b) ? 'alike' : 'other';
}

/** The part of a fingerprint that stands for the Message-ID; undefined when the mail has none. */
export function messageIdPart(fingerprint: string | undefined): string | undefined {
  const [id = absent] = fingerprint?.split('.') ?? [];
  return id === absent ? undefined : id;
}
