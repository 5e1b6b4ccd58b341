// Who gets a fetched mail, and from whom it comes. A POP3 mailbox has no envelope: recipients are fixed by the configuration
// or stand in a header line of the provider (multidrop.ts); the sender is what the provider's delivery noted in Return-Path
// (RFC 5321 section 4.4), or as configured.
import type { AccountConfig } from '../../config.ts';
import type { HeaderLine } from './header.ts';
import { multidropRecipients } from './multidrop.ts';

export type Envelope = { readonly from: string; readonly recipients: readonly string[] };

export function envelopeOf(
  header: readonly HeaderLine[],
  account: Pick<AccountConfig, 'recipients' | 'multidrop' | 'sender'>,
): Envelope {
  const { recipients = [], multidrop, sender = 'original' } = account;
  return {
    from: sender === 'original' ? senderOf(header) : sender === null || sender === 'null' ? '' : sender,
    recipients: multidrop === undefined ? [...new Set(recipients)] : multidropRecipients(header, multidrop),
  };
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
