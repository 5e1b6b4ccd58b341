// The state folder: agent.db (ledger, queue index, journal), one process at a time.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { lockFolder } from '#shared/folder-lock.ts';
import { createJournal } from '#shared/journal.ts';
import type { Journal } from '#shared/journal.ts';
import { openDatabase, transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { stateSchema } from './state-schema.ts';

export type State = {
  readonly folder: string;
  readonly db: Database;
  readonly journal: Journal;
  /** Names this agent in trace headers; random, says nothing about the site. */
  readonly traceId: string;
  readonly close: () => void;
};

/** Opens or creates the folder. Throws UserError when another process uses it or it cannot be written. */
export function openState(folder: string): State {
  const lock = lockFolder(folder);
  try {
    const db = openDatabase({ path: join(folder, 'agent.db'), schema: stateSchema });
    return {
      folder,
      db,
      journal: createJournal(db),
      traceId: readTraceId(db),
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

function readTraceId(db: Database): string {
  return transaction(db, () => {
    const known = db.prepare("SELECT value FROM meta WHERE key = 'trace-id'").get()?.['value'];
    if (typeof known === 'string') return known;
    const fresh = randomBytes(12).toString('hex');
    db.prepare("INSERT INTO meta (key, value) VALUES ('trace-id', ?)").run(fresh);
    return fresh;
  });
}

/** Mails that wait to be sent; known before the room that sends them is opened. */
export function countQueued(db: Database): number {
  const text =
    'SELECT count(*) AS n FROM mail WHERE done = 0 AND ' +
    "EXISTS (SELECT 1 FROM recipient WHERE mail = mail.id AND state IN ('queued', 'sending', 'unknown'))";
  return Number(db.prepare(text).get()?.['n'] ?? 0);
}
