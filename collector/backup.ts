// A backup while the collector runs: accounts, counts, alerts (collector.db) and the authority. Put into an empty state folder
// it is the collector that was; the agents need no visit. The measurements are not in it: they are the database's.
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { UserError, describe } from '#shared/failure.ts';
import type { State } from './state.ts';

export async function backUp(state: State, folder: string): Promise<readonly string[]> {
  const target = resolve(folder);
  const refuse = (found: string): UserError =>
    new UserError('Cannot back up into ' + target + ': ' + found + ', expected an empty folder that can be written');
  try {
    mkdirSync(target, { recursive: true, mode: 0o700 });
    if (readdirSync(target).length > 0) throw refuse('it is not empty');
    state.db.prepare('VACUUM INTO ?').run(join(target, 'collector.db'));
    const authority = join(state.folder, 'authority');
    if (existsSync(authority)) cpSync(authority, join(target, 'authority'), { recursive: true });
  } catch (error) {
    throw error instanceof UserError ? error : refuse(describe(error));
  }
  return [
    'Backed up into ' + target + ': it holds keys, keep it as safe as the state folder.',
    'To restore: put its files into an empty state folder, and start the collector under the same addresses.',
  ];
}
