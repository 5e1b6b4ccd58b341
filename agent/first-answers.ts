// The first configuration, from answers: of the guided set-up, of a file (unattended, or written by a package's wizard), of
// the agent's page. Promises: an existing configuration is not touched; a password stands in a file of its own that only its
// owner can read, never in the configuration; what is written is a configuration that the agent accepts.
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { stringify } from 'yaml';
import { closed, idSchema, tlsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, loadConfig, portSchema, secretSchema } from '#shared/config.ts';
import type { Loaded, Secret } from '#shared/config.ts';
import { UserError } from '#shared/failure.ts';
import { findPreset, presetNames } from './accounts/presets.ts';
import type { PresetName } from './accounts/presets.ts';
import { writeSecretFile } from './accounts/secret-file.ts';
import { parseAgentConfig } from './config.ts';
import { replaceFile } from './settings/replace-file.ts';

const addressSchema = Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' });
const presetSchema = Type.Optional(Type.Unsafe<PresetName>(Type.Union(presetNames.map((name) => Type.Literal(name)))));
const place = {
  preset: explain('The provider, when it is a known one (docs/providers.md).', presetSchema),
  host: explain("The provider's server. Needed without a preset that knows it.", Type.Optional(hostSchema())),
  port: explain('Its port.', Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 }))),
  tls: explain(
    'As in the configuration.',
    Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('implicit')])),
  ),
  caFile: explain('PEM file of an authority of your own.', Type.Optional(Type.String({ minLength: 1 }))),
  user: explain(
    'Login name; by default the address, in the form that the preset asks for.',
    Type.Optional(Type.String({ minLength: 1 })),
  ),
};

const mailboxSchema = Type.Object(
  {
    address: explain('The address of the mailbox at the provider.', addressSchema),
    ...place,
    password: explain('Its password.', secretSchema),
    recipients: explain(
      'Who gets its mail at the local server; by default the address.',
      Type.Optional(Type.Array(addressSchema, { minItems: 1 })),
    ),
    firstRun: explain(
      'What becomes of the mails that are there already. Must be said: all (they are fetched), new-only (they stay), or {since: YYYY-MM-DD}.',
      Type.Union(
        [
          Type.Literal('all'),
          Type.Literal('new-only'),
          Type.Object(
            {
              since: Type.String({
                pattern: '^\\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\\d|3[01])$',
                description: 'a day as YYYY-MM-DD',
              }),
            },
            closed,
          ),
        ],
        { description: 'all, new-only or {since: YYYY-MM-DD}' },
      ),
    ),
    keepDays: explain(
      'How long a fetched mail stays at the provider.',
      Type.Integer({ minimum: 1, maximum: 3_650, default: 14 }),
    ),
  },
  closed,
);

const relaySchema = Type.Object(
  {
    id: explain('Its name in reports.', Type.Optional(idSchema)),
    ...place,
    address: explain('The address whose login it is.', Type.Optional(addressSchema)),
    password: explain('Its password.', secretSchema),
    senders: explain(
      'Only mail of these senders goes by it.',
      Type.Optional(
        Type.Array(Type.String({ pattern: '^[^@\\s<>]*@[^@\\s<>]+$', description: 'an address, or @domain' }), {
          minItems: 1,
        }),
      ),
    ),
  },
  closed,
);

export const answersSchema = Type.Object(
  {
    tenant: explain('Whose site this is.', idSchema),
    agent: explain('Name of this agent.', idSchema),
    state: explain(
      'Folder of everything the agent must remember; relative to the configuration.',
      Type.String({ minLength: 1, default: 'state' }),
    ),
    local: explain(
      'The local mail server.',
      Type.Object(
        {
          protocol: Type.Union([Type.Literal('smtp'), Type.Literal('lmtp')], { default: 'smtp' }),
          host: hostSchema({ default: '127.0.0.1' }),
          port: portSchema(25),
          tls: tlsSchema('none'),
          caFile: Type.Optional(Type.String({ minLength: 1 })),
          domains: Type.Array(Type.String({ pattern: '^[^@\\s]+$', description: 'a domain such as example.org' }), {
            minItems: 1,
          }),
        },
        closed,
      ),
    ),
    mailboxes: explain('Mailboxes at the provider.', Type.Array(mailboxSchema, { default: [] })),
    relays: explain(
      'By which mail goes out. Without one the agent only receives.',
      Type.Array(relaySchema, { default: [] }),
    ),
    submission: explain(
      'Where the local server hands in mail to be sent; there when there is a relay.',
      Type.Optional(Type.Object({ host: hostSchema({ default: '127.0.0.1' }), port: portSchema(2_525) }, closed)),
    ),
    operator: explain('Local mailbox of whoever looks after the agent.', Type.Optional(addressSchema)),
    report: explain(
      'The collector, when there is one.',
      Type.Optional(
        Type.Object(
          {
            url: Type.String({ pattern: '^mqtts?://[^/]+$', description: 'mqtt://HOST:PORT or mqtts://HOST:PORT' }),
            user: Type.Optional(Type.String({ minLength: 1 })),
            password: secretSchema,
            caFile: Type.Optional(Type.String({ minLength: 1 })),
          },
          closed,
        ),
      ),
    ),
  },
  closed,
);

type Given = Static<typeof answersSchema>;
/** With the passwords themselves, which go into files of their own. */
type Told<T extends { readonly password: Secret }> = Omit<T, 'password'> & { readonly password: string };
export type MailboxAnswer = Told<Given['mailboxes'][number]>;
export type RelayAnswer = Told<Given['relays'][number]>;
export type FirstAnswers = Omit<Given, 'mailboxes' | 'relays' | 'report'> & {
  readonly mailboxes: readonly MailboxAnswer[];
  readonly relays: readonly RelayAnswer[];
  readonly report?: Told<NonNullable<Given['report']>>;
};

