// `mailferry user ...`: who may hand in mail. Needs no running agent; one that runs reads the file when it has changed.
// Promise: a password is never an argument (every process of the machine can read those), is shown once when it was made
// here, and is kept as a hash alone.
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { UserError, codeOf } from '#shared/failure.ts';
import { loadAgentConfig } from '../config.ts';
import type { AgentConfig } from '../config.ts';
import type { AccountOptions, Handling, MailServerRights } from '../users/account-options.ts';
import { hashPassword, makePassword } from '../users/password-hash.ts';
import { readUsers, usersFileOf, writeUsers } from '../users/users-file.ts';
import type { StoredUser } from '../users/users-file.ts';
import { alignColumns, clean } from './table.ts';

export type UserTerminal = {
  readonly out: (text: string) => void;
  /** All of standard input; for --password-stdin. */
  readonly readInput?: () => Promise<string>;
};
type Site = { readonly file: string; readonly config: AgentConfig; readonly users: readonly StoredUser[] };
type MailServerFlags = {
  readonly nullSender?: string;
  readonly foreignSender?: string;
  readonly rewriteTo?: string;
  readonly headerFrom?: string;
};
type Given = MailServerFlags & { readonly passwordStdin?: boolean; readonly renew?: boolean; readonly json?: boolean };

const minPasswordLength = 10;
const relayDialog = 'relay-dialog';
const handlings: readonly Handling[] = ['refuse', 'hold', 'rewrite', 'allow'];

/** `prepare` gives a command the terminal of the program; `configFile` may throw UserError. */
export function addUserCommands(
  program: Command,
  options: {
    readonly terminal: UserTerminal;
    readonly prepare: (command: Command) => Command;
    readonly configFile: () => string;
  },
): void {
  const { terminal, prepare, configFile } = options;
  const group = prepare(new Command('user')).description(
    'Who may hand in mail, beside the users of the configuration.',
  );
  const add = (name: string, help: string): Command => {
    const command = prepare(new Command(name)).description(help);
    group.addCommand(command);
    return command;
  };
  const given = (command: Command): Given => command.opts<Given>();
  const fromStdin = ['--password-stdin', 'read the password from standard input instead of making one'] as const;

  const adding = add('add', 'Adds a user and shows the password that was made for it.')
    .argument('<name>', 'login name')
    .argument('<senders...>', 'what it may send as: addresses, or @domain')
    .option(...fromStdin);
  withMailServer(adding).action(async (name: string, senders: readonly string[]) => {
    await addUser(await openSite(configFile()), name, senders, given(adding), terminal);
  });
  const password = add('password', 'Gives a user another password.')
    .argument('<name>', 'login name')
    .option(...fromStdin);
  password.action(async (name: string) => {
    await changePassword(await openSite(configFile()), name, given(password), terminal);
  });
  add('remove', 'Removes a user; it is out with its next mail.')
    .argument('<name>', 'login name')
    .action(async (name: string) => removeUser(await openSite(configFile()), name, terminal));
  const list = add('list', 'Lists the users and what they may send.').option('--json', 'the answer as JSON');
  list.action(async () => listUsers(await openSite(configFile()), given(list).json === true, terminal));
  const dialog = add(
    'relay-dialog',
    "Makes the account for a mail server's relay dialog and shows what to fill in there.",
  )
    .argument('[senders...]', 'what it may send as (default: each @domain of local.domains)')
    .option('--renew', 'another password for the account that is there');
  withMailServer(dialog).action(async (senders: readonly string[]) => {
    await showDialog(await openSite(configFile()), senders, given(dialog), terminal);
  });
  program.addCommand(group);
}

function withMailServer(command: Command): Command {
  const what = handlings.join(', ');
  return command
    .option('--null-sender <what>', 'reports and out-of-office replies, which have no sender: ' + what)
    .option('--foreign-sender <what>', "redirects, which have somebody else's sender: " + what)
    .option('--rewrite-to <address>', 'the own address that `rewrite` puts there')
    .option('--header-from <what>', 'what rewrite does to a foreign header From: replace, keep');
}

