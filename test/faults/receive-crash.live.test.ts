// The agent dies with SIGKILL at every checkpoint of the way in, over and over, between a real provider (dovecot POP3) and a
// real local server (dovecot LMTP). What was lost, doubled or left is counted in their Maildirs, not by the agent.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, closeSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { checkpoints } from '#shared/checkpoint.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import type { Dovecot } from '../lab/dovecot.ts';
import { waitFor } from '../lab/wait.ts';
import type { Life } from './receive-main.ts';

const sessions = 2;
/** Deaths at each checkpoint, for each of the two accounts. */
const wanted = 11;
const newMailsPerLife = 8;
const places = checkpoints.filter((checkpoint) => checkpoint.startsWith('receive.'));
/**
 * Mails that may be doubled by a death at this place: those whose answer of the local server was on the way or unrecorded,
 * one a session. At the two others between, the dying session itself has none; at DELE and QUIT nobody hands over.
 */
const mayDouble: Readonly<Record<string, number>> = {
  'receive.before-handover': sessions - 1,
  'receive.after-handover': sessions,
  'receive.recorded': sessions - 1,
  'receive.deleted': 0,
  'receive.quit': 0,
};

type Site = {
  readonly lab: Lab;
  readonly provider: Dovecot;
  readonly local: Dovecot;
  readonly name: string;
  readonly folder: string;
  readonly put: string[];
  readonly signal: AbortSignal;
};

function mailOf(subject: string, large: boolean): Buffer {
  const line = 'x'.repeat(70) + '\r\n';
  return Buffer.from('Subject: ' + subject + '\r\n\r\n.' + line.repeat(large ? 5_000 : 20));
}

async function putMails(site: Site, count: number): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const subject = site.name + '-' + site.put.length;
    // Some are too large for memory, so that deaths leave temporary files too.
    await site.provider.put(site.name + '@provider.test', mailOf(subject, site.put.length % 9 === 0));
    site.put.push(subject);
  }
}

/** Starts a life; `ended` gives the signal that ended it. */
function live(site: Site, crash: Life['crash']) {
  const life: Life = {
    folder: site.folder,
    pop3Port: site.provider.pop3,
    lmtpPort: site.local.lmtp,
    user: site.name + '@provider.test',
    password: 'secret',
    recipient: site.name + '@example.org',
    sessions,
    ...(crash === undefined ? {} : { crash }),
    counterFile: join(site.folder, 'deaths'),
  };
  const log = openSync(join(site.folder, 'log'), 'a');
  const main = join(import.meta.dirname, 'receive-main.ts');
  // Compiled once, not in each of a hundred lives.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(site.lab.dir, 'compiled') };
  const child = spawn(process.execPath, [main, JSON.stringify(life)], {
    stdio: ['ignore', log, log],
    signal: site.signal,
    killSignal: 'SIGKILL',
    env,
  });
  closeSync(log);
  const ended = once(child, 'exit').then(([, signal]: unknown[]) => signal);
  return { child, ended };
}

async function dieAt(site: Site, at: string, visit: number): Promise<void> {
  await putMails(site, newMailsPerLife);
  const { child, ended } = live(site, { at, visit });
  const tooLate = setTimeout(() => child.kill('SIGTERM'), 20_000);
  const signal = await ended;
  clearTimeout(tooLate);
  const log = (): string => readFileSync(join(site.folder, 'log'), 'utf8').slice(-2_000);
  assert.equal(signal, 'SIGKILL', 'the life ended before ' + at + ', visit ' + visit + '\n' + log());
}

async function crashAndRecover(site: Site): Promise<void> {
  for (let round = 0; round < wanted; round += 1) {
    // At the first mail, in the middle, at the last one of a session.
    for (const at of places) await dieAt(site, at, at === 'receive.quit' ? 1 : 1 + (round % newMailsPerLife));
  }
  const { child, ended } = live(site, undefined);
  try {
    await waitFor(
      'all mails to be gone at the provider',
      async () => (await site.provider.count(site.name + '@provider.test')) === 0,
      {
        timeoutMs: 20_000,
      },
    );
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

/** How often each mail lies in the local mailbox. */
async function copies(site: Site): Promise<ReadonlyMap<string, number>> {
  const found = new Map(site.put.map((subject) => [subject, 0]));
  for (const [index, bytes] of (await site.local.mails(site.name + '@example.org')).entries()) {
    const text = bytes.toString('latin1');
    const subject = /^Subject: (.*?)\r?$/m.exec(text)?.[1] ?? 'none in file ' + index;
    const whole = mailOf(subject, site.put.indexOf(subject) % 9 === 0)
      .toString('latin1')
      .replaceAll('\r\n', '\n');
    assert.ok(
      text.replaceAll('\r\n', '\n').endsWith('X-Mailferry-Trace: in crash\n' + whole),
      subject + ' is not whole',
    );
    found.set(subject, (found.get(subject) ?? 0) + 1);
  }
  return found;
}

test(
  'killed at every checkpoint: nothing is lost, nothing left, doubled at most one a session',
  { timeout: 180_000 },
  async (t) => {
    const lab = createLab(t);
    const names = ['left', 'right'];
    const users = (domain: string) => Object.fromEntries(names.map((name) => [name + domain, 'secret']));
    const [provider, local] = await Promise.all([
      lab.dovecot({ users: users('@provider.test') }),
      lab.dovecot({ users: users('@example.org') }),
    ]);
    const sites = names.map((name): Site => {
      const folder = join(lab.dir, name);
      mkdirSync(folder);
      return { lab, provider, local, name, folder, put: [], signal: t.signal };
    });
    await Promise.all(sites.map(crashAndRecover));

    const deaths = sites.flatMap((site) => readFileSync(join(site.folder, 'deaths'), 'utf8').trim().split('\n'));
    let allowed = 0;
    for (const place of places) {
      const count = deaths.filter((death) => death === place).length;
      t.diagnostic(place.padEnd(26) + ' hit ' + String(count).padStart(3));
      assert.ok(count >= 20, place + ' was hit ' + count + ' times');
      allowed += count * (mayDouble[place] ?? 0);
    }

    let [lost, doubled, mails] = [0, 0, 0];
    for (const site of sites) {
      const counts = [...(await copies(site)).values()];
      mails += site.put.length;
      lost += counts.filter((count) => count === 0).length;
      doubled += counts.reduce((sum, count) => sum + Math.max(0, count - 1), 0);
      assert.equal(counts.length, site.put.length, 'mails that nobody sent');
      assert.deepEqual(readdirSync(join(site.folder, 'incoming')), [], 'temporary files');
      assert.equal(reported(site), site.put.length, 'mails reported as delivered');
    }
    t.diagnostic(
      mails +
        ' mails, ' +
        deaths.length +
        ' deaths: lost ' +
        lost +
        ', left undeleted 0, doubled ' +
        doubled +
        ' of at most ' +
        allowed,
    );
    assert.equal(lost, 0);
    assert.ok(doubled <= allowed, doubled + ' doubled, ' + allowed + ' allowed');
  },
);

/** What the journal says: each mail once, however often it was doubled by a death before its record. */
function reported(site: Site): number {
  const db = new DatabaseSync(join(site.folder, 'agent.db'), { readOnly: true });
  const row = db.prepare('SELECT count(*) AS n FROM journal WHERE point LIKE \'%"outcome":"delivered"%\'').get();
  db.close();
  return Number(row?.['n']);
}
