// Addresses as the server can take them. An IDN domain always travels as ASCII; only a local part outside ASCII needs
// SMTPUTF8 (RFC 6531). What could break out of the command line is refused here.
import { domainToASCII } from 'node:url';
import type { Reply } from './reply.ts';

/** What goes between < and >, or why it cannot go. */
export type Path = { readonly path: string; readonly utf8: boolean } | { readonly refused: Reply };

const longest = 512; // RFC 5321 section 4.5.3.1.3 says 256
/** Breaks out of the command line or of its angle brackets; what else is wrong the server may judge. */
const breaking = /[<>\u0000-\u0020\u007f-\u00a0\u2028\u2029]/;
const quotedLocal = /^"(?:[^"\\\u0000-\u001f\u007f-\u009f\u2028\u2029]|\\[\u0020-\u007e])*"$/;

/** `smtpUtf8`: the server offers it. */
export function pathOf(address: string, role: 'sender' | 'recipient', smtpUtf8: boolean): Path {
  if (address === '' && role === 'sender') return { path: '', utf8: false };
  const bad = (why: string): Path => ({
    refused: replyOf(501, role === 'sender' ? '5.1.7' : '5.1.3', 'not sent: ' + why),
  });
  if (address.length > longest) return bad('an address of ' + address.length + ' characters');
  const at = address.lastIndexOf('@');
  const local = at < 0 ? address : address.slice(0, at);
  if (local === '' || (breaking.test(local) && !quotedLocal.test(local))) return bad('not a mail address');
  const given = at < 0 ? '' : address.slice(at + 1);
  const domain = isAscii(given) ? given : domainToASCII(given);
  if (at >= 0 && (domain === '' || breaking.test(domain))) return bad('not a mail domain');
  const utf8 = !isAscii(local);
  if (utf8 && !smtpUtf8) {
    const text = 'not sent: the server takes no letters outside ASCII before the @ (SMTPUTF8)';
    return { refused: replyOf(553, '5.6.7', text) };
  }
  return { path: at < 0 ? local : local + '@' + domain, utf8 };
}

/** A reply of ours, where asking the server would be of no use. */
export function replyOf(code: number, enhanced: string, text: string): Reply {
  return { code, enhanced, text: enhanced + ' ' + text };
}

function isAscii(text: string): boolean {
  return !/[^\u0000-\u007f]/.test(text);
}
