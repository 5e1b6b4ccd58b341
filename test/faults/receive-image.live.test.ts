// A power cut: the agent's state stands on a small file system of its own (ext4 in a file), and the file is copied while the
// agent is at work. What had not reached the disk is not in the copy. The copy is mounted, and the agent goes on from it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import {
  arrived,
  countSite,
  createSite,
  finish,
  live,
  localUser,
  password,
  providerUser,
  putMails,
  remaining,
  sessions,
} from './crash-site.ts';

const lives = 6;
const mailsPerLife = 8;
const imageBytes = 16 * 1024 * 1024;

function makeImage(path: string): void {
  writeFileSync(path, '');
  truncateSync(path, imageBytes);
  execFileSync('mkfs.ext4', ['-q', '-F', path]);
}

/** Undone by the function that it gives, and at the end of the test. */
function mount(lab: Lab, image: string, folder: string): () => void {
  mkdirSync(folder);
  execFileSync('mount', ['-o', 'loop', image, folder]);
  let mounted = true;
  const unmount = (): void => {
    if (mounted) execFileSync('umount', [folder]);
    mounted = false;
  };
  lab.onStop(() => Promise.resolve(unmount()));
  return unmount;
}

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');

/** The kernel may be writing: two equal readings one after the other are one moment. */
async function copyImage(from: string, to: string): Promise<void> {
  await waitFor('a moment without writing', () => {
    copyFileSync(from, to);
    return digest(to) === digest(from);
  });
}

test(
  'a disk image copied at work, as after a power cut: nothing is lost, nothing left, doubled at most one a session',
  { timeout: 240_000 },
  async (t) => {
    const lab = createLab(t);
    const [provider, local] = await Promise.all([
      lab.dovecot({ users: { [providerUser('cut')]: password } }),
      lab.dovecot({ users: { [localUser('cut')]: password } }),
    ]);
    const site = createSite({ lab, provider, local, name: 'cut' });
    let image = join(lab.dir, 'image-0');
    makeImage(image);
    let unmount = mount(lab, image, join(lab.dir, 'disk-0'));
    site.state = join(lab.dir, 'disk-0', 'state');
    mkdirSync(site.state);
    for (let n = 1; n <= lives; n += 1) {
      await putMails(site, mailsPerLife);
      const before = await arrived(site);
      const { child, ended } = live(site);
      const goal = before + 1 + ((n * 5) % (mailsPerLife - 1));
      const some = async (): Promise<boolean> => (await arrived(site)) >= goal || (await remaining(site)) === 0;
      await waitFor('mails to arrive', some, { timeoutMs: 30_000, everyMs: 1 });
      // It stands still while its disk is copied, and is never heard of again.
      child.kill('SIGSTOP');
      const copy = join(lab.dir, 'image-' + n);
      await copyImage(image, copy);
      child.kill('SIGKILL');
      await ended;
      unmount();
      rmSync(image);
      image = copy;
      unmount = mount(lab, image, join(lab.dir, 'disk-' + n));
      site.state = join(lab.dir, 'disk-' + n, 'state');
    }
    await finish(site);
    const { mails, lost, left, doubled } = await countSite(site);
    t.diagnostic(mails + ' mails, ' + lives + ' cuts: lost ' + lost + ', left ' + left + ', doubled ' + doubled);
    assert.deepEqual({ mails, lost, left }, { mails: lives * mailsPerLife, lost: 0, left: 0 });
    assert.ok(doubled <= lives * sessions, doubled + ' doubled, at most ' + lives * sessions + ' allowed');
  },
);
