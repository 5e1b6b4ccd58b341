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
import { unpack } from '../../../agent/telemetry/outbox-file.ts';
import type { Outbox } from '../../../agent/telemetry/outbox.ts';

const start = 1_700_000_000_000;

function setup(
  t: TestContext,
  options: { readonly maxBytes?: number; readonly maxDays?: number; readonly clock?: Clock } = {},
) {
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
      ...(options.maxDays === undefined ? {} : { maxDays: options.maxDays }),
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
  const { batches, oldestSeconds, dropped } = outbox.health();
  assert.deepEqual({ batches, oldestSeconds, dropped }, { batches: 1, oldestSeconds: 61, dropped: 0 });
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
  const many = Array.from({ length: 600 }, (_, n) => depth(start + 100 + n, (n * 7_919) % 10_007));
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

const dayMs = 86_400_000;

test('what has waited for longer than maxDays while the agent ran is dropped and counted; a clock that jumps drops nothing', (t) => {
  let [now, monotonic] = [start, 1_000];
  const clock = { ...systemClock, now: () => now, monotonic: () => monotonic };
  const { open } = setup(t, { maxDays: 2, clock });
  const outbox = open();
  outbox.commit([depth(start, 1)]);
  now += 400 * dayMs; // a clock that was set to another year
  outbox.commit([depth(now, 2)]);
  assert.equal(pointsOf(outbox).length, 2);
  monotonic += 1.5 * dayMs;
  outbox.commit([depth(now + 1, 3)]);
  outbox.close();
  monotonic = 0; // another process, after a month in which none ran
  now += 30 * dayMs;
  const again = open();
  again.commit([depth(now, 4)]);
  assert.equal(again.health().dropped, 0);
  monotonic += 0.6 * dayMs;
  again.commit([depth(now + 1, 5)]);
  assert.deepEqual(
    pointsOf(again).map(({ fields }) => fields['depth']),
    [3, 4, 5],
  );
  assert.equal(again.health().dropped, 2);
});

test('how long nobody has acknowledged is counted while the agent runs, over restarts', (t) => {
  let monotonic = 0;
  const { open } = setup(t, { clock: { ...systemClock, monotonic: () => monotonic } });
  const outbox = open();
  monotonic = 3_600_000;
  outbox.commit([depth(start)]);
  assert.equal(outbox.health().unheardSeconds, 3_600);
  outbox.close();
  monotonic = 50;
  const again = open();
  monotonic += 60_000;
  assert.equal(again.health().unheardSeconds, 3_660);
  again.acknowledge(1);
  assert.equal(again.health().unheardSeconds, 0);
  monotonic += 5_000;
  again.commit([depth(start + 1)]);
  again.close();
  monotonic = 0;
  assert.equal(open().health().unheardSeconds, 5);
});

test('a batch at which the connection breaks comes again in halves, down to the point that is set aside', (t) => {
  const { folder, open } = setup(t);
  const outbox = open();
  outbox.commit(Array.from({ length: 5 }, (_, n) => depth(start + n, n)));
  outbox.commit([depth(start + 10, 10)]);
  assert.equal(outbox.breakUp(1, true), 'halved');
  const seqs = (): readonly number[] => outbox.read(0, 10).map(({ seq }) => seq);
  assert.deepEqual(seqs(), [2, 3, 4]);
  assert.equal(outbox.breakUp(3, true), 'halved'); // 0, 1 | 2
  assert.equal(outbox.breakUp(6, false), 'kept'); // 2: nobody has closed the connection
  assert.equal(outbox.breakUp(7, true), 'aside');
  assert.equal(outbox.breakUp(7, true), 'kept', 'it is gone');
  assert.deepEqual(
    pointsOf(outbox).map(({ fields }) => fields['depth']),
    [10, 3, 4, 0, 1],
  );
  const { aside, batches, bytes } = outbox.health();
  assert.deepEqual({ aside, batches }, { aside: 1, batches: 3 });
  const file = new DatabaseSync(join(folder, 'outbox.db'), { readOnly: true });
  t.after(() => file.close());
  assert.deepEqual(unpack(file.prepare('SELECT points FROM aside').get()?.['points']), [depth(start + 2, 2)]);
  assert.equal(Number(file.prepare('SELECT sum(bytes) AS bytes FROM batch').get()?.['bytes']), bytes);
});

test('at default rates the standard size holds 7 days, though ten mailboxes, three relays and forty lists are watched', (t) => {
  const { open } = setup(t);
  const outbox = open();
  const [flushSeconds, days, standardBytes] = [5, 7, 268_435_456];
  const hours = 0.5;
  for (let n = 0; n < (hours * 3_600) / flushSeconds; n += 1)
    outbox.commit(gaugesOf(start + n * flushSeconds * 1_000, n));
  const perDay = (outbox.health().bytes / hours) * 24;
  t.diagnostic(Math.round(perDay / 1_048_576) + ' MiB a day, ' + (standardBytes / perDay).toFixed(1) + ' days');
  assert.ok(perDay * days < standardBytes * 0.8, String(perDay));
});

/** What a large site says at one flush. */
function gaugesOf(at: number, n: number): readonly Point[] {
  const some = (factor: number): number => (n * factor) % 97;
  const points = [
    createPoint(
      'agent',
      at,
      {},
      {
        uptime_seconds: n * 5,
        rss_bytes: 70_000_000 + n * 4_096,
        outbox_batches: n,
        outbox_bytes: n * 700,
        outbox_oldest_seconds: n * 5,
        outbox_dropped: 0,
        outbox_aside: 0,
      },
    ),
    createPoint('queue', at, {}, { depth: some(3), oldest_seconds: n * 5, held: 0, unknown: 0 }),
    createPoint('quarantine', at, {}, { count: 3, bytes: 123_456, oldest_seconds: n * 5 }),
  ];
  for (const relay of ['provider', 'second', 'third']) {
    points.push(
      createPoint(
        'relay',
        at,
        { relay },
        {
          up: 1,
          problem: '',
          sessions: 2,
          stood_in: 0,
          budget_mails: some(7),
          budget_recipients: some(5),
          budget_left: some(5),
        },
      ),
    );
    for (const state of ['queued', 'unknown', 'held'])
      points.push(
        createPoint(
          'queue_state',
          at,
          { relay, state },
          { mails: some(11), bytes: some(13) * 1_000, oldest_seconds: n * 5 },
        ),
      );
  }
  // A round a minute, a look at the lists each half hour.
  if (n % 12 === 0)
    for (let account = 0; account < 10; account += 1)
      points.push(
        createPoint(
          'account',
          at,
          { account: 'mailbox-' + account },
          {
            up: 1,
            backlog: 0,
            kept: some(17),
            round_seconds: some(19) / 100,
            problem: '',
            trouble: '',
            error: 'none',
            connect_seconds: some(3) / 1_000,
            tls_seconds: some(7) / 1_000,
            login_seconds: some(9) / 1_000,
            list_seconds: some(11) / 1_000,
            mailbox_mails: some(17),
            mailbox_bytes: some(17) * 45_678,
          },
        ),
      );
  if (n % 360 === 0)
    for (let zone = 0; zone < 40; zone += 1)
      points.push(
        createPoint('dnsbl', at, { target: '192.0.2.10', zone: 'list-' + zone + '.example' }, { state: 0, reason: '' }),
      );
  return points;
}
