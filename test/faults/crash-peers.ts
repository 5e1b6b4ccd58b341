// fetchmail, getmail6 and mpop, interrupted in the middle of a mailbox and run once more: what they lose, leave and double.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Case } from '../bench/verdict.ts';
import { countMails, makeMaildir, readMails } from '../lab/maildir.ts';
import type { Proxy } from '../lab/proxy.ts';
import { waitFor } from '../lab/wait.ts';
import {
  arrived,
  countSite,
  countSubjects,
  finish,
  live,
  password,
  providerUser,
  putMails,
  remaining,
} from './crash-site.ts';
import type { Counts, Run, Site } from './crash-site.ts';

export const peerNames = ['fetchmail', 'getmail6', 'mpop'] as const;
type PeerName = (typeof peerNames)[number];
type Command = { readonly command: string; readonly args: readonly string[] };
const events = ['kill -9', 'SIGTERM', 'line cut'] as const;
type Event = (typeof events)[number];

/** Writes the configuration; mails go to `maildir`. */
async function prepare(name: PeerName, folder: string, maildir: string, site: Site): Promise<Command> {
  await mkdir(folder, { recursive: true });
  await makeMaildir(maildir);
  const file = join(folder, 'configuration');
  const user = providerUser(site.name);
  const save = (lines: readonly string[]): Promise<void> => writeFile(file, lines.join('\n') + '\n', { mode: 0o600 });
  switch (name) {
    case 'fetchmail': {
      const deliver = join(folder, 'deliver');
      const script =
        '#!/bin/sh\nf=$(mktemp ' + maildir + '/tmp/XXXXXXXX) && cat > "$f" && mv "$f" ' + maildir + '/new/\n';
      await writeFile(deliver, script, { mode: 0o755 });
      await save([
        'set no bouncemail',
        "poll '127.0.0.1' service " + site.pop3Port + ' protocol POP3 no dns',
        "user '" + user + "' password '" + password + "' is root here",
        "sslproto '' fetchall no keep no rewrite mda '" + deliver + "'",
      ]);
      return {
        command: 'fetchmail',
        args: ['--nodetach', '-f', file, '--pidfile', join(folder, 'pid'), '--daemon', '0'],
      };
    }
    case 'getmail6':
      await save([
        '[retriever]',
        'type = SimplePOP3Retriever',
        'server = 127.0.0.1',
        'port = ' + site.pop3Port,
        'username = ' + user,
        'password = ' + password,
        '[destination]',
        'type = Maildir',
        'path = ' + maildir + '/',
        'user = mail', // getmail6 does not deliver as root; the Maildirs of the lab are this user's
        '[options]',
        'delete = true',
        'verbose = 1',
      ]);
      return { command: 'getmail', args: ['--getmaildir', folder, '--rcfile', 'configuration'] };
    case 'mpop':
      await save([
        'account default',
        'host 127.0.0.1',
        'port ' + site.pop3Port,
        'user ' + user,
        'password ' + password,
        'auth user',
        'tls off',
        'keep off',
        'pipelining off',
        'delivery maildir ' + maildir,
        'uidls_file ' + join(folder, 'uidls'),
      ]);
      return { command: 'mpop', args: ['--quiet', '--file=' + file] };
  }
}

function start({ command, args }: Command, folder: string): Run {
  const log = openSync(join(folder, 'log'), 'a');
  const env = { ...process.env, HOME: folder, FETCHMAILHOME: folder, LC_ALL: 'C' };
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', command, ...args], { stdio: ['ignore', log, log], env });
  closeSync(log);
  return { child, ended: once(child, 'exit') };
}

async function interrupt(event: Event, run: Run, proxy: Proxy): Promise<void> {
  if (event === 'line cut') proxy.cut();
  else run.child.kill(event === 'SIGTERM' ? 'SIGTERM' : 'SIGKILL');
  const late = setTimeout(() => run.child.kill('SIGKILL'), 20_000);
  await run.ended;
  clearTimeout(late);
}

async function half(count: () => Promise<number>, mails: number): Promise<void> {
  await waitFor('half of the mails', async () => (await count()) >= mails / 2, { timeoutMs: 300_000, everyMs: 5 });
}

/** Runs in which a peer gave up by itself, as getmail6 does on a busy machine, before it is told to go on no more. */
const maxStarts = 5;

