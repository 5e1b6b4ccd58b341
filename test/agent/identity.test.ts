import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openDatabase } from '#shared/sqlite.ts';
import { compareMarks, createIdentity, readMarks } from '../../agent/identity.ts';
import type { Marks } from '../../agent/identity.ts';

const meta = 'CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT';
const here: Marks = { machine: 'one', folder: '7', cards: ['00:11:32:00:00:01', '00:11:32:00:00:02'] };
const day = 86_400_000;

test('what is another machine, and what is not', () => {
  const table: readonly (readonly [string, Partial<Marks>, RegExp | undefined])[] = [
    ['the same', {}, undefined],
    ['another id', { machine: 'two' }, /another machine/],
    ['no id any more', { machine: '' }, undefined],
    ['one card replaced', { cards: ['00:11:32:00:00:02', '00:11:32:00:00:09'] }, undefined],
    ['no card in common: a cloned virtual machine', { cards: ['00:11:32:00:00:09'] }, /another machine/],
    ['no card with an address of its own', { cards: [] }, undefined],
    ['another folder', { folder: '8' }, /copied, moved or restored/],
  ];
  for (const [name, change, expected] of table) {
    const found = compareMarks(here, { ...here, ...change });
    if (expected === undefined) assert.equal(found, undefined, name);
    else assert.match(found ?? '', expected, name);
  }
});

test('a state that was copied is held until a person adopts it', () => {
  const db = openDatabase({ path: ':memory:', schema: [meta] });
  const open = (marks: Marks) => createIdentity({ db, marks, now: () => day * 100, queued: () => 0 });
  assert.equal(open(here).hold(), undefined);
  const copy = open({ ...here, machine: 'two' });
  assert.match(copy.hold() ?? '', /another machine/);
  assert.match(open({ ...here, machine: 'two' }).hold() ?? '', /another machine/, 'a restart is no answer');
  copy.adopt();
  assert.equal(copy.hold(), undefined);
  assert.match(open(here).hold() ?? '', /another machine/, 'now it belongs there');
});

test('a state that was long away is held when it has mail to send', () => {
  const db = openDatabase({ path: ':memory:', schema: [meta] });
  let [now, queued] = [day * 100, 0];
  const open = () => createIdentity({ db, marks: here, now: () => now, queued: () => queued });
  open();
  now += day * 3;
  queued = 2;
  assert.equal(open().hold(), undefined);
  now += day;
  assert.match(open().hold() ?? '', /4 days ago and has 2 mails to send/);
  queued = 0;
  const empty = open();
  assert.equal(empty.hold(), undefined);
  empty.alive();
  queued = 2;
  assert.equal(open().hold(), undefined);
});

test('being alive is written once a day', () => {
  const db = openDatabase({ path: ':memory:', schema: [meta] });
  let now = day * 100;
  const identity = createIdentity({ db, marks: here, now: () => now, queued: () => 0 });
  const changes = () => Number(db.prepare('SELECT total_changes() AS n').get()?.['n']);
  const before = changes();
  for (let n = 0; n < 48; n += 1) {
    identity.alive();
    now += day / 24;
  }
  assert.equal(changes() - before, 1);
});

test('the marks of a folder change with the folder', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'mailferry-identity-'));
  t.after(() => rmSync(root, { recursive: true }));
  const [a, b] = [mkdtempSync(join(root, 'a')), mkdtempSync(join(root, 'b'))];
  assert.deepEqual(readMarks(a), readMarks(a));
  assert.match(compareMarks(readMarks(a), readMarks(b)) ?? '', /copied/);
});
