// The questions of `mailferry init` at a terminal (loaded only then). Each answer is checked where it is typed; each login is
// tried, and what is wrong is told with what helps before the next question comes.
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { confirm, intro, isCancel, log, note, outro, password, select, spinner, text } from '@clack/prompts';
import { namePattern } from '#shared/topics.ts';
import { findPreset, presetNames } from '../accounts/presets.ts';
import type { PresetName } from '../accounts/presets.ts';
import type { Trial } from '../doctor/finding.ts';
import { userOf } from '../first-answers.ts';
import type { FirstAnswers, MailboxAnswer, RelayAnswer } from '../first-answers.ts';
import type { Trials } from './init-trials.ts';
import { clean } from './table.ts';

class Stopped extends Error {}

/** Ctrl-C anywhere is the end. */
function given<T>(value: T): Exclude<T, symbol> {
  if (isCancel(value)) throw new Stopped();
  return value as Exclude<T, symbol>; // isCancel() has ruled the symbol out
}

type Check = (value: string) => string | undefined;
const optional = (value: string): string | undefined => (value === '' ? undefined : value);

async function ask(message: string, check: Check, initialValue?: string): Promise<string> {
  const answer = await text({
    message,
    ...(initialValue === undefined ? {} : { initialValue }),
    validate: (value) => check((value ?? '').trim()),
  });
  return given(answer).trim();
}

const isName: Check = (value) =>
  new RegExp(namePattern).test(value) ? undefined : 'Only a-z, 0-9 and -, up to 32 characters.';
const isAddress: Check = (value) =>
  /^[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+$/.test(value) ? undefined : 'A whole mail address, such as info@example.org.';
const isHost: Check = (value) => (/^[A-Za-z0-9._:-]+$/.test(value) ? undefined : 'A host name or an IP address.');
const isPort: Check = (value) =>
  /^\d{1,5}$/.test(value) && Number(value) >= 1 && Number(value) <= 65_535 ? undefined : 'A port, 1 to 65535.';
const isDay: Check = (value) =>
  /^\d{4}-\d{2}-\d{2}$/.test(value) && !Number.isNaN(Date.parse(value)) ? undefined : 'A day as YYYY-MM-DD.';
const isDays: Check = (value) =>
  /^\d{1,4}$/.test(value) && Number(value) >= 1 && Number(value) <= 3_650 ? undefined : 'Days, 1 to 3650.';
const isDomains: Check = (value) =>
  listOf(value).length > 0 && listOf(value).every((one) => /^[^@\s]+\.[^@\s]+$/.test(one))
    ? undefined
    : 'Domains such as example.org, with commas between them.';
const listOf = (value: string): readonly string[] => value.split(/[\s,]+/).filter((one) => one !== '');

/** Undefined when somebody stopped. */
export async function askForAnswers(options: {
  readonly folder: string;
  readonly trials: Trials;
}): Promise<FirstAnswers | undefined> {
  try {
    intro('mailferry: the first configuration. Ctrl-C stops, nothing is written before the end.');
    const tenant = await ask('A short name for the customer or site', isName, 'home');
    const agent = await ask('A short name for this machine', isName, nameOf(hostname()));
    const local = await askLocal(options);
    const mailboxes = await askMailboxes(options, local);
    const relays = await askRelays(options, mailboxes);
    const port =
      relays.length === 0
        ? '2525'
        : await ask('At which port shall the local mail server hand in its mail', isPort, '2525');
    const operator = optional(
      await ask(
        'Who is told of trouble that concerns nobody else? A local address, or nothing',
        (value) => (value === '' ? undefined : isLocal(value, local)),
        mailboxes[0]?.recipients?.[0] ?? mailboxes[0]?.address ?? '',
      ),
    );
    note(summary(local, mailboxes, relays, port), 'This is written down');
    if (!given(await confirm({ message: 'Write it?' }))) throw new Stopped();
    outro('Good.');
    return {
      tenant,
      agent,
      state: 'state',
      local,
      mailboxes,
      relays,
      submission: { host: '127.0.0.1', port: Number(port) },
      ...(operator === undefined ? {} : { operator }),
    };
  } catch (error) {
    if (error instanceof Stopped) return undefined;
    throw error;
  }
}

const nameOf = (host: string): string =>
  host
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 32) || 'nas-1';

type Local = FirstAnswers['local'];
type Options = { readonly folder: string; readonly trials: Trials };

const isLocal = (value: string, { domains }: Local): string | undefined =>
  domains.some((domain) => value.toLowerCase().endsWith('@' + domain.toLowerCase()))
    ? isAddress(value)
    : 'An address in ' + domains.join(', ') + ': fetched mail never leaves the house.';

