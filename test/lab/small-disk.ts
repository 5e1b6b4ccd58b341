// A small file system of its own, to be filled to the last byte. Needs root.
import { spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export type SmallDisk = {
  /** Takes the last byte; the result gives all back. */
  readonly fill: () => () => void;
  readonly unmount: () => void;
};

/** Makes the folder when it is not there. */
export function mountSmallDisk(folder: string, megabytes: number): SmallDisk {
  mkdirSync(folder, { recursive: true });
  const args = ['-t', 'tmpfs', '-o', 'mode=0700,size=' + megabytes + 'm', 'tmpfs', folder];
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error('Cannot mount ' + folder + ': ' + stderr.trim() + ', expected to be root');
  return {
    fill() {
      const path = join(folder, 'filler');
      for (const size of [1_048_576, 65_536, 4_096, 1]) {
        try {
          for (;;) writeFileSync(path, Buffer.alloc(size), { flag: 'a' });
        } catch {
          // ENOSPC: on with smaller pieces
        }
      }
      return () => rmSync(path);
    },
    unmount: () => void spawnSync('umount', [folder]),
  };
}