async function openSite(configFile: string): Promise<Site> {
  const loaded = loadAgentConfig(configFile);
  const folder = loaded.path(loaded.value.state);
  try {
    await stat(folder);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new UserError('Cannot find ' + folder + ': no such folder, expected one; start the agent once, it makes it');
  }
  const file = usersFileOf(folder);
  return { file, config: loaded.value, users: await readUsers(file) };
}

async function addUser(
  site: Site,
  name: string,
  senders: readonly string[],
  given: Given,
  terminal: UserTerminal,
): Promise<void> {
  const { password, made } = await passwordOf(given, terminal);
  await store(site, { name, senders, ...mailServerOf(given) }, password);
  terminal.out('Added ' + clean(name) + ', may send as ' + clean(senders.join(', ')) + '.\n' + shown(password, made));
}

async function store(site: Site, account: AccountOptions & { readonly name: string }, password: string): Promise<void> {
  const { name, senders, mailServer } = account;
  const fail = (state: string, expected: string): never => {
    throw new UserError('Cannot add user ' + JSON.stringify(name) + ': ' + state + ', expected ' + expected);
  };
  if (!/^[^\s\u0000-\u001f\u007f]{1,200}$/.test(name)) fail('not a login name', 'one without blanks');
  if (site.users.some((user) => user.name === name)) fail('it is there', 'a new name, or: mailferry user password');
  if (site.config.submission?.users.some((user) => user.name === name) === true)
    fail('the configuration has one', 'a name that is not under submission.users');
  for (const sender of senders)
    if (!/^[^@\s<>]*@[^@\s<>]+$/.test(sender)) fail('sender ' + JSON.stringify(sender), 'an address, or @domain');
  const allowed = (address: string): boolean => senders.some((one) => covers(one, address));
  const { nullSender, foreignSender, rewriteTo } = mailServer ?? {};
  if ((nullSender === 'rewrite' || foreignSender === 'rewrite') && rewriteTo === undefined)
    fail('rewrite without an address', '--rewrite-to ADDRESS');
  if (rewriteTo !== undefined && !allowed(rewriteTo)) fail('--rewrite-to ' + rewriteTo, 'an address of its senders');
  const hash = await hashPassword(password);
  await writeUsers(site.file, [
    ...site.users,
    { name, hash, senders: [...senders], ...(mailServer && { mailServer }) },
  ]);
}

const covers = (sender: string, address: string): boolean =>
  sender.toLowerCase() === address.toLowerCase() ||
  (sender.startsWith('@') && address.toLowerCase().endsWith(sender.toLowerCase()));

async function changePassword(site: Site, name: string, given: Given, terminal: UserTerminal): Promise<void> {
  const user = find(site, name, 'change the password of');
  const { password, made } = await passwordOf(given, terminal);
  await replace(site, { ...user, hash: await hashPassword(password) });
  terminal.out('Changed the password of ' + clean(name) + '.\n' + shown(password, made));
}

async function removeUser(site: Site, name: string, terminal: UserTerminal): Promise<void> {
  find(site, name, 'remove');
  await writeUsers(
    site.file,
    site.users.filter((user) => user.name !== name),
  );
  terminal.out('Removed ' + clean(name) + '.\n');
}

function listUsers(site: Site, json: boolean, terminal: UserTerminal): void {
  // Without the hashes: whoever may see the list need not be able to try passwords.
  const users = site.users.map(({ hash: _hash, ...user }) => user);
  if (json) return terminal.out(JSON.stringify(users, undefined, 2) + '\n');
  if (users.length === 0) return terminal.out('No users. Add one with: mailferry user add NAME SENDER...\n');
  const rows = users.map(({ name, senders, mailServer }): readonly [string, string, string] => [
    name,
    senders.join(', '),
    mailServer === undefined
      ? ''
      : 'mail server: null sender ' + mailServer.nullSender + ', foreign sender ' + mailServer.foreignSender,
  ]);
  terminal.out(alignColumns(rows).join('\n') + '\n');
}