async function askLocal({ trials }: Options): Promise<Local> {
  const domains = listOf(await ask('Your own mail domains, which the local mail server is there for', isDomains));
  let place = { host: '127.0.0.1', port: '25' };
  for (;;) {
    place = {
      host: await ask('The local mail server (on this machine: 127.0.0.1)', isHost, place.host),
      port: await ask('Its SMTP port', isPort, place.port),
    };
    const local: Local = {
      protocol: 'smtp',
      host: place.host,
      port: Number(place.port),
      tls: 'none',
      domains: [...domains],
    };
    const [server] = await working('Looking at the local mail server', () => trials.local(local, []));
    if (server === undefined || tell(server)) return local;
    if ((await howOn('Keep these entries')) === 'keep') return local;
  }
}

async function askMailboxes(options: Options, local: Local): Promise<readonly MailboxAnswer[]> {
  const mailboxes: MailboxAnswer[] = [];
  do {
    mailboxes.push(await askMailbox(options, local, mailboxes));
  } while (given(await confirm({ message: 'Another mailbox?', initialValue: false })));
  return mailboxes;
}

async function askMailbox(options: Options, local: Local, known: readonly MailboxAnswer[]): Promise<MailboxAnswer> {
  const address = await ask('The address of a mailbox at your provider', (value) =>
    known.some((one) => one.address === value) ? 'That one is there already.' : isAddress(value),
  );
  const login = await askLogin(options, {
    address,
    kind: 'POP3',
    standard: { port: '995', tls: 'implicit' },
    hostOf: (preset) => findPreset(preset)?.pop3.value.host,
    look: (answer) => options.trials.mailbox({ address, firstRun: 'all', keepDays: 14, ...answer }),
  });
  const firstRun = await askFirstRun();
  const keepDays = Number(await ask('For how many days does a fetched mail stay at the provider', isDays, '14'));
  const fits = isLocal(address, local) === undefined;
  const recipient = await ask(
    'Who gets its mail at the local server',
    (value) => isLocal(value, local),
    fits ? address : '',
  );
  const [, refused] = await options.trials.local(local, [recipient]);
  if (refused !== undefined) tell(refused);
  return { address, ...login, firstRun, keepDays, recipients: [recipient] };
}

/** What becomes of mails from before is never guessed (they might all be delivered a second time, or never). */
async function askFirstRun(): Promise<MailboxAnswer['firstRun']> {
  const choice = given(
    await select({
      message: 'Mails that are in it already',
      options: [
        { value: 'all', label: 'are fetched, all of them', hint: 'a new local server' },
        {
          value: 'new-only',
          label: 'stay there, only new ones are fetched',
          hint: 'another program fetched them before',
        },
        { value: 'since', label: 'are fetched from a day on' },
      ],
    }),
  );
  if (choice === 'all' || choice === 'new-only') return choice;
  return { since: await ask('From which day on (YYYY-MM-DD)', isDay) };
}

type Login = Pick<MailboxAnswer, 'preset' | 'host' | 'port' | 'tls' | 'caFile' | 'user' | 'password'>;
type Wanted = {
  readonly address: string;
  readonly kind: 'POP3' | 'SMTP';
  readonly standard: { readonly port: string; readonly tls: 'implicit' | 'starttls' };
  readonly hostOf: (preset: PresetName) => string | undefined;
  readonly look: (login: Login) => Promise<Trial>;
};

/** Until the login is taken, or somebody keeps it all the same. */
async function askLogin(options: Options, wanted: Wanted): Promise<Login> {
  let place = await askPlace(wanted);
  let caFile: string | undefined;
  for (;;) {
    const user = await ask(
      'Login name',
      (value) => (value === '' ? 'A login name.' : undefined),
      userOf(wanted.address, place.preset),
    );
    const secret = given(
      await password({ message: 'Password', validate: (value) => ((value ?? '') === '' ? 'A password.' : undefined) }),
    );
    const login = { ...place, user, password: secret, ...(caFile === undefined ? {} : { caFile }) };
    const trial = await working('Logging in', () => wanted.look(login));
    if (tell(trial)) return login;
    const isUnknown = trial.option[0] === 'caFile';
    const next = await howOn('Keep this login', isUnknown);
    if (next === 'keep') return login;
    if (next === 'authority') caFile = await askFile(options.folder);
    if (next === 'place') place = await askPlace(wanted);
  }
}

