// Changes of the index go to the disk together: nobody is told that his is there before it is.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { setImmediate as turnOfLoop } from 'node:timers/promises';
import { createDurableCommit, NotDurable } from '#shared/durable-commit.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';

const schema = ['CREATE TABLE note (text TEXT PRIMARY KEY) STRICT'];

/** An index whose disk answers when the test says so. */
function start() {
  const db = openDatabase({ path: ':memory:', schema });
  const insert = db.prepare('INSERT INTO note (text) VALUES (?)');
  const syncs: PromiseWithResolvers<void>[] = [];
  const index = createDurableCommit({
    db,
    sync() {
      const asked = Promise.withResolvers<void>();
      syncs.push(asked);
      return asked.promise;
    },
  });
  const turn = async (): Promise<void> => {
    for (let n = 0; n < 5; n += 1) await turnOfLoop();
  };
  const notes = (): readonly string[] =>
    db
      .prepare('SELECT text FROM note ORDER BY text')
      .all()
      .map((row) => String(row['text']));
  return { db, index, insert, notes, syncs, turn };
}

test('nobody is answered before the disk has what was written, and later work waits for the next time', async () => {
  const { index, insert, notes, syncs, turn } = start();
  const told: string[] = [];
  const say = (text: string): Promise<number> => index.run(() => insert.run(text)).then(() => told.push(text));
  const first = Promise.all([say('a'), say('b')]);
  await turn();
  assert.equal(syncs.length, 1, 'two changes of one turn are one commit');
  const second = say('c');
  await turn();
  assert.deepEqual([told, notes()], [[], ['a', 'b']], 'written, but told to nobody');
  syncs[0]?.resolve();
  await first;
  await turn();
  assert.deepEqual([told, syncs.length], [['a', 'b'], 2]);
  syncs[1]?.resolve();
  await second;
  assert.deepEqual(notes(), ['a', 'b', 'c']);
});

test('what need not be on disk yet waits for no disk, and takes along what waits', async () => {
  const { index, insert, notes, syncs, turn } = start();
  const told: string[] = [];
  const durable = (text: string) => index.run(() => insert.run(text)).then(() => told.push(text));
  const first = durable('a');
  await turn();
  const second = durable('b');
  await index.write(() => insert.run('c'));
  assert.deepEqual([told, notes(), syncs.length], [[], ['a', 'b', 'c'], 1]);
  syncs[0]?.resolve();
  await first;
  await turn();
  assert.deepEqual([told, syncs.length], [['a'], 2], 'b was written after the first sync had begun');
  syncs[1]?.resolve();
  await second;
});

test('what is written is on disk with the next sync that begins after it, whoever asks for that', async () => {
  const { index, insert, syncs, turn } = start();
  let settled = false;
  await index.write(() => insert.run('a'));
  const waiting = index.settled().then(() => (settled = true));
  const other = index.run(() => insert.run('b'));
  await turn();
  const late = index.settled();
  assert.deepEqual([settled, syncs.length], [false, 1]);
  syncs[0]?.resolve();
  await Promise.all([other, waiting]);
  await turn();
  assert.equal(syncs.length, 1);
  // Nobody comes: after a short while it asks the disk itself, and again when that fails.
  await waitFor('a sync', () => syncs.length === 2);
  syncs[1]?.reject(new Error('EIO'));
  await waitFor('one more sync', () => syncs.length === 3);
  syncs[2]?.resolve();
  await late;
});

test('flush() leaves nothing unsettled', async () => {
  const { index, insert, syncs, turn } = start();
  const done: string[] = [];
  void index.write(() => insert.run('a')).then(() => done.push('written'));
  void index.settled().then(() => done.push('settled'));
  void index.run(() => insert.run('b')).then(() => done.push('run'));
  const flushed = index.flush();
  await turn();
  for (const sync of syncs) sync.resolve();
  await flushed;
  await turn();
  assert.deepEqual(done.toSorted(), ['run', 'settled', 'written']);
});

test('work that throws is undone alone; the others of its commit are done', async () => {
  const { index, insert, notes, syncs, turn } = start();
  const good = index.run(() => {
    insert.run('good');
    return 'done';
  });
  const bad = index.run(() => {
    insert.run('half');
    throw new Error('planted');
  });
  const refused = assert.rejects(bad, /planted/);
  await turn();
  for (const sync of syncs) sync.resolve();
  await refused;
  assert.equal(await good, 'done');
  assert.deepEqual(notes(), ['good']);
});

test('a disk that fails at the end is told to each of the commit, and the next commit is tried all the same', async () => {
  const { index, insert, syncs, turn } = start();
  const failed = assert.rejects(
    index.run(() => insert.run('a')),
    NotDurable,
  );
  await turn();
  syncs[0]?.reject(new Error('EIO'));
  await failed;
  const next = index.run(() => insert.run('b'));
  await turn();
  syncs[1]?.resolve();
  await next;
});

test('the database is left as strict as it was, and commits of others stay durable by themselves', async (t) => {
  const path = join(createLab(t).dir, 'note.db');
  const db = openDatabase({ path, schema });
  const index = createDurableCommit({ db });
  const strictness = (): unknown => db.prepare('PRAGMA synchronous').get()?.['synchronous'];
  assert.equal(strictness(), 2);
  await index.run(() => db.exec("INSERT INTO note VALUES ('a')"));
  assert.equal(strictness(), 2);
  await assert.rejects(index.run(() => db.exec('no such statement')));
  assert.equal(strictness(), 2);
  await index.flush();
  await index.close();
  db.close();
});
