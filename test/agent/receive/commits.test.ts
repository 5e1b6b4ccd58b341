import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { createCommits } from '../../../agent/receive/commits.ts';

const pace = { most: 8, waitMs: 1 };
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
  const commits = createCommits(db, pace);
  await Promise.all([1, 2, 3].map((id) => commits.join(() => void insert.run(id))));
  assert.deepEqual(ids(db), [1, 2, 3]);
  assert.equal(begun.filter((sql) => sql.startsWith('SAVEPOINT')).length, 1);
  await commits.join(() => void insert.run(4));
  assert.deepEqual(ids(db), [1, 2, 3, 4]);
});

test('join() resolves when its work is done, not before', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const joined = createCommits(db, pace).join(() => void insert.run(1));
  await Promise.resolve();
  assert.deepEqual(ids(db), []);
  await joined;
  assert.deepEqual(ids(db), [1]);
});

test('one record that fails fails alone', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits(db, pace);
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
  const commits = createCommits(db, pace);
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

test('nothing waits longer than it must: not for more than can come, not for who is waited for', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const never = 3_600_000;
  const [one, other] = [{}, {}];
  const commits = createCommits(db, { most: 2, waitMs: never });
  await Promise.all([1, 2].map((id) => commits.join(() => void insert.run(id), one)));
  assert.equal(commits.settled(one), undefined, 'on record');
  const third = commits.join(() => void insert.run(3), one);
  assert.equal(commits.settled(other), undefined, 'a session without a record is not held back');
  await commits.settled(one);
  assert.deepEqual(ids(db), [1, 2, 3]);
  await third;
});

test('a record that fails stops its session', async () => {
  const db = open();
  const insert = db.prepare('INSERT INTO mail (id) VALUES (?)');
  const commits = createCommits(db, { most: 2, waitMs: 3_600_000 });
  const holder = {};
  await Promise.all([commits.join(() => void insert.run(1)), commits.join(() => void insert.run(2))]);
  const failed = commits.join(() => void insert.run(1), holder);
  const held = commits.settled(holder);
  await assert.rejects(failed, /UNIQUE/);
  await assert.rejects(async () => held, /UNIQUE/);
});
