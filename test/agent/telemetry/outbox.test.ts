import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import type { Journal } from '#shared/journal.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { decodeBatch, maxMessageBytes } from '#shared/wire.ts';
import { openOutbox } from '../../../agent/telemetry/outbox.ts';
import type { Outbox } from '../../../agent/telemetry/outbox.ts';

const start = 1_700_000_000_000;

function setup(t: TestContext, options: { readonly maxBytes?: number; readonly clock?: Clock } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-outbox-'));
  const db = openDatabase({ path: join(folder, 'agent.db'), schema: [journalSchema] });
  const journal = createJournal(db);
  const opened: Outbox[] = [];
  t.after(() => {
    for (const outbox of opened) outbox.close();
    db.close();
    rmSync(folder, { recursive: true });
  });
  const open = (over: Partial<Journal> = {}, onDamaged: () => void = () => {}): Outbox => {
    const outbox = openOutbox({
      folder,
      journal: { ...journal, ...over },
      maxBytes: options.maxBytes ?? 1e9,
      clock: options.clock ?? systemClock,
      onDamaged,
    });
    opened.push(outbox);
    return outbox;
  };
  return { folder, journal, open };
}

const depth = (at: number, value = 1): Point => createPoint('queue', at, {}, { depth: value });
const pointsOf = (outbox: Outbox): readonly Point[] =>
  outbox.read(0, 1_000).flatMap(({ payload }) => {
    const decoded = decodeBatch(Buffer.from(payload));
    assert.ok(decoded.ok);
    assert.equal(decoded.dropped, 0);
    return decoded.value.points;
  });

test('commit() keeps points in order, over a restart', (t) => {
  const { open } = setup(t);
  const outbox = open();
  outbox.commit([depth(start, 1), depth(start + 1, 2)]);
  outbox.close();
  const again = open();
  assert.equal(again.id(), outbox.id());
  assert.deepEqual(pointsOf(again), [depth(start, 1), depth(start + 1, 2)]);
});

test('numbers go on after everything was acknowledged, over a restart', (t) => {
  const { open } = setup(t);
  const outbox = open();
  outbox.commit([depth(start)]);
  outbox.commit([depth(start + 1)]);
  outbox.acknowledge(2);
  outbox.close();
  const again = open();
  again.commit([depth(start + 2)]);
  assert.deepEqual(
    again.read(0, 10).map(({ seq }) => seq),
    [3],
  );
});

test('acknowledge() forgets only up to the number', (t) => {
  const { open } = setup(t);
  const outbox = open();
  for (let n = 0; n < 4; n += 1) outbox.commit([depth(start + n)]);
  outbox.acknowledge(2);
  assert.deepEqual(
    outbox.read(0, 10).map(({ seq }) => seq),
    [3, 4],
  );
  const decoded = decodeBatch(Buffer.from(outbox.read(3, 1)[0]?.payload ?? ''));
  assert.ok(decoded.ok);
  assert.deepEqual({ seq: decoded.value.seq, oldest: decoded.value.oldest }, { seq: 4, oldest: 3 });
});

test('commit() takes the journal once, though the agent dies before the journal forgot', (t) => {
  const { journal, open } = setup(t);
  journal.add(depth(start, 7));
  const outbox = open({
    forget: () => {
      throw new Error('killed');
    },
  });
  assert.throws(() => outbox.commit([]), /killed/);
  outbox.close();
  const again = open();
  again.commit([]);
  assert.deepEqual(pointsOf(again), [depth(start, 7)]);
  journal.add(depth(start + 1, 8));
  again.commit([]);
  assert.deepEqual(pointsOf(again), [depth(start, 7), depth(start + 1, 8)]);
  assert.equal(journal.read(0, 10).points.length, 0);
});

test('commit() takes a long journal whole', (t) => {
  const { journal, open } = setup(t);
  for (let n = 0; n < 1_203; n += 1) journal.add(depth(start + n, n));
  const outbox = open();
  outbox.commit([]);
  assert.deepEqual(
    pointsOf(outbox).map(({ fields }) => fields['depth']),
    Array.from({ length: 1_203 }, (_, n) => n),
  );
});

test('two points of one series never share a time, over a restart', (t) => {
  const { open } = setup(t);
  const outbox = open();
  outbox.commit([depth(start), depth(start), depth(start)]);
  outbox.close();
  const again = open();
  again.commit([depth(start), depth(start + 2)]);
  const times = pointsOf(again).map(({ at }) => at);
  assert.deepEqual(
    times,
    [0, 1, 2, 3, 4].map((n) => start + n),
  );
});

test('points of different series may share a time', (t) => {
  const { open } = setup(t);
  const outbox = open();
  const points = ['a', 'b'].map((account) => createPoint('account', start, { account }, { up: 1 }));
  outbox.commit(points);
  assert.deepEqual(pointsOf(outbox), points);
});

test('a clock that was years ahead does not date what comes after it was set right', (t) => {
  const { open } = setup(t);
  const outbox = open();
  outbox.commit([depth(start + 10 * 365 * 86_400_000), depth(start)]);
  assert.equal(pointsOf(outbox)[1]?.at, start);
});

