// A real postfix, as the provider's relay or as the local mail server. Several run at once, each in a folder of its own.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, chown, mkdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Certificate } from './certificate.ts';
import { startChild } from './child.ts';
import type { Child } from './child.ts';
import { prepareDovecot } from './dovecot.ts';
import { countMails, mailOwner, makeMaildir, readMails } from './maildir.ts';
import { isListening } from './port.ts';
import { mailboxTable, mainConfig, masterConfig, postfixFolders } from './postfix-config.ts';
import type { PostfixSetup } from './postfix-config.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';

export type Postfix = RealServer & {
  readonly host: string;
  readonly smtp: number;
  /** Nothing listens there in role `local`. */
  readonly submission: number;
  readonly ca: string;
  readonly caFile: string;
  /** Raw files, LF ended, with the trace on top, of mails delivered to this envelope recipient. */
  readonly mails: (address: string) => Promise<Buffer[]>;
  /** All mails with their envelope recipient. */
  readonly all: () => Promise<readonly { readonly to: string; readonly bytes: Buffer }[]>;
  /** Files in all Maildirs. */
  readonly count: () => Promise<number>;
  /** Deliveries by the log: lines with `status=sent`. One for each recipient. */
  readonly sent: () => Promise<number>;
  /** `postqueue -p` in JSON: one entry a mail that waits. */
  readonly queue: () => Promise<readonly unknown[]>;
};

export type PostfixOptions = {
  readonly role: 'relay' | 'local';
  /** Every address in them exists, unless `mailboxes` says which. */
  readonly domains: readonly string[];
  readonly mailboxes?: readonly string[];
  /** Who may log in at the submission port. */
  readonly users?: Readonly<Record<string, string>>;
  /** Text for the dovecot that checks logins. */
  readonly auth?: string;
  /** Parameters of main.cf that replace the lab's. */
  readonly main?: Readonly<Record<string, string>>;
};

