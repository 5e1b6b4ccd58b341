// Who gets a fetched mail, and from whom it comes. A POP3 mailbox has no envelope: recipients are fixed by the configuration,
// the sender is what the provider's delivery noted in Return-Path (RFC 5321 section 4.4), or nobody.
import type { HeaderLine } from './header.ts';

export type Envelope = { readonly from: string; readonly recipients: readonly string[] };

export function envelopeOf(header: readonly HeaderLine[], recipients: readonly string[]): Envelope {
  return { from: senderOf(header), recipients: [...new Set(recipients)] };
}

/**
 * The topmost Return-Path when it is a plain address; else the null sender. A null sender is always safe: no local server
 * will send a bounce to a stranger.
 */
function senderOf(header: readonly HeaderLine[]): string {
  const value = header.find((line) => line.name === 'return-path')?.value.trim() ?? '';
  const address = /^<([^<>]*)>$/.exec(value)?.[1] ?? value;
  const plain =
    /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;
  return address.length <= 254 && plain.test(address) ? address : '';
}
