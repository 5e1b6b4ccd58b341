// What a provider is known to refuse about a mail, before an attempt is burnt. Pure: header and facts of the mail, and the
// relay it goes by -> findings. The rules are data (preflight-rules.ts).
import { addressesIn } from './header-from.ts';
import type { Field } from './header.ts';
import { valueOf } from './header.ts';
import { preflightRules } from './preflight-rules.ts';
import type { PreflightCheck, PreflightRule } from './preflight-rules.ts';

/** refuse: the client gets the reason at once; warn: the mail goes out and its sender is told. */
export type PreflightMode = 'off' | 'warn' | 'refuse';
export type MailFacts = {
  /** As they go out. */
  readonly fields: readonly Field[];
  /** As far as it is known yet. */
  readonly sizeBytes?: number | undefined;
};
export type RelayFacts = { readonly preset?: string | undefined; readonly user: string };
export type Finding = {
  readonly rule: string;
  readonly meaning: string;
  readonly remedy: string;
  /** Not to be refused for. */
  readonly doubtful: boolean;
};

/** Each rule at most once. */
export function examine(mail: MailFacts, relay: RelayFacts): readonly Finding[] {
  const { preset } = relay;
  if (preset === undefined) return [];
  return preflightRules.flatMap((rule) => {
    const names: readonly string[] = rule.presets;
    const field = names.includes(preset) ? failingField(rule.check, mail, relay) : undefined;
    return field === undefined ? [] : [findingOf(rule, field)];
  });
}

/** For the client, when all of it is certain enough; undefined when nothing is to be refused. */
export function refusalText(findings: readonly Finding[]): string | undefined {
  const [first] = findings.filter((finding) => !finding.doubtful);
  if (first === undefined) return undefined;
  const text = '5.6.0 The provider would refuse this mail: ' + first.meaning;
  return (first.remedy === '' ? text : text + '. ' + first.remedy).slice(0, 400);
}

function findingOf(rule: PreflightRule, field: string): Finding {
  const name = field.replaceAll(/(?:^|-)[a-z]/g, (part) => part.toUpperCase());
  const { id, doubt, meaning, remedy } = rule;
  return { rule: id, meaning: meaning.replace('FIELD', name), remedy, doubtful: doubt !== undefined };
}

/** The name of the field at which the check fails; empty when it is about no field. Undefined when all is well. */
function failingField(check: PreflightCheck, mail: MailFacts, relay: RelayFacts): string | undefined {
  const { fields, sizeBytes = 0 } = mail;
  const all = (name: string): readonly Field[] => fields.filter((field) => field.name === name);
  switch (check.kind) {
    case 'once':
      return check.fields.find((name) => all(name).length > 1);
    case 'present':
      return check.fields.find((name) => all(name).every((field) => valueOf(field) === ''));
    case 'not-empty':
      return check.fields.find((name) => all(name).some((field) => valueOf(field) === ''));
    case 'ascii':
      return check.fields.find((name) => all(name).some(({ bytes }) => bytes.some((byte) => byte >= 0x80)));
    case 'date':
      return all('date').every((field) => isDate(valueOf(field))) ? undefined : 'date';
    case 'one-author':
      return all('from').every((field) => hasOneAuthor(field, all('sender').length > 0)) ? undefined : 'from';
    case 'from-is-login':
      return isAddress(relay.user) && all('from').some((field) => !authors(field).includes(relay.user.toLowerCase()))
        ? 'from'
        : undefined;
    case 'size':
      return sizeBytes > check.bytes ? '' : undefined;
  }
}

function hasOneAuthor(field: Field, hasSender: boolean): boolean {
  const count = authors(field).length;
  return count === 1 || (count > 1 && hasSender);
}

/** A field so long is another rule's matter. */
const maxFieldBytes = 65_536;

function authors(field: Field): readonly string[] {
  if (field.bytes.length > maxFieldBytes) return [];
  const text = field.bytes.toString('utf8');
  return addressesIn(text.slice(text.indexOf(':') + 1)).map((address) => address.toLowerCase());
}

const isAddress = (text: string): boolean => /^[^@\s]+@[^@\s]+$/.test(text);

/** RFC 5322 section 3.3, with what section 4.3 still allows to read. */
function isDate(value: string): boolean {
  const text = value.replaceAll(/\([^()]{0,200}\)/g, ' ').trim();
  return /^(?:(?:mon|tue|wed|thu|fri|sat|sun) ?, ?)?\d{1,2} (?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec) \d{4} \d{2}:\d{2}(?::\d{2})? ?(?:[+-]\d{4}|[a-z]{1,5})$/i.test(
    text,
  );
}
