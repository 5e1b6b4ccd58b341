// What must be known of an account's logins after a restart: when the last one was, and that the secret was refused.
// Promises: a login that goes well is not written; no secret is written, only what a secret can be compared with.
import { randomBytes, scryptSync } from 'node:crypto';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';

/** `tried_at` is written at the end of a life; `alive` is left over when a life ends without one. */
export const loginSchema = `
CREATE TABLE login (
  account TEXT PRIMARY KEY,
  alive INTEGER NOT NULL DEFAULT 0,
  tried_at INTEGER,
  refusals INTEGER NOT NULL DEFAULT 0,
  refused_at INTEGER,
  salt TEXT,
  mark TEXT
) STRICT`;

export type Past = {
  /** Since the last try; undefined when there was none, 0 when nobody knows (the process was killed). */
  readonly sinceTryMs: number | undefined;
  /** Refused logins in a row, 0 when the last one went well. */
  readonly refusals: number;
  readonly sinceRefusalMs: number;
  /** This secret is the refused one. */
  readonly isRefused: (secret: string) => boolean;
};
export type LoginMemory = {
  /** Reads what a former life left. `limited`: the provider names a minimum, so the time of the last try matters. */
  readonly begin: (limited: boolean) => Past;
  readonly refused: (refusals: number, secret: string | undefined) => void;
  readonly well: () => void;
  /** The life ends orderly; `sinceTryMs` is undefined when it tried no login. Nothing is written when begin() was not `limited`. */
  readonly end: (sinceTryMs: number | undefined) => void;
};

export function createLoginMemory(options: {
  readonly db: Database;
  readonly account: string;
  /** Wall clock: the only one that goes on while nobody lives. */
  readonly now: () => number;
  readonly log: Log;
}): LoginMemory {
  const { db, account, now, log } = options;
  const insert = db.prepare('INSERT OR IGNORE INTO login (account) VALUES (?)');
  const select = db.prepare('SELECT * FROM login WHERE account = ?');
  const setAlive = db.prepare('UPDATE login SET alive = 1 WHERE account = ?');
  const setRefused = db.prepare('UPDATE login SET refusals = ?, refused_at = ?, salt = ?, mark = ? WHERE account = ?');
  const setEnd = db.prepare('UPDATE login SET alive = 0, tried_at = coalesce(?, tried_at) WHERE account = ?');
  let isNoted = false;

  /** A full disk costs this memory, not the mail. */
  function write(work: () => unknown): void {
    try {
      insert.run(account);
      work();
    } catch (error) {
      log.warn({ account, error: describe(error) }, 'the last login cannot be written down');
    }
  }
  /** A clock that was set back says nothing: as if it had been just now. */
  const since = (at: unknown): number | undefined => (typeof at === 'number' ? Math.max(0, now() - at) : undefined);

  return {
    begin(limited) {
      const row = select.get(account);
      const { salt, mark } = row ?? {};
      if (limited) {
        isNoted = true;
        write(() => setAlive.run(account));
      }
      return {
        sinceTryMs: row?.['alive'] === 1 ? 0 : since(row?.['tried_at']),
        refusals: Number(row?.['refusals'] ?? 0),
        sinceRefusalMs: since(row?.['refused_at']) ?? 0,
        isRefused: (secret) => typeof salt === 'string' && mark === markOf(secret, salt),
      };
    },
    refused(refusals, secret) {
      const salt = randomBytes(16).toString('hex');
      const mark = secret === undefined ? null : markOf(secret, salt);
      write(() => setRefused.run(refusals, Math.round(now()), salt, mark, account));
    },
    well: () => write(() => setRefused.run(0, null, null, null, account)),
    end(sinceTryMs) {
      if (!isNoted) return;
      write(() => setEnd.run(sinceTryMs === undefined ? null : Math.round(now() - sinceTryMs), account));
    },
  };
}

/** Slow on purpose: whoever has the file shall not guess the password from it. */
function markOf(secret: string, salt: string): string {
  return scryptSync(secret, salt, 16).toString('hex');
}
