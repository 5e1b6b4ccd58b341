// Forms over options of the configuration: parts that show what is typed there, and say which options their fields stand for.
// Pure. What a form does not know of an entry (pins, limits ...) stays as it is.
import type { Path } from '#shared/config-problems.ts';
import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '#shared/json.ts';
import { valueAt } from '../settings.ts';
import type { Edit, Plain } from '../settings.ts';
import type { Word } from './words.ts';

export type Values = Readonly<Record<string, string>>;
export type Field = {
  readonly name: string;
  readonly label: Word;
  readonly hint?: Word;
  readonly kind: 'text' | 'number' | 'date' | 'password' | 'lines' | 'select' | 'radio';
  /** Values and what they are called; a text of its own is no word of the dictionary. */
  readonly choices?: readonly (readonly [value: string, label: Word | { readonly text: string }])[];
  readonly autocomplete?: string;
  /** Shown only while another field has this value: NAME=VALUE. */
  readonly when?: string;
  readonly placeholder?: string;
};
export type Write = { readonly path: Path; readonly value: Plain | undefined };
export type Part = {
  readonly fields: readonly Field[];
  readonly show: (raw: unknown) => Values;
  readonly writes: (values: Values) => readonly Write[];
  /** Which field is shown as wrong when this option is; the longest path wins. */
  readonly places: readonly (readonly [path: Path, field: string])[];
};

export const listOf = (text: string): readonly string[] =>
  text
    .split(/[\s,;]+/)
    .map((item) => item.trim())
    .filter((item) => item !== '');

/** One field that is one option. An empty field is an option that is not there. */
export function simple(field: Field, path: Path): Part {
  return {
    fields: [field],
    show: (raw) => ({ [field.name]: textOf(valueAt(raw, path)) }),
    writes: (values) => [{ path, value: plainOf(field, (values[field.name] ?? '').trim()) }],
    places: [[path, field.name]],
  };
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return Array.isArray(value) ? value.map(textOf).join('\n') : '';
}

function plainOf(field: Field, text: string): Plain | undefined {
  if (text === '') return undefined;
  if (field.kind === 'lines') return listOf(text);
  // What is no number goes on as it is: the schema says what it expected.
  return field.kind === 'number' && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
}

/** Whether a saved mail is kept for days, not at all, or for good. */
export const keepPart: Part = {
  fields: [
    {
      name: 'keep',
      label: 'Mails that were handed over stay at the provider',
      kind: 'select',
      choices: [
        ['days', 'for some days'],
        ['forever', 'for good'],
        ['none', 'not at all'],
      ],
    },
    { name: 'keepDays', label: 'Days', kind: 'number', when: 'keep=days', placeholder: '14' },
  ],
  show(raw) {
    const keep = valueAt(raw, ['keep']);
    if (typeof keep === 'string') return { keep, keepDays: '' };
    return { keep: 'days', keepDays: textOf(valueAt(keep, ['days'])) };
  },
  writes({ keep = 'days', keepDays = '' }) {
    if (keep !== 'days') return [{ path: ['keep'], value: keep }];
    const days = keepDays.trim();
    if (days === '') return [{ path: ['keep'], value: undefined }];
    return [{ path: ['keep'], value: { days: /^\d{1,6}$/.test(days) ? Number(days) : days } }];
  },
  places: [
    [['keep'], 'keep'],
    [['keep', 'days'], 'keepDays'],
  ],
};

/** Rule of safety 4: what is there already is asked about, never guessed. */
export const firstRunPart: Part = {
  fields: [
    {
      name: 'firstRun',
      label: 'Mails that are in the mailbox already',
      hint: 'Asked once, for the first fetch of this mailbox.',
      kind: 'radio',
      choices: [
        ['all', 'fetch all of them'],
        ['since', 'fetch those since a day'],
        ['new-only', 'leave them there, fetch new ones only'],
      ],
    },
    { name: 'firstRunSince', label: 'Since', kind: 'date', when: 'firstRun=since' },
  ],
  show(raw) {
    const firstRun = valueAt(raw, ['firstRun']);
    if (isRecord(firstRun)) return { firstRun: 'since', firstRunSince: textOf(firstRun['since']) };
    return { firstRun: textOf(firstRun), firstRunSince: '' };
  },
  writes({ firstRun = '', firstRunSince = '' }) {
    if (firstRun === '') return [{ path: ['firstRun'], value: undefined }];
    return [{ path: ['firstRun'], value: firstRun === 'since' ? { since: firstRunSince } : firstRun }];
  },
  places: [
    [['firstRun'], 'firstRun'],
    [['firstRun', 'since'], 'firstRunSince'],
  ],
};