/** Synology's "Mail Delivery > Relay" asks for a server, a port, a secure connection, and an account. */
async function showDialog(site: Site, senders: readonly string[], given: Given, terminal: UserTerminal): Promise<void> {
  const { submission, local } = site.config;
  if (submission === undefined)
    throw new UserError('Cannot make the account: there is no submission, expected `submission` in the configuration');
  const known = site.users.find((user) => user.name === relayDialog);
  const lines = [
    ['Server', hostFor(submission.host)],
    ['Port', String(submission.port)],
    ['Secure connection', 'on (STARTTLS)' + (usesTls(submission) ? '' : '; off while submission.tls is not set')],
    ['Authentication', 'on'],
    ['Account', relayDialog],
  ] as const;
  const table = (password: string): string => alignColumns([...lines, ['Password', password]]).join('\n') + '\n';
  if (known !== undefined && given.renew !== true) {
    terminal.out(table('as it was shown when it was made; another one with --renew'));
    return;
  }
  const password = makePassword();
  if (known !== undefined) await replace(site, { ...known, hash: await hashPassword(password) });
  else {
    const own = senders.length > 0 ? senders : (local?.domains ?? []).map((domain) => '@' + domain);
    if (own.length === 0)
      throw new UserError('Cannot make the account: no senders, expected some as arguments, or local.domains');
    const marked = mailServerOf(given).mailServer ?? {
      nullSender: 'refuse',
      foreignSender: 'refuse',
      headerFrom: 'replace',
    };
    await store(site, { name: relayDialog, senders: own, mailServer: marked }, password);
  }
  terminal.out(table(password) + '\nThe password is shown this once.\n');
}

const hostFor = (host: string): string => (/^(?:0\.0\.0\.0|::)$/.test(host) ? '127.0.0.1' : host);
const usesTls = ({ tls, host, implicitPort }: NonNullable<AgentConfig['submission']>): boolean =>
  tls !== undefined || implicitPort !== undefined || !/^(?:127\.|::1$|localhost$)/.test(host);

async function replace(site: Site, changed: StoredUser): Promise<void> {
  await writeUsers(
    site.file,
    site.users.map((user) => (user.name === changed.name ? changed : user)),
  );
}

function find(site: Site, name: string, act: string): StoredUser {
  const user = site.users.find((one) => one.name === name);
  if (user !== undefined) return user;
  const names = site.users.map((one) => one.name).join(', ');
  const expected = names === '' ? 'one that was added' : 'one of ' + names;
  throw new UserError('Cannot ' + act + ' user ' + JSON.stringify(name) + ': unknown, expected ' + expected);
}

async function passwordOf(
  given: Given,
  terminal: UserTerminal,
): Promise<{ readonly password: string; readonly made: boolean }> {
  if (given.passwordStdin !== true) return { password: makePassword(), made: true };
  const password = ((await terminal.readInput?.()) ?? '').replace(/\r?\n$/, '');
  if (password.length < minPasswordLength || /[\u0000-\u001f\u007f]/.test(password))
    throw new UserError(
      'Cannot use the password: found ' +
        password.length +
        ' characters, expected one line of at least ' +
        minPasswordLength,
    );
  return { password, made: false };
}

const shown = (password: string, made: boolean): string =>
  made ? 'Its password, shown this once: ' + password + '\n' : '';

function mailServerOf(given: MailServerFlags): { readonly mailServer?: MailServerRights } {
  const { nullSender, foreignSender, rewriteTo, headerFrom } = given;
  if ([nullSender, foreignSender, rewriteTo, headerFrom].every((flag) => flag === undefined)) return {};
  return {
    mailServer: {
      nullSender: oneOf('--null-sender', nullSender ?? 'refuse', handlings),
      foreignSender: oneOf('--foreign-sender', foreignSender ?? 'refuse', handlings),
      headerFrom: oneOf('--header-from', headerFrom ?? 'replace', ['replace', 'keep'] as const),
      ...(rewriteTo !== undefined && { rewriteTo }),
    },
  };
}

function oneOf<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw new UserError(
    'Cannot use ' + flag + ': found ' + JSON.stringify(value) + ', expected one of ' + choices.join(', '),
  );
}