/** A run that has fetched half of the mails, by itself or as the last of several that gave up. */
async function startToHalf(start: () => Run, count: () => Promise<number>, mails: number): Promise<Run> {
  for (let n = 0; n < maxStarts; n += 1) {
    const run = start();
    let over = false;
    void run.ended.then(() => (over = true));
    const done = async (): Promise<boolean> => over || (await count()) >= mails / 2;
    await waitFor('half of the mails', done, { timeoutMs: 300_000, everyMs: 5 }).catch((error: unknown) => {
      run.child.kill('SIGKILL');
      throw error;
    });
    if ((await count()) >= mails / 2) return run;
  }
  throw new Error('it gave up ' + maxStarts + ' times');
}

async function playPeer(name: PeerName, event: Event, site: Site, proxy: Proxy, mails: number): Promise<Counts> {
  const folder = join(site.lab.dir, 'peer-' + site.name);
  const maildir = join(folder, 'Maildir');
  const command = await prepare(name, folder, maildir, site);
  await putMails(site, mails);
  const run = await startToHalf(
    () => start(command, folder),
    () => countMails(maildir),
    mails,
  ).catch((error: unknown) => {
    throw new Error(name + ' does not fetch: ' + readFileSync(join(folder, 'log'), 'utf8').slice(-1_000), {
      cause: error,
    });
  });
  await interrupt(event, run, proxy);
  // Provider's locks of the dead session are gone at once; a second run, and for good measure a third.
  for (let n = 0; n < 2; n += 1) {
    const again = start(command, folder);
    const late = setTimeout(() => again.child.kill('SIGKILL'), 300_000);
    await again.ended;
    clearTimeout(late);
  }
  return countSubjects(site.put, await readMails(maildir), await remaining(site));
}

async function playOurs(event: Event, site: Site, proxy: Proxy, mails: number): Promise<Counts> {
  await putMails(site, mails);
  const run = live(site);
  await half(() => arrived(site), mails);
  if (event === 'line cut') {
    proxy.cut();
    await finish(site, run);
  } else {
    await interrupt(event, run, proxy);
    await finish(site);
  }
  return countSite(site);
}

/** The same mailbox, line (20 ms) and event for all; `seeds` times. */
export async function comparePeers(options: {
  readonly site: (name: string) => Site;
  readonly seeds: number;
  readonly mails: number;
}): Promise<readonly Case[]> {
  const { seeds, mails } = options;
  const cases: Case[] = [];
  for (const event of events) {
    const totals = new Map<string, Counts>();
    for (let seed = 0; seed < seeds; seed += 1) {
      for (const name of ['ours', ...peerNames] as const) {
        const site = options.site(['p', name, events.indexOf(event), seed].join('-'));
        const proxy = await site.lab.proxy({ to: { host: '127.0.0.1', port: site.pop3Port } });
        proxy.delay(10);
        site.pop3Port = proxy.port;
        const counts = await (name === 'ours'
          ? playOurs(event, site, proxy, mails)
          : playPeer(name, event, site, proxy, mails));
        totals.set(name, add(totals.get(name), counts));
      }
    }
    cases.push(caseOf(event, totals, seeds));
  }
  return cases;
}

function add(a: Counts | undefined, b: Counts): Counts {
  if (a === undefined) return b;
  return { mails: a.mails + b.mails, lost: a.lost + b.lost, left: a.left + b.left, doubled: a.doubled + b.doubled };
}

function caseOf(event: Event, totals: ReadonlyMap<string, Counts>, seeds: number): Case {
  const ours = totals.get('ours') ?? { mails: 0, lost: 1, left: 0, doubled: 0 };
  const allowed = event === 'kill -9' ? 2 * seeds : 0;
  const rest = [...totals].map(([name, { lost, left }]) => name + ' lost ' + lost + ' left ' + left);
  return {
    name: event + ' in the middle, 20 ms',
    unit: 'doubled',
    ours: ours.doubled,
    peers: Object.fromEntries(
      [...totals].filter(([name]) => name !== 'ours').map(([name, { doubled }]) => [name, doubled]),
    ),
    ratio: null,
    bar: 'lost 0, left 0, doubled <= ' + allowed,
    holds: ours.lost === 0 && ours.left === 0 && ours.doubled <= allowed,
    note: 'of ' + ours.mails + ' mails each: ' + rest.join(', '),
  };
}
