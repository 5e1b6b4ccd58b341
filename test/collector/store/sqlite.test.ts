import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import type { SeriesQuery } from '../../../collector/store/store.ts';

const origin = { tenant: 'acme', agent: 'nas-1' };
const start = 1_700_000_000_000;
const never = new AbortController().signal;

function setup(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-store-'));
  const path = join(folder, 'metrics.db');
  const time = { wall: start, monotonic: 0 };
  const clock = { ...systemClock, now: () => time.wall, monotonic: () => time.monotonic };
  const open = () => openSqliteStore({ path, clock, log: createLog({ name: 'test', level: 'silent' }) });
  t.after(() => rmSync(folder, { recursive: true }));
  /** By a connection of its own. */
  const rows = (): number => {
    const db = new DatabaseSync(path, { readOnly: true });
    const count = Number(db.prepare('SELECT count(*) AS n FROM point').get()?.['n']);
    db.close();
    return count;
  };
  return { open, rows, time };
}

const depth = (at: number, value: number) => createPoint('queue', at, {}, { depth: value });
const query: SeriesQuery = {
  ...origin,
  metric: 'queue',
  field: 'depth',
  from: start,
  to: start + 60_000,
  stepMs: 10_000,
  aggregate: 'last',
};

test('writing the same points again changes nothing, over a restart', async (t) => {
  const { open, rows } = setup(t);
  const points = [depth(start, 1), depth(start + 1, 2), depth(start + 2, 3)];
  const store = open();
  await store.write([{ origin, points }], never);
  await store.write([{ origin, points: points.slice(1) }], never);
  await store.close();
  const again = open();
  await again.write([{ origin, points }], never);
  assert.equal(rows(), 3);
  assert.deepEqual(await again.query(query), [{ tags: {}, values: [[start, 3]] }]);
  await again.close();
});

const cases: readonly (readonly [
  aggregate: SeriesQuery['aggregate'],
  values: readonly (readonly [number, number])[],
])[] = [
  [
    'sum',
    [
      [start, 6],
      [start + 20_000, 9],
    ],
  ],
  [
    'last',
    [
      [start, 2],
      [start + 20_000, 9],
    ],
  ],
  [
    'max',
    [
      [start, 3],
      [start + 20_000, 9],
    ],
  ],
  [
    'mean',
    [
      [start, 2],
      [start + 20_000, 9],
    ],
  ],
];
for (const [aggregate, values] of cases) {
  test('query() gives the ' + aggregate + ' of each step that has points', async (t) => {
    const { open } = setup(t);
    const store = open();
    const inside = [depth(start, 1), depth(start + 4_000, 3), depth(start + 9_999, 2), depth(start + 20_000, 9)];
    await store.write([{ origin, points: [...inside, depth(start - 1, 50), depth(start + 60_000, 60)] }], never);
    await store.write([{ origin: { tenant: 'acme', agent: 'nas-2' }, points: [depth(start + 5, 70)] }], never);
    assert.deepEqual(await store.query({ ...query, aggregate }), [{ tags: {}, values }]);
    await store.close();
  });
}

test('query() gives one series for each combination of tags', async (t) => {
  const { open } = setup(t);
  const store = open();
  const zone = (name: string, state: number) =>
    createPoint('dnsbl', start, { target: '192.0.2.1', zone: name }, { state, reason: 'why' });
  await store.write([{ origin, points: [zone('b.test', 1), zone('a.test', 0)] }], never);
  assert.deepEqual(await store.query({ ...query, metric: 'dnsbl', field: 'state' }), [
    { tags: { target: '192.0.2.1', zone: 'a.test' }, values: [[start, 0]] },
    { tags: { target: '192.0.2.1', zone: 'b.test' }, values: [[start, 1]] },
  ]);
  await store.close();
});

test('only numbers of the catalogue make a series', async (t) => {
  const { open } = setup(t);
  const store = open();
  await store.write(
    [{ origin, points: [createPoint('account', start, { account: 'a' }, { up: 1, problem: 'none' })] }],
    never,
  );
  for (const field of ['problem', 'nothing', "x') --", 'constructor'])
    assert.deepEqual(await store.query({ ...query, metric: 'account', field }), [], field);
  assert.equal((await store.query({ ...query, metric: 'account', field: 'up' })).length, 1);
  await store.close();
});

test('points older than 400 days are removed, once a day', async (t) => {
  const { open, rows, time } = setup(t);
  const store = open();
  const day = 86_400_000;
  await store.write(
    [{ origin, points: [depth(start - 401 * day, 1), depth(start - 399 * day, 2), depth(start, 3)] }],
    never,
  );
  assert.equal(rows(), 2);
  time.wall += 2 * day;
  time.monotonic += 2 * day;
  await store.write([{ origin, points: [depth(time.wall, 4)] }], never);
  assert.equal(rows(), 2);
  await store.close();
});
