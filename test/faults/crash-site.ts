// One mailbox at a real provider, one at a real local server, and a receive room between them that is disturbed. What became
// of the mails is counted in the Maildirs, not by the agent.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Dovecot } from '../lab/dovecot.ts';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import type { Life } from './receive-main.ts';

export const sessions = 2;
export const password = 'right-password';

export type Site = {
  readonly lab: Lab;
  readonly provider: Dovecot;
  readonly local: Dovecot;
  readonly name: string;
  /** Holds the room's state; may be replaced by a copy. */
  state: string;
  readonly logFile: string;
  /** Subjects of all mails that were put at the provider. */
  readonly put: string[];
  pop3Port: number;
  lmtpPort: number;
};
export type Counts = { readonly mails: number; readonly lost: number; readonly left: number; readonly doubled: number };

export function createSite(options: Pick<Site, 'lab' | 'provider' | 'local' | 'name'>): Site {
  const { lab, provider, local, name } = options;
  const state = join(lab.dir, 'state-' + name);
  mkdirSync(state);
  const ports = { pop3Port: provider.pop3, lmtpPort: local.lmtp };
  return { ...options, state, logFile: join(lab.dir, name + '.log'), put: [], ...ports };
}

export const providerUser = (name: string): string => name + '@provider.test';
export const localUser = (name: string): string => name + '@example.org';

/** Some are too large for memory, so that deaths leave temporary files too. */
function mailOf(subject: string, large: boolean): Buffer {
  const line = 'x'.repeat(70) + '\r\n';
  return Buffer.from('Subject: ' + subject + '\r\n\r\n.' + line.repeat(large ? 5_000 : 60));
}

export async function putMails(site: Site, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const subject = site.name + '-' + site.put.length;
    await site.provider.put(providerUser(site.name), mailOf(subject, site.put.length % 9 === 0));
    site.put.push(subject);
  }
}

export type Run = { readonly child: ChildProcess; readonly ended: Promise<unknown> };

/** Starts a life of the room; `ended` gives the signal that ended it. */
export function live(site: Site, crash?: Life['crash']): Run {
  const life: Life = {
    folder: site.state,
    pop3Port: site.pop3Port,
    lmtpPort: site.lmtpPort,
    user: providerUser(site.name),
    password,
    recipient: localUser(site.name),
    sessions,
    ...(crash === undefined ? {} : { crash }),
    counterFile: join(site.lab.dir, site.name + '.deaths'),
  };
  const log = openSync(site.logFile, 'a');
  // Compiled once, not in each of a hundred lives.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(site.lab.dir, 'compiled') };
  const args = [join(import.meta.dirname, 'receive-main.ts'), JSON.stringify(life)];
  // The kernel ends it when we die.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', process.execPath, ...args], {
    stdio: ['ignore', log, log],
    env,
  });
  closeSync(log);
  return { child, ended: once(child, 'exit').then(([, signal]: unknown[]) => signal) };
}

export const arrived = (site: Site): Promise<number> => site.local.count(localUser(site.name));
export const remaining = (site: Site): Promise<number> => site.provider.count(providerUser(site.name));

/** A last life, until the provider has no more than `but` mails. What is left after `limitMs` is counted as left. */
export async function finish(site: Site, running?: Run, limitMs = 40_000): Promise<void> {
  const { child, ended } = running ?? live(site);
  await waitFor('the mailbox to be empty', async () => (await remaining(site)) === 0, { timeoutMs: limitMs }).catch(
    () => {}, // counted below
  );
  child.kill('SIGTERM');
  const late = setTimeout(() => child.kill('SIGKILL'), 10_000);
  await ended;
  clearTimeout(late);
}

export function countSubjects(put: readonly string[], mails: readonly Buffer[], left: number): Counts {
  const found = new Map(put.map((subject) => [subject, 0]));
  for (const bytes of mails) {
    const subject = /^Subject: (.*?)\r?$/m.exec(bytes.toString('latin1', 0, 8_192))?.[1] ?? '';
    if (found.has(subject)) found.set(subject, (found.get(subject) ?? 0) + 1);
  }
  const counts = [...found.values()];
  // A mail that is still at the provider is not lost.
  const missing = counts.filter((count) => count === 0).length;
  return {
    mails: put.length,
    lost: Math.max(0, missing - left),
    left,
    doubled: counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0),
  };
}

export async function countSite(site: Site): Promise<Counts> {
  return countSubjects(site.put, await site.local.mails(localUser(site.name)), await remaining(site));
}

/** Deaths by checkpoint. */
export function deathsOf(site: Site): readonly string[] {
  return readFileSync(join(site.lab.dir, site.name + '.deaths'), 'utf8')
    .trim()
    .split('\n');
}
