// Opens a SQLite file the way every store of ours needs it: WAL, synchronous=FULL (a commit is on disk), schema by version.
import { chmodSync, closeSync, existsSync, openSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { UserError, describe } from './failure.ts';

export type Database = DatabaseSync;

/**
 * Opens or creates the file (mode 0600) and brings its schema up to date.
 * `schema[i]` is the SQL that leads from version i to i + 1; shipped steps are never edited, only added to.
 * Throws UserError when the file is damaged or was written by a newer version.
 */
export function openDatabase(options: { readonly path: string; readonly schema: readonly string[] }): Database {
  try {
    if (options.path !== ':memory:' && !existsSync(options.path)) closeSync(openSync(options.path, 'a', 0o600));
    const db = new DatabaseSync(options.path, { timeout: 5_000 });
    if (options.path !== ':memory:') chmodSync(options.path, 0o600);
    db.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;');
    migrate(db, options);
    return db;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(
      'Cannot open database ' + options.path + ': ' + describe(error) + ', expected a readable SQLite file',
      {
        cause: error,
      },
    );
  }
}

function migrate(db: Database, options: { readonly path: string; readonly schema: readonly string[] }): void {
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > options.schema.length) {
    throw new UserError(
      'Cannot open database ' +
        options.path +
        ': it has schema ' +
        version +
        ', expected at most ' +
        options.schema.length +
        '; it was written by a newer mailferry, install that version again',
    );
  }
  for (const [index, sql] of options.schema.entries()) {
    if (index < version) continue;
    transaction(db, () => db.exec(sql + '; PRAGMA user_version=' + (index + 1)));
  }
}

/**
 * Runs `work` in one transaction (a nested call is a part of the outer one); undoes it and rethrows when it throws.
 * A savepoint is a transaction of its own when it is the outermost: Node 22.13 cannot tell whether one is open.
 */
export function transaction<T>(db: Database, work: () => T): T {
  db.exec('SAVEPOINT work');
  try {
    const result = work();
    db.exec('RELEASE work');
    return result;
  } catch (error) {
    undo(db);
    throw error;
  }
}

function undo(db: Database): void {
  try {
    db.exec('ROLLBACK TO work; RELEASE work');
  } catch {
    // A full disk makes SQLite roll back everything by itself: then there is no savepoint any more.
  }
}
