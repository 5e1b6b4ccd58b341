// The send room between clients that never give up and a real postfix as relay, while something is done to it. What became of
// the mails is counted in the relay's Maildirs. What may be doubled is read from the index after each death, death by death:
// a mail may have one copy more for each death that found it between "about to send the final dot" and its outcome.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Order, Report, Setup } from '../agent/send/child.ts';
import type { Lab } from '../lab/lab.ts';
import type { Postfix } from '../lab/postfix.ts';
import { waitFor } from '../lab/wait.ts';
import { box, startClients } from './send-clients.ts';
import type { Clients } from './send-clients.ts';

export const clientCount = 4;
export const relaySessions = 2;

export type Life = {
  readonly child: ChildProcess;
  /** The signal that ended it. */
  readonly ended: Promise<unknown>;
  readonly last: () => Report | undefined;
};
export type Site = {
  readonly lab: Lab;
  readonly relay: Postfix;
  readonly clients: Clients;
  /** Where its state is; a cut replaces it by a copy. */
  state: string;
  /** Checkpoint deaths, one a line. */
  readonly visits: string;
  readonly port: number;
  readonly mails: { deaths: number; readonly atDot: Map<string, number> };
};
export type Counts = {
  readonly accepted: number;
  readonly arrived: number;
  readonly lost: number;
  readonly held: number;
  /** Copies beyond the first, one Message-ID. */
  readonly doubled: number;
  /** Of these, those that no death can account for. */
  readonly unaccounted: number;
  /** Numbers that a client sent again after no 250, and that came from both. */
  readonly resent: number;
  /** Of these, those beyond the number's broken tries. */
  readonly unaccountedResent: number;
};

export function createSite(options: {
  readonly lab: Lab;
  readonly relay: Postfix;
  readonly state: string;
  readonly port: number;
}): Site {
  const { lab, port } = options;
  const visits = join(lab.dir, 'visits-' + port);
  writeFileSync(visits, '');
  const owner = { after: (work: () => Promise<void>) => lab.onStop(work) };
  const clients = startClients(owner, { port, clients: clientCount, login: true });
  return { ...options, clients, visits, mails: { deaths: 0, atDot: new Map() } };
}

/** Everything is loaded when it is told what to do: a restart takes no time. */
export type Standby = { readonly begin: (order: Order) => Promise<Life>; readonly discard: () => void };

/** The state that the process will work on is the site's when this is called. */
export function prepare(site: Site): Standby {
  const { lab, port, relay } = site;
  const setup: Setup = {
    folder: site.state,
    port,
    relay: { host: relay.host, port: relay.submission },
    relayPassword: 'relay-password',
    // The late retry comes only in the last life, whose clock is ahead: a mail must not stand at the dot in two deaths.
    relayConfig: { sessions: relaySessions, unknownRetrySeconds: 600 },
  };
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_COMPILE_CACHE: join(lab.dir, 'compiled') };
  delete env['NODE_TEST_CONTEXT'];
  const file = join(import.meta.dirname, '..', 'agent', 'send', 'child.ts');
  const child = fork(file, [JSON.stringify(setup)], { env, stdio: ['ignore', 'inherit', 'ignore', 'ipc'] });
  lab.onStop(() => void child.kill('SIGKILL'));
  const reports: Report[] = [];
  child.on('message', (report) => void reports.push(report as Report)); // child.ts sends nothing else
  const ended = once(child, 'exit').then(([, signal]: unknown[]) => signal);
  const loaded = Promise.race([once(child, 'message'), ended]);
  return {
    async begin(order) {
      await loaded;
      if (!child.connected) throw new Error('Cannot go on: the process ended before it was told what to do');
      child.send(order);
      return { child, ended, last: () => reports.at(-1) };
    },
    discard: () => void child.kill('SIGKILL'),
  };
}

/** After each death: which mails stood at the dot. Reads a copy, so that the next life finds what the dead one left. */
export function noteDeath(site: Site): void {
  site.mails.deaths += 1;
  const folder = mkdtempSync(join(site.lab.dir, 'index-'));
  for (const name of ['agent.db', 'agent.db-wal'])
    if (existsSync(join(site.state, name))) copyFileSync(join(site.state, name), join(folder, name));
  const db = new DatabaseSync(join(folder, 'agent.db'));
  const rows = db.prepare("SELECT DISTINCT mail FROM recipient WHERE state = 'sending'").all();
  db.close();
  rmSync(folder, { recursive: true });
  for (const { mail } of rows) {
    const id = String(mail);
    site.mails.atDot.set(id, (site.mails.atDot.get(id) ?? 0) + 1);
  }
}

/** One more life that empties the queue. `aheadMs`: ahead of the latest clock that the index knows. */
export async function finish(
  site: Site,
  options: { readonly aheadMs?: number; readonly limitMs?: number } = {},
): Promise<void> {
  const { aheadMs = 0, limitMs = 90_000 } = options;
  const life = await prepare(site).begin({ aheadMs: aheadMs + 900_000, unknownRetrySeconds: 1 });
  await site.clients.finish();
  const empty = (): boolean => {
    const report = life.last();
    return report !== undefined && 'depth' in report && report.depth === report.held && report.files === report.held;
  };
  await waitFor('an empty queue', empty, { timeoutMs: limitMs }).catch((error: unknown) => {
    throw new Error(String(error) + ' ' + JSON.stringify(life.last()));
  });
  life.child.kill('SIGKILL');
  await life.ended;
  const left = async (): Promise<boolean> => (await site.relay.queue()).length === 0;
  await waitFor('postfix to deliver', left, { timeoutMs: 60_000, everyMs: 200 });
}

export async function count(site: Site): Promise<Counts> {
  const { accepted, attempts } = site.clients;
  const copies = new Map<number, Map<string, number>>();
  const mails = await site.relay.mails(box);
  for (const bytes of mails) {
    const text = bytes.toString();
    const n = numberOf(text);
    if (!text.endsWith('\nThe mail number ' + n + '.\n')) throw new Error('A mail arrived that is not whole:\n' + text);
    const id = /^Message-ID: <([^@]*)@/im.exec(text)?.[1] ?? '';
    const ids = copies.get(n) ?? new Map<string, number>();
    copies.set(n, ids.set(id, (ids.get(id) ?? 0) + 1));
  }
  const held = heldNumbers(site);
  const sums = { doubled: 0, unaccounted: 0, resent: 0, unaccountedResent: 0 };
  for (const [n, ids] of copies) {
    for (const [id, times] of ids) {
      sums.doubled += times - 1;
      sums.unaccounted += Math.max(0, times - 1 - (site.mails.atDot.get(id) ?? 0));
    }
    sums.resent += ids.size - 1;
    sums.unaccountedResent += Math.max(0, ids.size - (attempts.get(n) ?? 0));
  }
  return {
    accepted: accepted.size,
    arrived: mails.length,
    lost: [...accepted].filter((n) => !copies.has(n) && !held.has(n)).length,
    held: held.size,
    ...sums,
  };
}

const numberOf = (text: string): number => Number(/^Subject: mail (\d+)\r?$/m.exec(text)?.[1]);

function heldNumbers(site: Site): ReadonlySet<number> {
  const folder = join(site.state, 'spool', 'queue');
  return new Set(readdirSync(folder).map((name) => numberOf(readFileSync(join(folder, name), 'utf8'))));
}

export function noteVisit(site: Site, text: string): void {
  appendFileSync(site.visits, text + '\n');
}
