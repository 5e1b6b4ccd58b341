// Opens a SQLite file the way every store of ours needs it: WAL, synchronous=FULL (a commit is on disk), schema by version.
// Promises: before a step of the schema the file as it was is on disk beside it; a step is there whole or not at all; a file
// that a newer program wrote is left as it is.
import { chmodSync, closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
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
  const { path, schema } = options;
  const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
  if (version > schema.length) throw refuseNewer(path, version, schema.length);
  if (version === schema.length) return;
  if (version > 0 && path !== ':memory:') keepCopy(db, path, version);
  for (const [index, sql] of schema.entries()) {
    if (index < version) continue;
    transaction(db, () => db.exec(sql + '; PRAGMA user_version=' + (index + 1)));
  }
}

/** Where the file as it was before it left this version of the schema is kept. */
export const copyOf = (path: string, version: number): string => path + '.schema-' + version;

function refuseNewer(path: string, version: number, known: number): UserError {
  const copy = copyOf(path, known);
  const back = existsSync(copy)
    ? '; or, to go back to the state before that upgrade, stop and put ' + copy + ' in its place'
    : '';
  return new UserError(
    'Cannot open database ' +
      path +
      ': it has schema ' +
      version +
      ', expected at most ' +
      known +
      '; it was written by a newer mailferry, install that version again' +
      back,
  );
}

/** Whole and on disk before the first step; a copy of an earlier try that was cut off is replaced. */
function keepCopy(db: Database, path: string, version: number): void {
  const copy = copyOf(path, version);
  const temporary = copy + '.tmp';
  try {
    rmSync(temporary, { force: true });
    closeSync(openSync(temporary, 'wx', 0o600));
    db.prepare('VACUUM INTO ?').run(temporary);
    syncFile(temporary);
    renameSync(temporary, copy);
    syncFile(dirname(path));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new UserError(
      'Cannot bring database ' +
        path +
        ' up to date: no copy of it can be written (' +
        describe(error) +
        '), expected room for one; make room on that disk, nothing was changed',
      { cause: error },
    );
  }
}

function syncFile(path: string): void {
  const file = openSync(path, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
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
