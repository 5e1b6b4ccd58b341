// One agent that only receives, as a process of its own between a real provider (dovecot) and a real local mail server.
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { askAgent } from '../../agent/cli/client.ts';
import type { Child } from '../lab/child.ts';
import type { Dovecot } from '../lab/dovecot.ts';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { startProgram } from './programs.ts';

export const user = 'info@provider.test';
export const recipient = 'info@example.org';
export const users = { [user]: 'secret' };
export const localUsers = { [recipient]: 'secret' };

export type Site = {
  readonly folder: string;
  readonly state: string;
  /** Starts the agent, over and over with the same state. */
  readonly start: () => Promise<Child>;
  readonly ask: (command: string, given?: Readonly<Record<string, string>>) => Promise<unknown>;
  /** The state of the one account, after a round that begins now. */
  readonly fetch: () => Promise<Status>;
  readonly status: () => Promise<Status>;
  /** Changes the database while no agent runs. */
  readonly edit: (statement: string) => void;
};
export type Status = {
  readonly hold: string;
  readonly problem: string;
  readonly paused: boolean;
  readonly kept: number;
  readonly backlog: number;
};

export function createSite(options: {
  readonly lab: Lab;
  readonly name: string;
  readonly provider: Dovecot;
  readonly local: object;
  readonly account?: object;
}): Site {
  const { lab, name, provider } = options;
  const folder = join(lab.dir, name);
  const state = join(folder, 'state');
  const account = {
    id: 'info',
    host: provider.host,
    port: provider.pop3s,
    caFile: provider.caFile,
    user,
    password: { file: 'secret' },
    recipients: [recipient],
    keep: 'forever',
    firstRun: 'all',
    intervalSeconds: 3_600,
    ...options.account,
  };
  const local = { domains: ['example.org'], ...options.local };
  const config = { tenant: 'acme', agent: 'nas-1', state: 'state', local, accounts: [account] };

  async function ask(command: string, given: Readonly<Record<string, string>> = {}): Promise<unknown> {
    const path = join(state, 'agent.sock');
    const asked = await askAgent({ path, request: { command, arguments: given }, timeoutMs: 60_000 });
    if (asked.ok !== true) throw new Error(command + ': ' + JSON.stringify(asked));
    return asked.value;
  }

  const status = async (): Promise<Status> => {
    const { hold, accounts } = (await ask('status')) as { hold: string; accounts: readonly Status[] }; // documented
    const found = accounts[0];
    return { ...(found ?? { problem: '', paused: false, kept: 0, backlog: 0 }), hold };
  };

  return {
    folder,
    state,
    async start() {
      const child = await startProgram({ program: 'agent', folder, config, secrets: { secret: 'secret' } });
      lab.onStop(() => child.stop());
      return child;
    },
    ask,
    async fetch() {
      await ask('fetch');
      return status();
    },
    status,
    edit(statement) {
      const db = new DatabaseSync(join(state, 'agent.db'));
      db.exec(statement);
      db.close();
    },
  };
}

/** The files of a state, as a backup takes them: while the agent is stopped, or stands still. */
export function copyState(from: string, to: string): void {
  mkdirSync(to, { recursive: true, mode: 0o700 });
  for (const old of ['agent.db', 'agent.db-wal', 'agent.db-shm']) rmSync(join(to, old), { force: true });
  cpSync(from, to, { recursive: true, filter: (path) => !path.endsWith('.sock') && !path.endsWith('.lock') });
}

/** While no dovecot runs. */
export async function replaceInConfig(dovecot: Dovecot, from: RegExp, to: string): Promise<void> {
  const file = join(dovecot.maildir(user), '..', '..', 'dovecot.conf');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(from, to));
}

/** What the provider knows beyond the mails themselves: then it numbers them anew. While no dovecot runs. */
export async function dropIndex(dovecot: Dovecot): Promise<void> {
  const folder = dovecot.maildir(user);
  for (const name of await readdir(folder)) if (name.startsWith('dovecot')) rmSync(join(folder, name));
}

/** Files of the mails at the provider, in the order in which it numbers them. */
export async function mailFiles(dovecot: Dovecot): Promise<readonly string[]> {
  const folder = dovecot.maildir(user);
  const parts = await Promise.all(
    ['new', 'cur'].map(async (part) => (await readdir(join(folder, part))).map((name) => join(folder, part, name))),
  );
  const base = (path: string): string => path.split('/').at(-1) ?? '';
  return parts.flat().sort((a, b) => (base(a) < base(b) ? -1 : 1));
}

export const subjectOf = (bytes: Buffer): string => /^Subject: (.*?)\r?$/m.exec(bytes.toString('latin1'))?.[1] ?? '?';

/** Subjects of what has arrived, sorted. */
export async function arrived(local: { readonly mails: (address: string) => Promise<Buffer[]> }): Promise<string[]> {
  return (await local.mails(recipient)).map(subjectOf).sort();
}

export async function waitForMails(
  local: { readonly mails: (address: string) => Promise<Buffer[]> },
  expected: readonly string[],
): Promise<void> {
  let found: readonly string[] = [];
  await waitFor('the mails to arrive', async () => (found = await arrived(local)).length >= expected.length, {
    timeoutMs: 60_000,
  }).catch((error: unknown) => {
    throw new Error('found ' + found.join() + ', expected ' + expected.join(), { cause: error });
  });
}

export function mailOf(subject: string, body = 'text of ' + subject + '\r\n'): Buffer {
  return Buffer.from(
    'Received: by mx.test; Wed, 25 Nov 2026 08:00:00 +0000\r\nMessage-ID: <' +
      subject +
      '@x.test>\r\nDate: Wed, 25 Nov 2026 07:59:00 +0000\r\nFrom: <customer@example.net>\r\nSubject: ' +
      subject +
      '\r\n\r\n' +
      body,
  );
}
