// What one account may send, and what becomes of mail that a mail server sends in nobody's or somebody else's name. Pure.
// Promise: without a login, or an address that is trusted, there are no rights, and without rights nothing is sent; what is
// not the account's own passes only when the account is marked as a mail server and its policy says so.
import type { Handling, Limits, MailServerRights } from '../../users/account-options.ts';
import { maySend, refuse } from './access.ts';
import type { Answer, Refusal } from './access.ts';
import type { Field } from './header.ts';
import { checkFrom } from './header-from.ts';

export type Rights = {
  /** In logs, reports and the envelope. */
  readonly user: string;
  readonly senders: readonly string[];
  readonly limits: Limits;
  readonly mailServer?: MailServerRights;
  /** False: they were taken away since the login. */
  readonly current?: () => Promise<boolean>;
};

/** What is done to the mail so that it can go out. */
export type Passage = {
  readonly ok: true;
  /** Envelope sender. */
  readonly from: string;
  /** Why it waits for a person. */
  readonly held?: string;
  /** The own address that takes the place of the header From. */
  readonly replaceFrom?: string;
  readonly resentFrom?: string;
};

/** At MAIL: the envelope sender alone. `from` has gone through asciiAddress(). */
export function judgeEnvelope(rights: Rights, from: string): Answer {
  const own = maySend(rights.senders, from);
  return own.ok || handlingOf(rights, from) !== 'refuse' ? { ok: true } : own;
}

/** Behind the header: envelope sender and header From together. The stricter of both counts. */
export function judgeMail(rights: Rights, from: string, fields: readonly Field[]): Passage | Refusal {
  const envelope = maySend(rights.senders, from);
  const header = checkFrom(fields, rights.senders);
  const problem = envelope.ok ? header : envelope;
  if (problem.ok) return { ok: true, from };
  // A From that cannot be read is nobody's, and no policy speaks of it.
  if (!header.ok && header.reason !== 'header-from') return header;
  const handling = handlingOf(rights, from);
  const own = envelope.ok ? from : rights.mailServer?.rewriteTo;
  switch (handling) {
    case 'allow':
      return { ok: true, from };
    case 'hold':
      return { ok: true, from, held: heldReason(from, envelope.ok) };
    case 'rewrite':
      // The configuration is refused without rewriteTo; whatever else made these rights opens nothing.
      if (own === undefined) return problem;
      return { ok: true, from: own, ...rewriteHeaderFrom(rights, own, header.ok) };
    case 'refuse':
      return problem;
  }
}

/** The null sender has a policy of its own; a foreign header From behind an own envelope sender is a foreign sender. */
function handlingOf(rights: Rights, from: string): Handling {
  if (rights.mailServer === undefined) return 'refuse';
  return from === '' ? rights.mailServer.nullSender : rights.mailServer.foreignSender;
}

function heldReason(from: string, ownEnvelope: boolean): string {
  if (from === '') return 'Held: it has the empty sender, as reports and out-of-office replies have';
  return ownEnvelope
    ? 'Held: its header From is not an address of the account that handed it in'
    : 'Held: its sender is not an address of the account that handed it in';
}

function rewriteHeaderFrom(
  rights: Rights,
  own: string,
  ownHeader: boolean,
): { readonly replaceFrom?: string; readonly resentFrom?: string } {
  if (ownHeader) return {};
  return rights.mailServer?.headerFrom === 'keep' ? { resentFrom: own } : { replaceFrom: own };
}

export const notLoggedIn: Refusal = refuse(530, '5.7.0 Log in first', 'no-login');
