// Replaces a file. Promises: after a power cut it is the old one or the new one; it keeps its owner, its mode, and its place
// when it is a link; what could not be finished leaves nothing behind.
import { randomBytes } from 'node:crypto';
import { existsSync, realpathSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { chown, open, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { codeOf } from '#shared/failure.ts';

export async function replaceFile(
  file: string,
  text: string,
  options: {
    /** For a new file; 0600 when absent. One that is there keeps its own. */
    readonly mode?: number;
    /** Mode and owner are those of this file, when it is there. */
    readonly like?: string;
    /** The last look before the old file is gone; throws to leave it as it is. */
    readonly check?: () => void;
  } = {},
): Promise<void> {
  const target = existsSync(file) ? realpathSync(file) : file;
  const folder = dirname(target);
  const model =
    (await statIfThere(target)) ?? (options.like === undefined ? undefined : await statIfThere(options.like));
  const mode = (model?.mode ?? options.mode ?? 0o600) & 0o777;
  const temporary = target + '.' + randomBytes(6).toString('hex') + '.tmp';
  try {
    const handle = await open(temporary, 'wx', mode);
    try {
      await handle.chmod(mode); // the mask of the process has taken bits away
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (process.getuid?.() === 0) {
      const { uid, gid } = model ?? (await stat(folder));
      await chown(temporary, uid, gid);
    }
    options.check?.();
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {});
    throw error;
  }
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function statIfThere(file: string): Promise<Stats | undefined> {
  try {
    return await stat(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** `name`, or `name-2` and so on: a file that is there is never written over by a new secret. */
export function freeName(folder: string, name: string, taken: readonly string[]): string {
  const safe = name.replaceAll(/[^A-Za-z0-9._-]+/g, '-').replace(/^\.+/, '') || 'secret';
  for (let n = 1; ; n += 1) {
    const candidate = n === 1 ? safe : safe + '-' + n;
    const path = join(folder, candidate);
    if (!existsSync(path) && !taken.includes(path)) return candidate;
  }
}