/** Throws UserError that names file, line and option. Files are relative to that of the answers. */
export function readAnswers(file: string): FirstAnswers {
  const loaded: Loaded<Given> = loadConfig({ file, schema: answersSchema });
  const { mailboxes, relays, report, ...rest } = loaded.value;
  const here = <T extends { readonly caFile?: string }>(one: T): T =>
    one.caFile === undefined ? one : { ...one, caFile: loaded.path(one.caFile) };
  return {
    ...rest,
    local: here(rest.local),
    mailboxes: mailboxes.map((one, index) => ({
      ...here(one),
      password: loaded.secret(['mailboxes', index, 'password'], one.password),
    })),
    relays: relays.map((one, index) => ({
      ...here(one),
      password: loaded.secret(['relays', index, 'password'], one.password),
    })),
    ...(report && { report: { ...here(report), password: loaded.secret(['report', 'password'], report.password) } }),
  };
}

export type Written = { readonly file: string; readonly secrets: readonly string[] };
type Plan = { readonly text: string; readonly secrets: ReadonlyMap<string, string> };

/** Throws UserError when a configuration is there, or when the answers make none that the agent would take. */
export async function writeFirstConfiguration(options: {
  readonly file: string;
  readonly answers: FirstAnswers;
}): Promise<Written> {
  const { file, answers } = options;
  if (existsSync(file))
    throw new UserError(
      'Cannot write ' + file + ': it is there, expected a new file; change it by hand or on the page of the agent',
    );
  const plan = planConfiguration(answers);
  parseAgentConfig(file, plan.text);
  const folder = dirname(file);
  await mkdir(join(folder, secretsFolder), { recursive: true, mode: 0o700 });
  for (const [name, secret] of plan.secrets) await writeSecretFile(join(folder, name), secret);
  await replaceFile(file, plan.text);
  return { file, secrets: [...plan.secrets.keys()] };
}

const secretsFolder = 'secrets';

/** The text of the configuration, and what the files hold that it names. Pure but for the password of the relay dialog. */
export function planConfiguration(answers: FirstAnswers): Plan {
  const secrets = new Map<string, string>();
  const keep = (name: string, secret: string): { readonly file: string } => {
    const file = secretsFolder + '/' + name;
    secrets.set(file, secret);
    return { file };
  };
  const { tenant, agent, state, local, operator, report } = answers;
  const ids = new Set<string>();
  const accounts = answers.mailboxes.map((mailbox) => accountOf(mailbox, freeId(mailbox.address, ids), keep));
  const names = new Set<string>();
  const relays = answers.relays.map((relay) =>
    relayOf(relay, freeId(relay.id ?? relay.preset ?? 'provider', names), keep),
  );
  const submission = answers.submission ?? { host: '127.0.0.1', port: 2_525 };
  const office = (): string => randomBytes(15).toString('base64url');
  const config = {
    tenant,
    agent,
    state,
    local,
    ...(operator === undefined ? {} : { operator }),
    accounts,
    ...(relays.length === 0
      ? {}
      : {
          relays,
          submission: {
            ...submission,
            users: [
              {
                name: 'office',
                password: keep('user-office', office()),
                senders: local.domains.map((one) => '@' + one),
              },
            ],
          },
        }),
    ...(report && { report: { ...report, password: keep('report', report.password), diskSeconds: restingSeconds } }),
  };
  return { text: head + stringify(config, { lineWidth: 100 }), secrets };
}

/** A NAS lets its disks sleep after ten minutes at the earliest. */
const restingSeconds = 600;

const head = [
  '# The configuration of the mailferry agent on this machine. Every option: docs/configuration.md.',
  '# After a change: mailferry config check, then mailferry reload. Passwords stand in files of their own, never here.',
  '',
  '',
].join('\n');

type Keep = (name: string, secret: string) => { readonly file: string };

function accountOf(mailbox: MailboxAnswer, id: string, keep: Keep): object {
  const { address, recipients, firstRun, keepDays, password, ...rest } = mailbox;
  return {
    id,
    ...rest,
    user: rest.user ?? userOf(address, rest.preset),
    password: keep('mailbox-' + id, password),
    recipients: recipients ?? [address],
    keep: { days: keepDays },
    firstRun,
  };
}

function relayOf(relay: RelayAnswer, id: string, keep: Keep): object {
  const { address, id: _id, password, user, ...rest } = relay;
  if (user === undefined && address === undefined)
    throw new UserError('Cannot write the relay ' + id + ': no login name, expected `user` or `address`');
  return { id, ...rest, user: user ?? userOf(address ?? '', rest.preset), password: keep('relay-' + id, password) };
}

/** Some providers ask for the part before the @. */
export function userOf(address: string, preset: PresetName | undefined): string {
  return findPreset(preset)?.userName.value === 'local' ? address.slice(0, address.lastIndexOf('@')) : address;
}

/** From an address or a name: a-z, 0-9 and -, not taken yet. */
function freeId(text: string, taken: Set<string>): string {
  const plain = (part: string): string =>
    part
      .toLowerCase()
      .replaceAll(/[^a-z0-9]+/g, '-')
      .replaceAll(/^-+|-+$/g, '');
  const [local = '', domain = ''] = text.split('@');
  const wishes = [plain(local), plain(local + '-' + domain)].filter((wish) => wish !== '');
  const base = wishes[0] ?? 'mailbox';
  const numbered = Array.from({ length: taken.size + 2 }, (_, index) => base + '-' + (index + 2));
  const id = [...wishes, ...numbered, base].find((wish) => !taken.has(wish)) ?? base;
  taken.add(id);
  return id;
}
