// What providers are known to refuse, as data: each rule names a check (preflight.ts), the providers, and where it was told.
import type { PresetName } from '../../accounts/presets.ts';

export type PreflightCheck =
  /** A field that stands there twice. */
  | { readonly kind: 'once'; readonly fields: readonly string[] }
  /** A field that is missing, or empty. */
  | { readonly kind: 'present'; readonly fields: readonly string[] }
  /** A field that is there and says nothing. */
  | { readonly kind: 'not-empty'; readonly fields: readonly string[] }
  /** Letters outside ASCII as they are, instead of encoded (RFC 2047). */
  | { readonly kind: 'ascii'; readonly fields: readonly string[] }
  | { readonly kind: 'date' }
  /** Each From has exactly one address, or there is a Sender (RFC 5322 section 3.6.2). */
  | { readonly kind: 'one-author' }
  /** The header From is the login, when the login is an address. */
  | { readonly kind: 'from-is-login' }
  | { readonly kind: 'size'; readonly bytes: number };

export type PreflightRule = {
  readonly id: string;
  readonly presets: readonly PresetName[];
  readonly check: PreflightCheck;
  /** Aliases and the like can make it right: it is never refused for, only warned of. */
  readonly doubt?: string;
  /** Sentences without a full stop; FIELD is replaced. */
  readonly meaning: string;
  readonly remedy: string;
  readonly source: string;
};

/** The mail systems of United Internet; they share servers and rules. */
const unitedInternet = ['ionos', 'gmx', 'web-de'] as const;
const google = ['gmail'] as const;
const microsoft = ['microsoft-365', 'outlook-com'] as const;
const writtenWrongly = 'The program that wrote the mail must write this field as RFC 5322 says';

export const preflightRules: readonly PreflightRule[] = [
  {
    id: 'field-twice',
    presets: unitedInternet,
    check: { kind: 'once', fields: ['date', 'from', 'sender', 'to', 'cc', 'bcc', 'subject'] },
    meaning: 'The header field FIELD stands there more than once',
    remedy: writtenWrongly,
    source: 'zammad/zammad #4630; newbetuts.com/1051380 (answer of the provider)',
  },
  {
    id: 'field-twice-google',
    presets: google,
    check: { kind: 'once', fields: ['from', 'subject', 'message-id', 'to', 'date'] },
    meaning: 'The header field FIELD stands there more than once',
    remedy: writtenWrongly,
    source: 'spamresource.com, 2022-08, Gmail RFC 5322 bounces',
  },
  {
    id: 'no-from',
    presets: [...unitedInternet, ...google, ...microsoft],
    check: { kind: 'present', fields: ['from'] },
    meaning: 'The header has no From',
    remedy: writtenWrongly,
    source: 'suped.com, RFC 5322 errors at Gmail; MicrosoftDocs/OfficeDocs-Exchange #1230 (5.7.512)',
  },
  {
    id: 'empty-recipients',
    presets: unitedInternet,
    check: { kind: 'not-empty', fields: ['to', 'cc', 'sender'] },
    meaning: 'The header field FIELD is there but empty',
    remedy: 'Leave the field out, or write a recipient into it',
    source: 'hitobito/hitobito #2671; nextcloud/mail #6497',
  },
  {
    id: 'letters-not-encoded',
    presets: unitedInternet,
    check: { kind: 'ascii', fields: ['from', 'sender', 'to', 'cc', 'reply-to', 'subject'] },
    meaning:
      'The header field FIELD has letters outside ASCII that are not encoded (RFC 2047), such as an umlaut in a name',
    remedy: 'Write the name without umlauts, or use a program that encodes them',
    source: 'homematic-community/hm_email #13',
  },
  {
    id: 'bad-date',
    presets: unitedInternet,
    check: { kind: 'date' },
    meaning: 'The header field Date is not written as RFC 5322 says',
    remedy: writtenWrongly,
    source: 'zammad/zammad #4630',
  },
  {
    id: 'many-authors',
    presets: [...unitedInternet, ...google],
    check: { kind: 'one-author' },
    meaning: 'The header From names no address, or several without a Sender',
    remedy: 'Send as one address',
    source: 'RFC 5322 section 3.6.2; support.google.com/a/answer/3726730',
  },
  {
    id: 'from-not-login',
    presets: ['gmx', 'web-de', 'outlook-com'],
    check: { kind: 'from-is-login' },
    doubt: 'an alias of the mailbox is allowed',
    meaning: 'The header From is not the address of the login at the provider',
    remedy: 'Send as the address of the login, or have the provider add the other one as an alias',
    source: 'loganmarchione/docker-postfixrelay #46; gophish/gophish #2900',
  },
  {
    id: 'from-rewritten',
    presets: google,
    check: { kind: 'from-is-login' },
    doubt: 'an address that is set up under "send mail as" stays',
    meaning: 'The header From is not the address of the login: Google writes that one in its place',
    remedy: 'Add the address at Gmail under "Send mail as", or give it a relay of its own',
    source: 'decke/smtprelay #147; gophish/gophish #1311',
  },
  {
    id: 'too-big',
    presets: ['gmx', 'web-de'],
    check: { kind: 'size', bytes: 69_920_427 },
    meaning: 'The mail is larger than the provider takes',
    remedy: 'Send the attachment in another way, or in several mails',
    source: 'nodemailer/nodemailer #548 (EHLO of gmx.com)',
  },
];
