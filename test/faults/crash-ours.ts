// What is done to our receive room, and what must hold: nothing lost, nothing left at the provider, doubled at most one mail
// a local session for each event that can separate the local server's answer from its record.
import { cpSync } from 'node:fs';
import { checkpoints } from '#shared/checkpoint.ts';
import type { Case } from '../bench/verdict.ts';
import { mountSmallDisk } from '../lab/small-disk.ts';
import { waitFor } from '../lab/wait.ts';
import { arrived, countSite, deathsOf, finish, live, putMails, remaining, sessions } from './crash-site.ts';
import type { Counts, Run, Site } from './crash-site.ts';

export type Scenario = { readonly name: string; readonly play: (site: Site, quick: boolean) => Promise<Verdict> };
type Verdict = {
  readonly events: number;
  /** Doubles that SMTP itself allows here. */
  readonly allowed: number;
  readonly note?: string;
  readonly counts?: Counts;
  /** What else was missed. */
  readonly missed?: string;
};
const mailsPerLife = 8;
const places = checkpoints.filter((checkpoint) => checkpoint.startsWith('receive.'));
/** At before-handover and recorded the dying session itself has no open answer; at DELE and QUIT nobody hands over. */
const mayDouble: Readonly<Record<string, number>> = {
  'receive.before-handover': sessions - 1,
  'receive.after-handover': sessions,
  'receive.recorded': sessions - 1,
  'receive.deleted': 0,
  'receive.quit': 0,
};

/** Resolves when some of the mails that were just put have arrived: another number each time. */
async function someArrived(site: Site, before: number, n: number): Promise<void> {
  const goal = before + 1 + ((n * 5) % (mailsPerLife - 1));
  const done = async (): Promise<boolean> => (await arrived(site)) >= goal || (await remaining(site)) === 0;
  await waitFor('mails to arrive at ' + site.name, done, { timeoutMs: 30_000, everyMs: 1 });
}

/** Lives that end in the middle of their work, each in the same way. */
async function endLives(site: Site, lives: number, end: (run: Run, n: number) => Promise<void>): Promise<void> {
  for (let n = 0; n < lives; n += 1) {
    await putMails(site, mailsPerLife);
    const before = await arrived(site);
    const run = live(site);
    await someArrived(site, before, n);
    await end(run, n);
  }
  await finish(site);
}

/** Events in one long life. */
async function disturb(site: Site, times: number, event: () => void | Promise<void>): Promise<void> {
  const run = live(site);
  for (let n = 0; n < times; n += 1) {
    const before = await arrived(site);
    await putMails(site, mailsPerLife);
    await someArrived(site, before, n);
    await event();
    // A round that ends well: else the pauses in trouble would grow from event to event.
    const empty = async (): Promise<boolean> => (await remaining(site)) === 0;
    await waitFor('the rest of the mails at ' + site.name, empty, { timeoutMs: 90_000 });
  }
  await finish(site, run);
}

async function everyCheckpoint(site: Site, quick: boolean): Promise<Verdict> {
  const wanted = quick ? 2 : 20;
  for (let round = 0; round < wanted; round += 1) {
    for (const at of places) {
      await putMails(site, mailsPerLife);
      // At the first mail, in the middle, at the last one of a session.
      const { child, ended } = live(site, { at, visit: at === 'receive.quit' ? 1 : 1 + (round % mailsPerLife) });
      const late = setTimeout(() => child.kill('SIGTERM'), 30_000);
      await ended;
      clearTimeout(late);
    }
  }
  await finish(site);
  const deaths = deathsOf(site);
  const hits = places.map((place) => [place, deaths.filter((death) => death === place).length] as const);
  const few = hits.filter(([, count]) => count < wanted).map(([place]) => place);
  return {
    events: deaths.length,
    allowed: hits.reduce((sum, [place, count]) => sum + count * (mayDouble[place] ?? 0), 0),
    note: 'hits: ' + hits.map(([place, count]) => place.replace('receive.', '') + ' ' + count).join(', '),
    ...(few.length === 0 ? {} : { missed: 'hit too rarely: ' + few.join(', ') }),
  };
}

async function killed(site: Site, quick: boolean): Promise<Verdict> {
  const lives = quick ? 2 : 20;
  await endLives(site, lives, async ({ child, ended }) => {
    child.kill('SIGKILL');
    await ended;
  });
  return { events: lives, allowed: lives * sessions };
}

async function terminated(site: Site, quick: boolean): Promise<Verdict> {
  const lives = quick ? 2 : 20;
  let slow = 0;
  await endLives(site, lives, async ({ child, ended }) => {
    const startedAt = performance.now();
    child.kill('SIGTERM');
    await ended;
    if (performance.now() - startedAt > 6_000) slow += 1;
  });
  return { events: lives, allowed: 0, ...(slow === 0 ? {} : { missed: slow + ' lives took too long to stop' }) };
}

