import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { createCommits } from '../../../../agent/receive/ledger/commits.ts';

const schema = ['CREATE TABLE mail (id INTEGER PRIMARY KEY) STRICT'];

function open(): Database {
  return openDatabase({ path: ':memory:', schema });
}

function ids(db: Database): readonly number[] {
  return db
    .prepare('SELECT id FROM mail ORDER BY id')
    .all()
    .map((row) => Number(row['id']));
}

test('what joins in one turn is written in one transaction', async () => {
  const db = open();
  const begun: string[] = [];
  const exec = db.exec.bind(db);
  db.exec = (sql: string) => {
    begun.push(sql);
    exec(sql);
  };
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits({ db, most: 8, waitMs: 1 });
  await Promise.all([1, 2, 3].map((id) => commits.join(() => void insert.run(id))));
  assert.deepEqual(ids(db), [1, 2, 3]);
  assert.equal(begun.filter((sql) => sql.startsWith('SAVEPOINT')).length, 1);
  await commits.join(() => void insert.run(4));
  assert.deepEqual(ids(db), [1, 2, 3, 4]);
});

test('join() resolves when its work is done, not before', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const joined = createCommits({ db, most: 8, waitMs: 1 }).join(() => void insert.run(1));
  await Promise.resolve();
  assert.deepEqual(ids(db), []);
  await joined;
  assert.deepEqual(ids(db), [1]);
});

test('one record that fails fails alone', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits({ db, most: 8, waitMs: 1 });
  const results = await Promise.allSettled([1, 1, 2].map((id) => commits.join(() => void insert.run(id))));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  );
  assert.deepEqual(ids(db), [1, 2]);
});

test('when the commit itself fails, everybody learns it and nothing is done', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits({ db, most: 8, waitMs: 1 });
  const exec = db.exec.bind(db);
  db.exec = (sql: string) => {
    if (sql.startsWith('RELEASE')) throw new Error('disk full');
    exec(sql);
  };
  const results = await Promise.allSettled([1, 2].map((id) => commits.join(() => void insert.run(id))));
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
  db.exec = exec;
  assert.deepEqual(ids(db), []);
});

test('a session is held back until its record is on disk, and no other one', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const [one, other] = [{}, {}];
  const disk = Promise.withResolvers<void>();
  const commits = createCommits({ db, most: 8, waitMs: 3_600_000, sync: () => disk.promise });
  const joined = commits.join(() => void insert.run(1), one);
  let held = true;
  const waiting = commits.settled(one)?.then(() => (held = false));
  assert.equal(commits.settled(other), undefined);
  await new Promise((resolve) => setTimeout(resolve, 20)); // written by now, but not on disk
  assert.deepEqual([ids(db), held], [[1], true]);
  disk.resolve();
  await waiting;
  await joined;
  assert.equal(commits.settled(one), undefined, 'on record');
  await commits.close();
});

test('a commit begins when all that can come has come', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits({ db, most: 2, waitMs: 3_600_000 });
  const first = commits.join(() => void insert.run(1));
  await new Promise((resolve) => setTimeout(resolve, 20)); // time in which it could begin
  assert.deepEqual(ids(db), []);
  await Promise.all([first, commits.join(() => void insert.run(2))]);
  assert.deepEqual(ids(db), [1, 2]);
});

test('a record that fails stops its session', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits({ db, most: 8, waitMs: 1 });
  const holder = {};
  await Promise.all([commits.join(() => void insert.run(1)), commits.join(() => void insert.run(2))]);
  const failed = commits.join(() => void insert.run(1), holder);
  const held = commits.settled(holder);
  await assert.rejects(failed, /UNIQUE/);
  await assert.rejects(async () => held, /UNIQUE/);
});
