// What earlier releases left on a NAS is taken over by this one: no mail twice, none lost, the queue is sent; and what this one
// leaves is refused by an older one in plain words. On the bundle, under the oldest Node.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { bundleName, writeBundle } from '../../../agent/package/bundle.ts';
import type { Runner } from '../../flow/programs.ts';
import { createLab } from '../../lab/lab.ts';
import type { Lab } from '../../lab/lab.ts';
import { oldestNode } from '../../lab/oldest-node.ts';
import { waitFor } from '../../lab/wait.ts';
import {
  customer,
  fetched,
  incoming,
  mailbox,
  openSite,
  queued,
  readReleases,
  recipient,
  restoreState,
  writeState,
} from './release-state.ts';
import type { ReleaseState, Site } from './release-state.ts';

async function runnerOf(lab: Lab, version?: string): Promise<Runner> {
  const folder = join(lab.dir, 'bundle-' + (version ?? 'now'));
  await writeBundle(folder, version);
  return { command: await oldestNode(), args: [join(folder, bundleName), 'run'] };
}

const field = (value: unknown, name: string): unknown =>
  typeof value === 'object' && value !== null ? Object.entries(value).find(([key]) => key === name)?.[1] : undefined;

/** The new version on the old state, in another office than the one where it was written. */
async function takeOver(lab: Lab, site: Site, old: ReleaseState): Promise<void> {
  const what = 'the state of ' + old.version;
  await site.provider.stop();
  restoreState(site, old);
  await site.provider.start();
  const agent = await site.start(await runnerOf(lab));
  assert.match(String(field(await site.ask('status'), 'hold')), /another machine|copied|moved|restored/, what);
  assert.equal((await site.relay.all()).length, 0, 'nothing leaves before somebody has said so');
  await site.ask('adopt');
  await waitFor('the queue to be sent', async () => (await site.relay.count()) >= queued, { timeoutMs: 120_000 });
  const sent = (await site.relay.mails(customer)).map((mail) => /^Subject: out (\d+)\r?$/m.exec(mail.toString())?.[1]);
  assert.deepEqual(
    sent.map(Number).sort((a, b) => a - b),
    Array.from({ length: queued }, (_, serial) => serial),
    what + ': each mail of the queue is sent once',
  );
  await site.provider.put(mailbox, incoming(fetched));
  await site.ask('fetch');
  await waitFor('the new mail to arrive', async () => (await site.local.count(recipient)) > 0, { timeoutMs: 60_000 });
  await site.ask('fetch');
  const arrived = (await site.local.mails(recipient)).map((mail) => /^Subject: (.*?)\r?$/m.exec(mail.toString())?.[1]);
  assert.deepEqual(arrived, ['in ' + fetched], what + ': known mails do not come again');
  await agent.stop(20_000);
  assert.deepEqual(agent.exit(), { code: 0, signal: null });
}

test(
  'a newer version takes over ledger and queue of an older one, and is not taken back',
  { timeout: 280_000 },
  async (t) => {
    const lab = createLab(t);
    const old = await runnerOf(lab, '0.0.9');
    const before = await openSite(lab, 'before');
    const written = await writeState(before, old, '0.0.9');
    const after = await openSite(lab, 'after');
    await takeOver(lab, after, written);
    for (const published of readReleases()) await takeOver(lab, await openSite(lab, published.version), published);

    // A version that is older than the file: the number of its schema is that of a program that this one does not know.
    const file = join(after.folder, 'state', 'agent.db');
    const db = new DatabaseSync(file);
    const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version']);
    db.exec('PRAGMA user_version=' + (version + 1));
    db.close();
    const args = [...old.args, '--config', 'agent.yaml'];
    const refused = spawnSync(old.command, args, { cwd: after.folder, encoding: 'utf8', timeout: 60_000 });
    assert.equal(refused.status, 2);
    const expected =
      'has schema ' + (version + 1) + ', expected at most ' + version + '; it was written by a newer mailferry';
    assert.ok(refused.stderr.includes('agent.db: it ' + expected), refused.stderr);
  },
);

test('every release of the changelog has left its state here, so that later ones are tried on it', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../CHANGELOG.md'), 'utf8');
  const released = [...text.matchAll(/^## (\S+) \((?!unreleased)/gm)].map(([, version]) => version);
  assert.match(text, /^## \d+\.\d+\.\d+ \(/m, 'the pattern fits the changelog');
  const left = readReleases().map(({ version }) => version);
  assert.deepEqual(new Set(left), new Set(released), 'node test/agent/package/release-state.ts writes what is missing');
});
