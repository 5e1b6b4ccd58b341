// What is said behind MAIL and RCPT beside the address: RFC 1870 (SIZE), 6152 (8BITMIME), 6531 (SMTPUTF8), 3461 (DSN).
import type { Mail, MailDsn, RecipientDsn } from './mail.ts';

type Capabilities = ReadonlyMap<string, string>;

export function mailParameters(
  mail: Mail,
  capabilities: Capabilities,
  facts: { readonly sizeBytes: number; readonly utf8: boolean },
): readonly string[] {
  return [
    ...(capabilities.has('SIZE') ? ['SIZE=' + facts.sizeBytes] : []),
    // Where nobody has looked for 8-bit bytes every mail is declared so: a 7-bit mail may be.
    ...(capabilities.has('8BITMIME') && mail.eightBit !== false ? ['BODY=8BITMIME'] : []),
    ...(facts.utf8 ? ['SMTPUTF8'] : []),
    ...(capabilities.has('DSN') ? mailDsn(mail.dsn) : []),
  ];
}

export function recipientParameters(dsn: RecipientDsn | undefined, capabilities: Capabilities): readonly string[] {
  if (dsn === undefined || !capabilities.has('DSN')) return [];
  const orcpt = /^([A-Za-z0-9-]+);([\u0021-\u007e]{1,400})$/.exec(dsn.orcpt ?? '');
  return [
    ...(dsn.notify === undefined || dsn.notify.length === 0 ? [] : ['NOTIFY=' + dsn.notify.join(',')]),
    ...(orcpt === null ? [] : ['ORCPT=' + orcpt[1] + ';' + xtext(orcpt[2] ?? '')]),
  ];
}

function mailDsn(dsn: MailDsn | undefined): readonly string[] {
  const { envid, ret } = dsn ?? {};
  return [
    ...(ret === undefined ? [] : ['RET=' + ret]),
    // RFC 3461 section 4.4: at most 100 characters, before they are encoded.
    ...(envid !== undefined && /^[\u0020-\u007e]{1,100}$/.test(envid) ? ['ENVID=' + xtext(envid)] : []),
  ];
}

/** RFC 3461 section 4: what is not printable, and + and =, as + and two digits. */
function xtext(text: string): string {
  return text.replaceAll(/[^!-*,-<>-~]/g, (char) => {
    return '+' + char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0');
  });
}
