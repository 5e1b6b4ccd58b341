// What is told about one recipient, as the index keeps it until it was delivered.

/** relayed: handed on to a server that confirms nothing (RFC 3464 section 2.3.3); warned: known to be refused, before it is. */
export type NoticeKind = 'failed' | 'delayed' | 'relayed' | 'warned';

export type Report = {
  readonly address: string;
  readonly action: Exclude<NoticeKind, 'warned'>;
  /** RFC 3463. */
  readonly status: string;
  /** The relay's words. */
  readonly reply: string;
  /** An earlier try ended without an answer. */
  readonly mayHaveArrived: boolean;
  /** Not tried again by itself: whether it arrived is not known, and a person decides. */
  readonly held?: boolean;
  /** The reply in plain words, and what helps. */
  readonly meaning?: string;
  readonly remedy?: string;
  /** What the sender wrote, as TYPE;ADDRESS (RFC 3461 section 4.2). */
  readonly original?: string;
  /** Wall clock of the last try. */
  readonly attemptedAt?: number;
  /** The server that said so, when it is not the first relay. */
  readonly host?: string;
  /** The relay by which it goes. */
  readonly relay?: string;
};
/** What a sender is warned of: the provider is known to refuse this. */
export type Warning = { readonly meaning: string; readonly remedy: string };

/** What the index holds of a notice; throws on anything that this room did not write. */
export function decodeReports(text: string): readonly Report[] {
  return decode(text, isReport);
}

export function decodeWarnings(text: string): readonly Warning[] {
  return decode(text, isWarning);
}

function decode<T>(text: string, fits: (value: unknown) => value is T): readonly T[] {
  const value: unknown = JSON.parse(text);
  if (Array.isArray(value) && value.every(fits)) return value;
  throw new Error('Cannot read a notice: found another shape, expected what the queue wrote');
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isAbsentOr = (type: 'string' | 'number' | 'boolean', value: unknown): boolean =>
  value === undefined || typeof value === type;

function isReport(value: unknown): value is Report {
  if (typeof value !== 'object' || value === null) return false;
  const given: Partial<Record<keyof Report, unknown>> = value;
  const { action, address, attemptedAt, held, host, mayHaveArrived, meaning, original } = given;
  const { relay, remedy, reply, status } = given;
  const texts = [address, reply, status].every(isText) && typeof mayHaveArrived === 'boolean';
  const maybe = [host, meaning, original, relay, remedy].every((text) => isAbsentOr('string', text));
  const rest = isAbsentOr('boolean', held) && isAbsentOr('number', attemptedAt);
  return texts && maybe && rest && (action === 'failed' || action === 'delayed' || action === 'relayed');
}

function isWarning(value: unknown): value is Warning {
  if (typeof value !== 'object' || value === null) return false;
  const { meaning, remedy }: Partial<Record<keyof Warning, unknown>> = value;
  return isText(meaning) && isText(remedy);
}

/** The enhanced status of a reply (RFC 3463), if it fits its code; else the class alone, else `fallback`. */
export function statusOf(enhanced: string | undefined, reply: string, fallback: string): string {
  const [, klass, own] = /^([245])\d\d[ -]?(?:([245]\.\d{1,3}\.\d{1,3})\b)?/.exec(reply) ?? [];
  const found = enhanced ?? own;
  if (klass === undefined) return found ?? fallback;
  return found !== undefined && found.startsWith(klass) ? found : klass + '.0.0';
}
