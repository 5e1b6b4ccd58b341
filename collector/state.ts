// The state folder: collector.db (fleet, ingest, alerts), one process at a time.
import { join } from 'node:path';
import { lockFolder } from '#shared/folder-lock.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { alertSchema } from './alert/state.ts';
import { accountSchema } from './fleet/accounts.ts';
import { commandSchema } from './fleet/commands.ts';
import { fleetSchema } from './fleet/fleet.ts';
import { ingestSchema } from './ingest/ingest.ts';

export type State = { readonly folder: string; readonly db: Database; readonly close: () => void };

/** Opens or creates the folder. Throws UserError when another process uses it or it cannot be written. */
export function openState(folder: string): State {
  const lock = lockFolder(folder);
  try {
    const db = openDatabase({
      path: join(folder, 'collector.db'),
      schema: [[fleetSchema, accountSchema, commandSchema, ingestSchema, alertSchema].join(';\n')],
    });
    return {
      folder,
      db,
      close() {
        db.close();
        lock.close();
      },
    };
  } catch (error) {
    lock.close();
    throw error;
  }
}
