// A small ext4 file system in a file: a disk that can be full, that fails, and whose image can be copied as if by a power cut.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from './lab.ts';
import { waitFor } from './wait.ts';

export type DiskImage = {
  readonly folder: string;
  /** What has reached this disk by now, as a disk of its own; the process that writes must stand still. */
  readonly cut: () => Promise<DiskImage>;
  /** The kernel gives the disk up, as after an error: nothing can be written any more. */
  readonly fail: () => void;
  /** Unmounts, checks, mounts again. Nobody may use it meanwhile. */
  readonly repair: () => void;
  readonly unmount: () => void;
};

/** Needs root. */
export function createDiskImage(lab: Lab, megabytes: number): DiskImage {
  const image = newName(lab);
  writeFileSync(image, '');
  truncateSync(image, megabytes * 1024 * 1024);
  execFileSync('mkfs.ext4', ['-q', '-F', image]);
  return mountImage(lab, image);
}

function mountImage(lab: Lab, image: string): DiskImage {
  const folder = image + '-mounted';
  mkdirSync(folder);
  let mounted = false;
  const mount = (): void => {
    execFileSync('mount', ['-o', 'loop', image, folder]);
    mounted = true;
  };
  const unmount = (): void => {
    if (mounted) execFileSync('umount', [folder]);
    mounted = false;
  };
  mount();
  lab.onStop(unmount);
  return {
    folder,
    async cut() {
      const copy = newName(lab);
      // The kernel may be writing: two equal readings one after the other are one moment.
      await waitFor('a moment without writing', () => {
        copyFileSync(image, copy);
        return digest(copy) === digest(image);
      });
      return mountImage(lab, copy);
    },
    fail: () => void execFileSync('mount', ['-o', 'remount,abort', folder], { stdio: 'ignore' }),
    repair() {
      unmount();
      try {
        execFileSync('e2fsck', ['-p', '-f', image], { stdio: 'ignore' });
      } catch {
        // 1: something was mended. What could not be mended fails the mount.
      }
      mount();
    },
    unmount() {
      unmount();
      rmSync(image, { force: true });
    },
  };
}

const newName = (lab: Lab): string => join(lab.dir, 'image-' + randomBytes(4).toString('hex'));
const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
