// What is done to our send room, and what must hold: of the mails answered 250 none is lost, and none is doubled for which
// no death can account.
import { rmSync, readdirSync, readFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { checkpoints } from '#shared/checkpoint.ts';
import type { Case } from '../bench/verdict.ts';
import type { Order } from '../agent/send/child.ts';
import { createDiskImage } from '../lab/disk-image.ts';
import { mountSmallDisk } from '../lab/small-disk.ts';
import { waitFor } from '../lab/wait.ts';
import { count, finish, noteDeath, prepare } from './send-site.ts';
import type { Counts, Life, Site } from './send-site.ts';

export type Scenario = { readonly name: string; readonly play: (site: Site, quick: boolean) => Promise<Verdict> };
/** `missed`: what was not as it must be, beside the counts. `held`: mails that wait for a person are no loss. */
type Verdict = { readonly note: string; readonly missed?: string | undefined; readonly counts?: Counts };

const sendCheckpoints = checkpoints.filter((name) => name.startsWith('send.'));
const dayMs = 86_400_000;

async function late(ms: number, what: string): Promise<never> {
  await new Promise((resolve) => setTimeout(resolve, ms).unref());
  throw new Error('Cannot go on: ' + what + ' not reached within ' + ms + ' ms');
}

async function kill(site: Site, { child, ended }: Life): Promise<void> {
  child.kill('SIGKILL');
  await ended;
  noteDeath(site);
}

/** Resolves when the clients got so many more answers. */
async function accepts(site: Site, more: number): Promise<void> {
  const goal = site.clients.accepted.size + more;
  site.clients.allow(more + 4);
  await waitFor('mails to be accepted', () => site.clients.accepted.size >= goal, { timeoutMs: 60_000, everyMs: 2 });
}

async function everyCheckpoint(site: Site, quick: boolean): Promise<Verdict> {
  const wanted = quick ? 2 : 20;
  let next = prepare(site);
  for (let round = 0; round < wanted; round += 1) {
    for (const at of sendCheckpoints) {
      const life = await next.begin({ crash: { at, visit: 1 + (round % 3), file: site.visits } });
      next = prepare(site);
      site.clients.allow(4);
      const signal = await Promise.race([life.ended, late(60_000, 'a visit of ' + at)]);
      if (signal !== 'SIGKILL') throw new Error('Cannot go on: ended by ' + String(signal) + ' at ' + at);
      noteDeath(site);
    }
  }
  next.discard();
  await finish(site);
  const visits = readFileSync(site.visits, 'utf8').trim().split('\n');
  const hits = sendCheckpoints.map((at) => [at, visits.filter((visit) => visit === at).length] as const);
  const few = hits.filter(([, times]) => times < wanted).map(([at]) => at);
  return {
    note: hits.map(([at, times]) => at.replace('send.', '') + ' ' + times).join(', '),
    missed: few.length === 0 ? undefined : 'hit too rarely: ' + few.join(', '),
  };
}

async function killedAnyTime(site: Site, quick: boolean): Promise<Verdict> {
  const lives = quick ? 4 : 40;
  for (let n = 0; n < lives; n += 1) {
    const life = await prepare(site).begin({});
    await accepts(site, 3 + ((n * 5) % 11));
    await kill(site, life);
  }
  await finish(site);
  return { note: lives + ' deaths' };
}

/** The state stands on a file system of its own, whose image is copied at work; the agent goes on from the copy. */
async function powerCut(site: Site, quick: boolean): Promise<Verdict> {
  const cuts = quick ? 2 : 20;
  let disk = createDiskImage(site.lab, 32);
  site.state = join(disk.folder, 'state');
  mkdirSync(site.state);
  for (let n = 0; n < cuts; n += 1) {
    const life = await prepare(site).begin({});
    await accepts(site, 3 + ((n * 7) % 13));
    life.child.kill('SIGSTOP');
    // What was said before it stopped is still on its way to the clients.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const copy = await disk.cut();
    life.child.kill('SIGKILL');
    await life.ended;
    disk.unmount();
    disk = copy;
    site.state = join(disk.folder, 'state');
    noteDeath(site);
  }
  await finish(site);
  const counts = await count(site);
  disk.unmount();
  return { note: cuts + ' cuts', counts };
}

async function diskFull(site: Site, quick: boolean): Promise<Verdict> {
  const times = quick ? 1 : 5;
  const disk = mountSmallDisk(join(site.lab.dir, 'small-' + site.port), 16);
  site.state = join(site.lab.dir, 'small-' + site.port);
  let traces = 0;
  const life = await prepare(site).begin({});
  for (let n = 0; n < times; n += 1) {
    await accepts(site, 10);
    const free = disk.fill();
    const before = site.clients.refusals.get('452') ?? 0;
    site.clients.allow(20);
    const refused = (): boolean => (site.clients.refusals.get('452') ?? 0) >= before + 10;
    await waitFor('clients to be told to come again', refused, { timeoutMs: 30_000 });
    traces += readdirSync(join(site.state, 'spool', 'temp')).length;
    free();
    await accepts(site, 10);
  }
  await kill(site, life);
  await finish(site);
  const counts = await count(site);
  disk.unmount();
  return {
    counts,
    note: 'full ' + times + ' times, answers 452: ' + (site.clients.refusals.get('452') ?? 0),
    missed: traces > 4 ? traces + ' files in temp/ of mails that were refused' : undefined,
  };
}

/** An error of the disk: the kernel makes the file system read-only under the running agent. */
async function diskFails(site: Site, quick: boolean): Promise<Verdict> {
  const times = quick ? 1 : 5;
  const disk = createDiskImage(site.lab, 32);
  site.state = join(disk.folder, 'state');
  mkdirSync(site.state);
  for (let n = 0; n < times; n += 1) {
    const life = await prepare(site).begin({});
    await accepts(site, 10);
    const before = refusalsOf(site);
    disk.fail();
    site.clients.allow(20);
    await waitFor('clients to be told to come again', () => refusalsOf(site) >= before + 5, { timeoutMs: 30_000 });
    life.child.kill('SIGKILL');
    await life.ended;
    disk.repair();
    noteDeath(site);
  }
  await finish(site);
  const counts = await count(site);
  disk.unmount();
  const wrong = [...site.clients.refusals].filter(([code]) => !code.startsWith('4')).map(([code]) => code);
  const codes = [...site.clients.refusals].map(([code, answers]) => code + ': ' + answers).join(', ');
  return {
    counts,
    note: 'read-only ' + times + ' times, answers ' + codes,
    missed: wrong.length > 0 ? 'answers ' + wrong.join() : undefined,
  };
}

const refusalsOf = (site: Site): number => [...site.clients.refusals.values()].reduce((sum, one) => sum + one, 0);

/** A day on, a day back, while it runs and while it does not. */
async function clockJumps(site: Site, quick: boolean): Promise<Verdict> {
  const lives: readonly Order[] = [
    { jump: { afterMs: 50, byMs: dayMs } },
    { aheadMs: dayMs },
    { aheadMs: dayMs, jump: { afterMs: 50, byMs: -dayMs } },
    { aheadMs: -dayMs },
    {},
  ];
  for (let round = 0; round < (quick ? 1 : 4); round += 1) {
    for (const order of lives) {
      const life = await prepare(site).begin(order);
      await accepts(site, 12);
      await kill(site, life);
    }
  }
  await finish(site, { aheadMs: 2 * dayMs });
  return { note: site.mails.deaths + ' lives' };
}

/** Rule: what the index does not know any more is held for a person, who alone can say what was sent. */
async function indexDeleted(site: Site): Promise<Verdict> {
  const life = await prepare(site).begin({});
  await accepts(site, 20);
  // With the relay away mails stay in the queue.
  await site.relay.stop();
  await accepts(site, 20);
  life.child.kill('SIGKILL');
  await life.ended;
  for (const name of ['agent.db', 'agent.db-wal', 'agent.db-shm']) rmSync(join(site.state, name), { force: true });
  await site.relay.start();
  await finish(site);
  const counts = await count(site);
  return {
    counts,
    note: 'index rebuilt from ' + counts.held + ' files, all held',
    missed: counts.held < 20 ? 'too few were held' : undefined,
  };
}

export const scenarios: readonly Scenario[] = [
  { name: 'kill -9 at every checkpoint', play: everyCheckpoint },
  { name: 'kill -9 at any time', play: killedAnyTime },
  { name: 'power cut (disk image copied)', play: powerCut },
  { name: 'disk full', play: diskFull },
  { name: 'disk fails, read-only', play: diskFails },
  { name: 'clock a day on and back', play: clockJumps },
  { name: 'agent.db deleted', play: indexDeleted },
];

export async function judge({ name, play }: Scenario, site: Site, quick: boolean): Promise<Case> {
  const { note, missed, counts } = await play(site, quick);
  const found = counts ?? (await count(site));
  const { accepted, arrived, lost, doubled, unaccounted, resent, unaccountedResent } = found;
  const told = [
    'answered 250: ' + accepted,
    'arrived ' + arrived,
    'lost ' + lost,
    'at the dot in ' +
      site.mails.deaths +
      ' deaths: ' +
      [...site.mails.atDot.values()].reduce((sum, one) => sum + one, 0),
    'without account ' + (unaccounted + unaccountedResent),
    'sent twice by a client without 250: ' + resent,
    note,
    missed ?? '',
  ];
  return {
    name,
    unit: 'doubled',
    ours: doubled,
    peers: {},
    ratio: null,
    bar: 'lost 0, doubled only where unknown',
    holds: lost === 0 && unaccounted + unaccountedResent === 0 && missed === undefined && accepted > 0,
    note: told.filter((text) => text !== '').join(', '),
  };
}
