// May this user send as this envelope sender? Pure. The answer does not depend on any option of the listener, so no
// combination of them makes an open relay: whoever is not named here sends nothing.
import { domainToASCII } from 'node:url';

/** Why something was refused at submission: a closed set, reported as a tag. */
export const refusalReasons = [
  'no-login',
  'login',
  'login-throttled',
  'login-clear',
  'login-trouble',
  'null-sender',
  'sender',
  'header-from',
  'address',
  'recipients',
  'rate',
  'size',
  'header',
  'long-line',
  'loop',
  'preflight',
  'disk',
  'broken-off',
  'protocol',
  'trouble',
] as const;
export type RefusalReason = (typeof refusalReasons)[number];

/** `address`: what the refusal is about, for the client; logs show it masked. */
export type Refusal = {
  readonly ok: false;
  readonly code: number;
  readonly text: string;
  readonly reason: RefusalReason;
  readonly address?: string;
};
export type Answer = { readonly ok: true } | Refusal;

export const refuse = (code: number, text: string, reason: RefusalReason): Refusal => ({
  ok: false,
  code,
  text,
  reason,
});

/** `senders`: whole addresses or `@domain`, as configured. `from` has gone through asciiAddress(). */
export function maySend(senders: readonly string[], from: string): Answer {
  if (from === '')
    return refuse(
      550,
      '5.7.1 The empty sender is not taken here: this relay sends only as the addresses of its users',
      'null-sender',
    );
  const wanted = comparable(from);
  const domain = wanted.slice(wanted.lastIndexOf('@'));
  const allowed = senders.map(comparable).some((sender) => sender === wanted || sender === domain);
  return allowed
    ? { ok: true }
    : refuse(550, '5.7.1 This user may not send as this address; ask for it to be added', 'sender');
}

/** Local parts differ in case only in theory; a second user cannot get an address by writing it differently. */
function comparable(address: string): string {
  return lowerCase(asciiAddress(address) ?? address);
}

/** Never makes an ASCII letter of another one: the Kelvin sign would become a k, and with it another address an own one. */
function lowerCase(text: string): string {
  if (!needsUtf8(text)) return text.toLowerCase();
  return Array.from(text, (char) => {
    const lower = char.toLowerCase();
    return needsUtf8(char) && !needsUtf8(lower.slice(0, 1)) ? char : lower;
  }).join('');
}

/**
 * The address with its domain in ASCII: smtp-server hands over `xn--` domains as Unicode, relays want ASCII.
 * Undefined when it is no address of the kind `local@domain`; the null sender stays as it is.
 */
export function asciiAddress(address: string): string | undefined {
  if (address === '') return '';
  const at = address.lastIndexOf('@');
  const local = address.slice(0, Math.max(at, 0));
  const domain = address.slice(at + 1);
  if (at < 0 || domain === '') return undefined;
  if (domain.startsWith('[')) return local + '@' + domain;
  const ascii = domainToASCII(domain);
  return ascii === '' ? undefined : local + '@' + ascii;
}

/** RFC 6531: only the local part can still need SMTPUTF8 once the domain is ASCII. */
export function needsUtf8(address: string): boolean {
  return /[^\u0000-\u007f]/.test(address);
}