async function askFile(folder: string): Promise<string> {
  const file = await ask('PEM file of that authority', (value) =>
    existsSync(resolve(folder, value)) && value !== '' ? undefined : 'No such file.',
  );
  return resolve(folder, file);
}

async function askPlace(wanted: Wanted): Promise<Pick<Login, 'preset' | 'host' | 'port' | 'tls'>> {
  const known = (presetNames as readonly PresetName[]).filter((name) => wanted.hostOf(name) !== undefined);
  const choice = given(
    await select({
      message: 'The provider (' + wanted.kind + ')',
      maxItems: 8,
      options: [
        ...known.map((name) => ({ value: name as string, label: findPreset(name)?.title ?? name })),
        { value: 'other', label: 'another one, I know its server' },
      ],
      initialValue: 'other',
    }),
  );
  const preset = known.find((name) => name === choice);
  if (preset !== undefined) return { preset };
  const host = await ask('Its ' + wanted.kind + ' server', isHost);
  const port = Number(await ask('Port', isPort, wanted.standard.port));
  const tls = given(
    await select<'implicit' | 'starttls' | 'none'>({
      message: 'Encryption',
      initialValue: wanted.standard.tls,
      options: [
        { value: 'implicit', label: 'TLS from the first byte', hint: wanted.kind === 'POP3' ? '995' : '465' },
        { value: 'starttls', label: 'STARTTLS', hint: wanted.kind === 'POP3' ? '110' : '587' },
        { value: 'none', label: 'none', hint: 'only to this machine' },
      ],
    }),
  );
  return { host, port, tls };
}

async function askRelays(options: Options, mailboxes: readonly MailboxAnswer[]): Promise<readonly RelayAnswer[]> {
  const [first] = mailboxes;
  if (first === undefined || !given(await confirm({ message: "Send mail too, by the provider's relay?" }))) return [];
  const { address } = first;
  const smtp = findPreset(first.preset)?.smtp.value.host;
  if (first.preset !== undefined && smtp !== undefined) {
    const same = {
      preset: first.preset,
      address,
      password: first.password,
      ...(first.user === undefined ? {} : { user: first.user }),
    };
    const message = 'By ' + smtp + ' with the login of ' + address + '?';
    if (given(await confirm({ message })) && tell(await working('Logging in', () => options.trials.relay(same))))
      return [same];
  }
  const login = await askLogin(options, {
    address,
    kind: 'SMTP',
    standard: { port: '587', tls: 'starttls' },
    hostOf: (preset) => findPreset(preset)?.smtp.value.host,
    look: (answer) => options.trials.relay({ address, ...answer }),
  });
  return [{ address, ...login }];
}

async function working<T>(message: string, work: () => Promise<T>): Promise<T> {
  const sign = spinner();
  sign.start(message);
  try {
    return await work();
  } finally {
    sign.stop(message);
  }
}

/** Whether all is well. */
function tell(trial: Trial): boolean {
  if (trial.level === 'ok') {
    log.success(clean(trial.found));
    return true;
  }
  log.error(clean(trial.found) + '\nExpected ' + clean(trial.expected) + '.\nWhat helps: ' + clean(trial.remedy) + '.');
  return trial.level !== 'error';
}

async function howOn(keep: string, isUnknown = false): Promise<'again' | 'place' | 'authority' | 'keep'> {
  return given(
    await select<'again' | 'place' | 'authority' | 'keep'>({
      message: 'How shall it go on?',
      options: [
        ...(isUnknown ? [{ value: 'authority' as const, label: 'Name the PEM file of its authority' }] : []),
        { value: 'again', label: 'Type it again' },
        { value: 'place', label: 'Another server' },
        { value: 'keep', label: keep, hint: 'it is tried again when the agent runs' },
      ],
    }),
  );
}

function summary(
  local: Local,
  mailboxes: readonly MailboxAnswer[],
  relays: readonly RelayAnswer[],
  port: string,
): string {
  const first = (one: MailboxAnswer): string =>
    typeof one.firstRun === 'string' ? one.firstRun : 'since ' + one.firstRun.since;
  return [
    'local server  ' + local.host + ':' + local.port + ' for ' + local.domains.join(', '),
    ...mailboxes.map((one) => 'mailbox       ' + one.address + ', ' + first(one) + ', kept ' + one.keepDays + ' days'),
    ...relays.map(
      (one) => 'relay         ' + (one.preset ?? one.host ?? '') + ' as ' + (one.user ?? one.address ?? ''),
    ),
    ...(relays.length > 0 ? ['submission    127.0.0.1:' + port] : []),
  ].join('\n');
}
