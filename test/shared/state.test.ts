import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { lockFolder } from '#shared/folder-lock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createPoint } from '#shared/meter.ts';
import { openDatabase, transaction } from '#shared/sqlite.ts';

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-state-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test('openDatabase() makes commits durable and keeps the file to its owner', (t) => {
  const path = join(folderOf(t), 'a.db');
  const db = openDatabase({ path, schema: ['CREATE TABLE a (x INTEGER) STRICT'] });
  assert.equal(db.prepare('PRAGMA synchronous').get()?.['synchronous'], 2);
  assert.equal(db.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal');
  assert.equal(statSync(path).mode & 0o777, 0o600);
  db.close();
});

test('openDatabase() runs only the schema steps that are missing', (t) => {
  const path = join(folderOf(t), 'a.db');
  const first = 'CREATE TABLE a (x INTEGER) STRICT; INSERT INTO a VALUES (1)';
  openDatabase({ path, schema: [first] }).close();
  const db = openDatabase({ path, schema: [first, 'ALTER TABLE a ADD COLUMN y TEXT'] });
  assert.deepEqual({ ...db.prepare('SELECT * FROM a').get() }, { x: 1, y: null });
  db.close();
});

test('openDatabase() refuses a file of a newer version', (t) => {
  const path = join(folderOf(t), 'a.db');
  openDatabase({ path, schema: ['CREATE TABLE a (x INTEGER) STRICT', 'CREATE TABLE b (x INTEGER) STRICT'] }).close();
  assert.throws(
    () => openDatabase({ path, schema: ['CREATE TABLE a (x INTEGER) STRICT'] }),
    /it has schema 2, expected at most 1; it was written by a newer mailferry/,
  );
});

test('openDatabase() keeps a copy of the file as it was before a step of the schema, and names it at a downgrade', (t) => {
  const path = join(folderOf(t), 'a.db');
  const first = 'CREATE TABLE a (x INTEGER) STRICT';
  const old = openDatabase({ path, schema: [first] });
  old.exec('INSERT INTO a VALUES (7)'); // still in the write-ahead log
  old.close();
  openDatabase({ path, schema: [first, 'DELETE FROM a; CREATE TABLE b (x INTEGER) STRICT'] }).close();
  const copy = path + '.schema-1';
  assert.equal(statSync(copy).mode & 0o777, 0o600);
  assert.throws(
    () => openDatabase({ path, schema: [first] }),
    (error: unknown) =>
      error instanceof Error &&
      error.message.endsWith('or, to go back to the state before that upgrade, stop and put ' + copy + ' in its place'),
  );
  const back = openDatabase({ path: copy, schema: [first] });
  assert.deepEqual(
    back
      .prepare('SELECT x FROM a')
      .all()
      .map((row) => row['x']),
    [7],
  );
  back.close();
});

test('openDatabase() leaves a file as it was when a step fails, or when no copy of it can be kept', (t) => {
  const folder = folderOf(t);
  const path = join(folder, 'a.db');
  const first = 'CREATE TABLE a (x INTEGER) STRICT';
  openDatabase({ path, schema: [first] }).close();
  assert.throws(() =>
    openDatabase({ path, schema: [first, 'INSERT INTO a VALUES (1); INSERT INTO nowhere VALUES (1)'] }),
  );
  const same = openDatabase({ path, schema: [first] });
  assert.equal(same.prepare('SELECT count(*) AS n FROM a').get()?.['n'], 0);
  same.close();
  rmSync(path + '.schema-1');
  mkdirSync(path + '.schema-1'); // a folder where the copy belongs
  assert.throws(
    () => openDatabase({ path, schema: [first, 'DROP TABLE a'] }),
    /Cannot bring database .*a\.db up to date: no copy of it can be written \(.*\), expected room for one; .*nothing was changed/,
  );
  const kept = openDatabase({ path, schema: [first] });
  assert.equal(kept.prepare('PRAGMA user_version').get()?.['user_version'], 1);
  kept.close();
});

test('openDatabase() says so when the file is no database', (t) => {
  const path = join(folderOf(t), 'a.db');
  writeFileSync(path, 'this is not a database, it is a text that is long enough to be read as a header');
  assert.throws(() => openDatabase({ path, schema: [] }), /Cannot open database .*a\.db: .*not a database/);
});

test('transaction() keeps nothing of work that throws, at any depth', () => {
  const db = openDatabase({ path: ':memory:', schema: ['CREATE TABLE a (x INTEGER) STRICT'] });
  assert.throws(() =>
    transaction(db, () => {
      db.exec('INSERT INTO a VALUES (1)');
      transaction(db, () => db.exec('INSERT INTO a VALUES (2)'));
      throw new Error('broken');
    }),
  );
  assert.equal(db.prepare('SELECT count(*) AS n FROM a').get()?.['n'], 0);
  db.close();
});

test('the journal gives back what was said, in order, and forgets only what it is told to', () => {
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const journal = createJournal(db);
  const points = [1, 2, 3].map((at) => createPoint('queue', at, {}, { depth: at }));
  for (const point of points) journal.add(point);
  const first = journal.read(0, 2);
  assert.deepEqual(first.points, points.slice(0, 2));
  journal.forget(first.lastId);
  assert.deepEqual(journal.read(first.lastId, 10).points, points.slice(2));
  assert.deepEqual(journal.read(0, 10).points, points.slice(2));
  db.close();
});

test('the journal never gives an id twice, even after it forgot everything', () => {
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const journal = createJournal(db);
  journal.add(createPoint('queue', 1, {}, { depth: 1 }));
  const { lastId } = journal.read(0, 10);
  journal.forget(lastId);
  journal.add(createPoint('queue', 2, {}, { depth: 2 }));
  assert.ok(journal.read(lastId, 10).lastId > lastId);
  db.close();
});

test('what is said inside a transaction that fails was never said', () => {
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const journal = createJournal(db);
  assert.throws(() =>
    transaction(db, () => {
      journal.add(createPoint('queue', 1, {}, { depth: 1 }));
      throw new Error('broken');
    }),
  );
  assert.equal(journal.read(0, 10).points.length, 0);
  db.close();
});

test('lockFolder() lets one process in and the next one after it has ended', (t) => {
  const folder = join(folderOf(t), 'state');
  const source = `import { lockFolder } from '#shared/folder-lock.ts'; try { lockFolder(process.argv[1]); console.log('in'); } catch (error) { console.log(error.message); }`;
  const other = (): string =>
    execFileSync(process.execPath, ['--input-type=module', '-e', source, folder], {
      encoding: 'utf8',
      cwd: new URL('../..', import.meta.url),
    });
  const lock = lockFolder(folder);
  assert.match(other(), /another process of mailferry uses it/);
  lock.close();
  assert.equal(other(), 'in\n');
});