test('no batch is larger than a message', (t) => {
  const { open } = setup(t);
  const outbox = open();
  const reason = 'ä'.repeat(100);
  const points = Array.from({ length: 2_000 }, (_, n) =>
    createPoint('dnsbl', start, { target: '192.0.2.' + n, zone: reason }, { state: 1, reason }),
  );
  outbox.commit(points);
  const batches = outbox.read(0, 1_000);
  assert.ok(batches.length > 1);
  for (const { payload } of batches)
    assert.ok(Buffer.byteLength(payload) <= maxMessageBytes, String(Buffer.byteLength(payload)));
  assert.equal(pointsOf(outbox).length, points.length);
});

test('above its limit the outbox drops the oldest and counts them', (t) => {
  const { open } = setup(t, { maxBytes: 2_000 });
  const outbox = open();
  for (let n = 0; n < 100; n += 1) outbox.commit([depth(start + n, n)]);
  const kept = pointsOf(outbox).map(({ fields }) => Number(fields['depth']));
  assert.equal(kept.at(-1), 99);
  assert.equal(kept.length, 100 - (kept[0] ?? 0));
  const health = outbox.health();
  assert.ok(health.bytes <= 2_000);
  assert.equal(health.dropped, kept[0]);
  assert.ok(health.dropped > 0);
});

test('health() tells the age of the oldest batch', (t) => {
  let now = start;
  const { open } = setup(t, { clock: { ...systemClock, now: () => now } });
  const outbox = open();
  outbox.commit([depth(start)]);
  now += 61_000;
  assert.deepEqual({ ...outbox.health(), bytes: 0 }, { batches: 1, bytes: 0, oldestSeconds: 61, dropped: 0 });
});

test('an acknowledgement of a number that was never given forgets nothing: the database was put back from a backup', (t) => {
  const { open } = setup(t);
  const outbox = open();
  const before = outbox.id();
  for (let n = 0; n < 3; n += 1) outbox.commit([depth(start + n, n)]);
  assert.equal(outbox.acknowledge(3), 'forgotten');
  outbox.commit([depth(start + 3, 3)]);
  assert.equal(outbox.acknowledge(500), 'renewed');
  assert.notEqual(outbox.id(), before);
  assert.deepEqual(pointsOf(outbox), [depth(start + 3, 3)]);
  outbox.close();
  assert.equal(open().id(), outbox.id());
});

test('a journal that begins anew under an old outbox is read from its start', (t) => {
  const { journal, open } = setup(t);
  for (let n = 0; n < 5; n += 1) journal.add(depth(start + n, n));
  const outbox = open();
  outbox.commit([]);
  outbox.close();
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  t.after(() => db.close());
  const fresh = createJournal(db);
  fresh.add(depth(start + 9, 9));
  const again = open(fresh);
  again.commit([]);
  assert.deepEqual(
    pointsOf(again).map(({ fields }) => fields['depth']),
    [0, 1, 2, 3, 4, 9],
  );
});

test('a damaged file is set aside and a new life begins', (t) => {
  const { folder, open } = setup(t);
  open().close();
  writeFileSync(join(folder, 'outbox.db'), 'no database '.repeat(1_000));
  let told = 0;
  const outbox = open({}, () => void (told += 1));
  outbox.commit([depth(start)]);
  assert.equal(told, 1);
  assert.equal(pointsOf(outbox).length, 1);
  assert.match(readFileSync(join(folder, 'outbox.db.damaged'), 'utf8'), /no database/);
});

test('a commit that fails changes neither the points nor their count', (t) => {
  const { open } = setup(t);
  const outbox = open();
  outbox.commit([depth(start)]);
  const before = outbox.health();
  const bad = Object.defineProperty(depth(start + 2), 'fields', {
    get: () => {
      throw new Error('unreadable');
    },
  });
  assert.throws(() => outbox.commit([depth(start + 1), bad]), /unreadable/);
  assert.deepEqual(outbox.health(), before);
  outbox.commit([depth(start + 1)]);
  assert.deepEqual(pointsOf(outbox), [depth(start), depth(start + 1)]);
});

test('a drop that fails on the disk leaves points and their count as they were', (t) => {
  const { folder, open } = setup(t, { maxBytes: 1_000 });
  const outbox = open();
  for (let n = 0; n < 5; n += 1) outbox.commit([depth(start + n, n)]);
  const before = outbox.health();
  const kept = pointsOf(outbox);
  const other = new DatabaseSync(join(folder, 'outbox.db'));
  t.after(() => other.close());
  other.exec(
    "CREATE TRIGGER full BEFORE INSERT ON meta WHEN NEW.key = 'dropped' BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
  );
  const many = Array.from({ length: 30 }, (_, n) => depth(start + 100 + n, n));
  assert.throws(() => outbox.commit(many), /disk is full/);
  assert.deepEqual(outbox.health(), before);
  assert.deepEqual(pointsOf(outbox), kept);
  other.exec('DROP TRIGGER full');
  outbox.commit([depth(start + 200, 7)]);
  assert.equal(outbox.health().batches, before.batches + 1);
});

test('health() counts the same as the file after drops, acknowledgements and restarts', (t) => {
  const { open } = setup(t, { maxBytes: 3_000 });
  const outbox = open();
  for (let n = 0; n < 60; n += 1) outbox.commit([depth(start + n, n)]);
  outbox.acknowledge((outbox.read(0, 1)[0]?.seq ?? 0) + 4);
  const counted = outbox.health();
  outbox.close();
  const again = open().health();
  assert.deepEqual({ batches: again.batches, bytes: again.bytes }, { batches: counted.batches, bytes: counted.bytes });
  assert.ok(counted.batches > 0);
});
