// One process a state folder. An exclusive transaction on a file of its own: the system drops it when the process ends,
// however it ends, so there is no stale lock.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { UserError, describe } from './failure.ts';

/** Creates the folder (mode 0700) when it is not there and locks it. Throws UserError when another process has it or it cannot be written. */
export function lockFolder(folder: string): { readonly close: () => void } {
  const refuse = (error: unknown): UserError => {
    const busy = describe(error).includes('locked');
    const state = busy ? 'another process of mailferry uses it' : describe(error);
    const expected = busy ? 'one process a folder; stop the other one first' : 'a folder that can be written';
    return new UserError('Cannot use the state folder ' + folder + ': ' + state + ', expected ' + expected, {
      cause: error,
    });
  };
  let lock: DatabaseSync;
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    lock = new DatabaseSync(join(folder, 'lock.db'), { timeout: 0 });
  } catch (error) {
    throw refuse(error);
  }
  try {
    lock.exec('PRAGMA journal_mode=DELETE; BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock.close();
    throw refuse(error);
  }
}