async function copiedImage(site: Site, quick: boolean): Promise<Verdict> {
  const lives = quick ? 2 : 20;
  await endLives(site, lives, async ({ child, ended }, n) => {
    // Stopped, not ended: nothing is tidied up, as after a power cut.
    child.kill('SIGSTOP');
    const copy = site.state.replace(/(?:-copy\d+)?$/, '-copy' + n);
    cpSync(site.state, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    child.kill('SIGKILL');
    await ended;
    site.state = copy;
  });
  return { events: lives, allowed: lives * sessions };
}

async function providerLineCut(site: Site, quick: boolean): Promise<Verdict> {
  const times = quick ? 2 : 20;
  const proxy = await site.lab.proxy({ to: { host: '127.0.0.1', port: site.pop3Port } });
  proxy.delay(3);
  site.pop3Port = proxy.port;
  await disturb(site, times, proxy.cut);
  return { events: times, allowed: 0 };
}

async function localLineCut(site: Site, quick: boolean): Promise<Verdict> {
  const times = quick ? 2 : 20;
  const proxy = await site.lab.proxy({ to: { host: '127.0.0.1', port: site.lmtpPort } });
  proxy.delay(3);
  site.lmtpPort = proxy.port;
  await disturb(site, times, proxy.cut);
  return { events: times, allowed: times * sessions };
}

async function localStalls(site: Site, quick: boolean): Promise<Verdict> {
  const times = quick ? 1 : 5;
  const proxy = await site.lab.proxy({ to: { host: '127.0.0.1', port: site.lmtpPort } });
  site.lmtpPort = proxy.port;
  await disturb(site, times, async () => {
    proxy.swallow(true);
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // this is the stall
    proxy.swallow(false);
    proxy.cut();
  });
  return { events: times, allowed: times * sessions };
}

/** The local server of this scenario is scripted, and its mails are what it says it took. */
async function localRefuses(site: Site, quick: boolean): Promise<Verdict> {
  const mails = quick ? 30 : 150;
  const smtp = await site.lab.scriptedSmtp({
    protocol: 'lmtp',
    script: ({ verb, before }) => {
      if (verb !== 'body') return undefined;
      if (before % 5 === 1) return '451 4.3.0 try again\r\n';
      return before % 29 === 7 ? '550 5.7.1 no\r\n' : undefined;
    },
  });
  site.lmtpPort = smtp.port;
  await putMails(site, mails);
  const run = live(site);
  const bodies = (): readonly string[] =>
    smtp.mails.map(({ bytes }) => /^Subject: (.*?)\r?$/m.exec(bytes.toString('latin1'))?.[1] ?? '');
  const refused = async (): Promise<number> => mails - new Set(bodies()).size;
  const done = async (): Promise<boolean> => {
    const left = await remaining(site);
    return left > 0 && left === (await refused()) && left < mails / 10;
  };
  await waitFor('all but the refused mails', done, { timeoutMs: 60_000 }).catch(() => {}); // counted below
  run.child.kill('SIGTERM');
  await run.ended;
  const left = await remaining(site);
  const taken = bodies();
  const lost = mails - new Set(taken).size - left;
  const counts = { mails, lost: Math.max(0, lost), left: 0, doubled: taken.length - new Set(taken).size };
  // Those refused with 550 must still be there, one each.
  return {
    events: mails,
    allowed: 0,
    note: left + ' refused with 550 are still at the provider, and in quarantine',
    counts,
    ...(left < mails / 10 && left > 0 ? {} : { missed: left + ' mails left' }),
  };
}

/** The state stands on a small file system of its own, which is full while mails come. */
async function diskFull(site: Site, quick: boolean): Promise<Verdict> {
  const times = quick ? 1 : 4;
  const folder = site.state + '-small';
  const disk = mountSmallDisk(folder, 4);
  site.state = folder;
  try {
    const run = live(site);
    for (let n = 0; n < times; n += 1) {
      await putMails(site, mailsPerLife);
      await waitFor('mails', async () => (await remaining(site)) === 0, { timeoutMs: 30_000 });
      const free = disk.fill();
      await putMails(site, 3 * mailsPerLife);
      await new Promise((resolve) => setTimeout(resolve, 4_000)); // rounds on a full disk
      free();
    }
    await finish(site, run, 60_000);
  } finally {
    disk.unmount();
  }
  // The records that could not be written are kept in memory and written when there is room.
  return { events: times, allowed: 0 };
}

export const scenarios: readonly Scenario[] = [
  { name: 'kill -9 at every checkpoint', play: everyCheckpoint },
  { name: 'kill -9 at any time', play: killed },
  { name: 'SIGTERM', play: terminated },
  { name: 'state copied while stopped', play: copiedImage },
  { name: 'line to the provider cut', play: providerLineCut },
  { name: 'line to the local server cut', play: localLineCut },
  { name: 'local server stalls', play: localStalls },
  { name: 'local server says 451 and 550', play: localRefuses },
  { name: 'disk full', play: diskFull },
];

export async function judge(scenario: Scenario, site: Site, quick: boolean): Promise<Case> {
  const { events, allowed, note = '', missed, counts } = await scenario.play(site, quick);
  const { mails, lost, left, doubled } = counts ?? (await countSite(site));
  const told = ['mails ' + mails, 'events ' + events, 'lost ' + lost, 'left ' + left, note, missed ?? ''];
  return {
    name: scenario.name,
    unit: 'doubled',
    ours: doubled,
    peers: {},
    ratio: null,
    bar: 'lost 0, left 0, doubled <= ' + allowed,
    holds: lost === 0 && left === 0 && doubled <= allowed && missed === undefined,
    note: told.filter((text) => text !== '').join(', '),
  };
}