const multidropFields: readonly (readonly [option: string, Field])[] = [
  [
    'header',
    {
      name: 'dropHeader',
      label: 'Header line with the recipient',
      hint: 'The line in which the provider writes the recipient: X-Envelope-To, Delivered-To, X-Original-To.',
      kind: 'text',
      when: 'delivery=multidrop',
    },
  ],
  ['domains', { name: 'dropDomains', label: 'Domains of it', kind: 'lines', when: 'delivery=multidrop' }],
  ['fallback', { name: 'dropFallback', label: 'Who gets the rest', kind: 'text', when: 'delivery=multidrop' }],
  [
    'provider',
    {
      name: 'dropProvider',
      label: "The provider's own host",
      hint: 'As the topmost Received line names it after "by"; what stands below could be forged.',
      kind: 'text',
      when: 'delivery=multidrop',
    },
  ],
];

/** Either fixed recipients, or those of a header line. */
export const deliveryPart: Part = {
  fields: [
    {
      name: 'delivery',
      label: 'Who gets the mails',
      kind: 'radio',
      choices: [
        ['recipients', 'always the same local addresses'],
        ['multidrop', 'sorted by the recipient (a catch-all mailbox)'],
      ],
    },
    { name: 'recipients', label: 'Local addresses', kind: 'lines', when: 'delivery=recipients' },
    ...multidropFields.map(([, field]) => field),
  ],
  show: (raw) => ({
    delivery: valueAt(raw, ['multidrop']) === undefined ? 'recipients' : 'multidrop',
    recipients: textOf(valueAt(raw, ['recipients'])),
    ...Object.fromEntries(
      multidropFields.map(([option, field]) => [field.name, textOf(valueAt(raw, ['multidrop', option]))]),
    ),
  }),
  writes(values) {
    const sorted = values['delivery'] === 'multidrop';
    const list = listOf(values['recipients'] ?? '');
    const options = multidropFields.flatMap(([option, field]) => {
      const value = plainOf(field, (values[field.name] ?? '').trim());
      return value === undefined ? [] : [[option, value] as const];
    });
    return [
      { path: ['recipients'], value: sorted || list.length === 0 ? undefined : list },
      { path: ['multidrop'], value: sorted ? Object.fromEntries(options) : undefined },
    ];
  },
  places: [
    [['recipients'], 'recipients'],
    [['multidrop'], 'delivery'],
    ...multidropFields.map(([option, field]) => [['multidrop', option], field.name] as const),
  ],
};

/** The options of a new entry. */
export function entryOf(parts: readonly Part[], values: Values): Readonly<Record<string, Plain>> {
  const entry: Record<string, Plain> = {};
  for (const { path, value } of parts.flatMap((part) => part.writes(values)))
    if (value !== undefined && path.length === 1) entry[String(path[0])] = value;
  return entry;
}

/** What has to change so that an entry is as the form says. */
export function editsOf(parts: readonly Part[], values: Values, raw: unknown, base: Path): readonly Edit[] {
  return parts
    .flatMap((part) => part.writes(values))
    .flatMap(({ path, value }): readonly Edit[] => {
      const known = valueAt(raw, path);
      if (isDeepStrictEqual(known, value) || (known === null && value === undefined)) return [];
      const whole = [...base, ...path];
      return value === undefined ? [{ kind: 'remove', path: whole }] : [{ kind: 'set', path: whole, value }];
    });
}

/** The field at which an option's problem is shown; undefined when the form has none for it. */
export function fieldOf(parts: readonly Part[], path: Path): string | undefined {
  const found = parts
    .flatMap((part) => part.places)
    .filter(([place]) => place.every((step, index) => step === path[index]))
    .sort(([a], [b]) => b.length - a.length);
  return found[0]?.[1];
}
