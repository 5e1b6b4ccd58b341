// What can be set up on the page: mailboxes, relays, the local server, where mail is handed in. Each is a list of parts.
import type { Path } from '#shared/config-problems.ts';
import { presets } from '../accounts/presets.ts';
import type { Preset } from '../accounts/presets.ts';
import { deliveryPart, firstRunPart, keepPart, simple } from './form.ts';
import type { Field, Part } from './form.ts';
import type { Word } from './words.ts';

export type Entry = {
  readonly kind: 'mailbox' | 'relay' | 'local' | 'submission';
  /** Where its options stand; a list has several of them. */
  readonly base: Path;
  readonly list: boolean;
  readonly parts: readonly Part[];
  /** Fields that say where a server is: with other ones a stored password is not used. */
  readonly place: readonly string[];
  /** Fields that are asked for once, at the beginning. */
  readonly once: readonly string[];
  readonly home: string;
};

const all: Readonly<Record<string, Preset>> = presets;
const presetField: Field = {
  name: 'preset',
  label: 'Provider',
  kind: 'select',
  choices: [['', 'another one'], ...Object.entries(all).map(([name, { title }]) => [name, { text: title }] as const)],
};
const tlsField = (standard: Word): Field => ({
  name: 'tls',
  label: 'Encryption',
  kind: 'select',
  choices: [
    ['', standard],
    ['implicit', { text: 'TLS' }],
    ['starttls', { text: 'STARTTLS' }],
    ['none', 'none'],
  ],
});
const hostField: Field = {
  name: 'host',
  label: 'Server',
  hint: 'Empty: that of the provider chosen above.',
  kind: 'text',
};
const portField: Field = { name: 'port', label: 'Port', kind: 'number' };
const userField: Field = { name: 'user', label: 'Login name', kind: 'text' };
const idPart = simple(
  { name: 'id', label: 'Name', hint: 'Short, for reports and alerts: a-z, 0-9 and -.', kind: 'text' },
  ['id'],
);
/** What it stands for is written with the token that belongs to it (entry-change.ts). */
const oauthPart: Part = {
  ...simple(
    {
      name: 'clientId',
      label: 'OAuth2: your application (client id)',
      hint: 'Only where the provider takes no password (Microsoft 365, Outlook.com). Empty: the password is used.',
      kind: 'text',
    },
    ['oauth', 'clientId'],
  ),
  writes: () => [],
  places: [[['oauth'], 'clientId']],
};
const placeParts: readonly Part[] = [
  simple(presetField, ['preset']),
  simple(hostField, ['host']),
  simple(portField, ['port']),
  simple(tlsField('as the provider has it'), ['tls']),
  simple(userField, ['user']),
  oauthPart,
];
export const passwordField: Field = {
  name: 'password',
  label: 'Password',
  kind: 'password',
  autocomplete: 'new-password',
  when: 'clientId=',
};
const place = ['preset', 'host', 'port', 'tls', 'user'] as const;

export const mailbox: Entry = {
  kind: 'mailbox',
  base: ['accounts'],
  list: true,
  parts: [
    idPart,
    ...placeParts,
    deliveryPart,
    keepPart,
    firstRunPart,
    simple(
      {
        name: 'intervalSeconds',
        label: 'Fetch every (seconds)',
        hint: 'Never under what the provider allows. Empty: 15.',
        kind: 'number',
        placeholder: '15',
      },
      ['intervalSeconds'],
    ),
  ],
  place,
  once: ['id'],
  home: '/mailboxes',
};

export const relay: Entry = {
  kind: 'relay',
  base: ['relays'],
  list: true,
  parts: [
    idPart,
    ...placeParts,
    simple(
      {
        name: 'senders',
        label: 'Only for mail of these senders',
        hint: 'Addresses, or @domain. Empty: for all others.',
        kind: 'lines',
      },
      ['senders'],
    ),
  ],
  place,
  once: ['id'],
  home: '/sending',
};

export const local: Entry = {
  kind: 'local',
  base: [],
  list: false,
  parts: [
    simple(
      {
        name: 'domains',
        label: 'Your domains',
        hint: 'Mail is handed over only to recipients in these domains.',
        kind: 'lines',
      },
      ['local', 'domains'],
    ),
    simple({ ...hostField, hint: 'Empty: this machine (127.0.0.1).', placeholder: '127.0.0.1' }, ['local', 'host']),
    simple({ ...portField, placeholder: '25' }, ['local', 'port']),
    simple(
      {
        name: 'protocol',
        label: 'Protocol',
        kind: 'select',
        choices: [
          ['', { text: 'SMTP' }],
          ['lmtp', { text: 'LMTP' }],
        ],
      },
      ['local', 'protocol'],
    ),
    simple(tlsField('none'), ['local', 'tls']),
    simple(
      {
        name: 'operator',
        label: 'Who looks after it',
        hint: 'A local address; it is told of trouble that nobody else can be told of. May be empty.',
        kind: 'text',
      },
      ['operator'],
    ),
  ],
  place: ['host', 'port', 'tls', 'protocol', 'domains'],
  once: [],
  home: '/local',
};

export const submission: Entry = {
  kind: 'submission',
  base: [],
  list: false,
  parts: [
    simple(
      {
        name: 'host',
        label: 'Listens on',
        kind: 'select',
        choices: [
          ['', 'this machine alone (127.0.0.1)'],
          ['0.0.0.0', 'all networks (0.0.0.0)'],
        ],
      },
      ['submission', 'host'],
    ),
    simple({ ...portField, placeholder: '2525' }, ['submission', 'port']),
    simple({ name: 'implicitPort', label: 'Second port, with TLS from the first byte', kind: 'number' }, [
      'submission',
      'implicitPort',
    ]),
  ],
  place: [],
  once: [],
  home: '/sending',
};

/** What a preset knows, for the placeholders of empty fields. */
export function knownPlace(kind: 'mailbox' | 'relay', preset: string): Readonly<Record<string, string>> {
  const known = Object.hasOwn(all, preset) ? all[preset] : undefined;
  const server = kind === 'mailbox' ? known?.pop3.value : known?.smtp.value;
  const standard = kind === 'mailbox' ? '995' : '587';
  return { host: server?.host ?? '', port: String(server?.port ?? standard) };
}

/** What a person has to know about a provider before a login works: in the provider's facts, English. */
export function hintsOf(preset: string): readonly string[] {
  const known = Object.hasOwn(all, preset) ? all[preset] : undefined;
  if (known === undefined) return [];
  const user = known.userName.value;
  const name = user === 'local' ? ['The login name is what stands before the @.'] : [];
  const minimum = known.minIntervalSeconds;
  const pause = minimum.source === 'none' ? [] : ['Fetched at most every ' + minimum.value / 60 + ' minutes.'];
  return [...name, ...pause, ...known.hints.map((hint) => hint.value), ...known.limits.map((limit) => limit.value)];
}