export async function createPostfix(
  options: PostfixOptions & {
    readonly folder: string;
    readonly certificate: Certificate;
    readonly freePort: () => Promise<number>;
  },
): Promise<Postfix> {
  const { folder, certificate, freePort, domains } = options;
  const ports = { smtp: await freePort(), submission: await freePort(), auth: await freePort() };
  const { role, mailboxes, main = {} } = options;
  const setup: PostfixSetup = { role, folder, certificate, domains, mailboxes, ports, main };
  await prepareFolders(setup);
  const auth = await prepareAuth(options, ports.auth);
  const log = (): string => (existsSync(join(folder, 'log')) ? readFileSync(join(folder, 'log'), 'utf8') : '');
  const master = createRealServer({ name: 'postfix', readLog: log, launch: () => launch(setup) });
  const maildir = (domain: string): string => join(folder, 'mail', domain.toLowerCase());
  return {
    host: '127.0.0.1',
    ...ports,
    ca: certificate.ca,
    caFile: certificate.caFile,
    start: async () => {
      await auth?.start();
      await master.start();
    },
    stop: async () => {
      await Promise.all([master.stop(), auth?.crash()]);
    },
    crash: async () => {
      await Promise.all([master.crash(), auth?.crash()]);
    },
    log,
    pid: master.pid,
    mails: async (address) => {
      const mails = await readMails(maildir(address.slice(address.lastIndexOf('@') + 1)));
      return mails.filter((bytes) => recipientOf(bytes) === address.toLowerCase());
    },
    all: async () => {
      const mails = await Promise.all(domains.map((domain) => readMails(maildir(domain))));
      return mails.flat().map((bytes) => ({ to: recipientOf(bytes) ?? '', bytes }));
    },
    count: async () => {
      const counts = await Promise.all(domains.map((domain) => countMails(maildir(domain))));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    sent: () =>
      Promise.resolve(
        log()
          .split('\n')
          .filter((line) => line.includes(' status=sent ')).length,
      ),
    queue: async () => {
      const { stdout } = await promisify(execFile)('postqueue', ['-c', folder, '-j']);
      const lines = stdout.split('\n').filter((line) => line !== '');
      return lines.map((line): unknown => JSON.parse(line));
    },
  };
}

/** The envelope recipient by virtual(8)'s own header; the header stands on top, before anything of the mail. */
function recipientOf(bytes: Buffer): string | undefined {
  const head = bytes.subarray(0, 4_096).toString('utf8');
  return /^Delivered-To: (.*)$/m.exec(head)?.[1]?.toLowerCase();
}

async function prepareFolders(setup: PostfixSetup): Promise<void> {
  const { folder, domains } = setup;
  const users = await ids('/etc/passwd');
  const groups = await ids('/etc/group');
  const make = async (path: string, uid: number, gid: number, mode: number): Promise<void> => {
    await mkdir(join(folder, path), { recursive: true });
    await chown(join(folder, path), uid, gid);
    await chmod(join(folder, path), mode);
  };
  const postfix = users('postfix');
  await make('queue', 0, 0, 0o755);
  await make('data', postfix, 0, 0o700);
  for (const name of postfixFolders.queue) await make('queue/' + name, postfix, 0, 0o700);
  for (const name of postfixFolders.drop) await make('queue/' + name, postfix, groups('postdrop'), 0o730);
  for (const name of postfixFolders.root) await make('queue/' + name, 0, 0, 0o755);
  await make('mail', mailOwner.uid, mailOwner.gid, 0o700);
  for (const domain of domains) await makeMaildir(join(folder, 'mail', domain.toLowerCase()));
  const files = { 'main.cf': mainConfig(setup), 'master.cf': masterConfig(setup), mailboxes: mailboxTable(setup) };
  const past = new Date(Date.now() - 60_000);
  for (const [name, text] of Object.entries(files)) {
    await writeFile(join(folder, name), text);
    // postfix waits with reading until a file has not changed for some seconds.
    await utimes(join(folder, name), past, past);
  }
}

/** A dovecot that does nothing but check the passwords of the submission port. */
async function prepareAuth(
  options: PostfixOptions & { readonly folder: string; readonly certificate: Certificate },
  port: number,
): Promise<RealServer | undefined> {
  if (options.role !== 'relay') return undefined;
  const folder = join(options.folder, 'auth');
  await mkdir(folder);
  const { auth = '', certificate, users = {} } = options;
  return prepareDovecot({ folder, certificate, users, ports: { auth: port }, extra: auth });
}

/** master changes its user back and forth, and with that loses the order to end with the test's process; a shell keeps it. */
const guard = '"$0" "$@" & master=$!; trap "kill $master" TERM; wait $master; wait $master';

function launch(setup: PostfixSetup): Promise<Child> {
  const { folder, ports } = setup;
  return startChild({
    name: 'postfix ' + setup.role,
    command: 'sh',
    args: ['-c', guard, '/usr/lib/postfix/sbin/master', '-c', folder, '-d'],
    logFile: join(folder, 'master.log'),
    env: { MAIL_CONFIG: folder },
    ready: async () => {
      const open = await Promise.all(
        [ports.smtp, ...(setup.role === 'relay' ? [ports.submission] : [])].map((port) => isListening(port)),
      );
      return open.every(Boolean);
    },
  });
}

/** Name to number, from /etc/passwd or /etc/group. */
async function ids(file: string): Promise<(name: string) => number> {
  const text = await readFile(file, 'utf8');
  const table = new Map(
    text.split('\n').map((line) => {
      const [name = '', , id = ''] = line.split(':');
      return [name, Number(id)] as const;
    }),
  );
  return (name) => {
    const id = table.get(name);
    if (id === undefined)
      throw new Error('Cannot find ' + name + ' in ' + file + ': expected it from the package postfix');
    return id;
  };
}
