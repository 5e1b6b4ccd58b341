import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openInfluxStore } from '../../../collector/store/influxdb.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import type { SeriesQuery } from '../../../collector/store/store.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';

const origin = { tenant: 'acme', agent: 'nas-1' };
const log = createLog({ name: 'test', level: 'silent' });
const never = new AbortController().signal;
const start = Math.floor(Date.now() / 60_000) * 60_000 - 600_000;

const open = (port: number) =>
  openInfluxStore({
    config: { kind: 'influxdb', protocol: 'http', host: '127.0.0.1', port, database: 'mail-1' },
    clock: systemClock,
    log,
  });

async function setup(t: TestContext) {
  const influxdb = await createLab(t).influxdb();
  const store = open(influxdb.port);
  const rows = async (statement: string): Promise<readonly (readonly unknown[])[]> => {
    const answer = (await influxdb.query('mail-1', statement)) as readonly {
      readonly series?: readonly { readonly values: readonly (readonly unknown[])[] }[];
    }[]; // InfluxDB 1.x
    return answer[0]?.series?.[0]?.values ?? [];
  };
  return { influxdb, store, rows };
}

const depth = (at: number, value: number): Point => createPoint('queue', at, {}, { depth: value });
const account = (at: number, name: string, problem = ''): Point =>
  createPoint('account', at, { account: name }, { up: 1, problem });

test('a new server needs no preparation, and writing again changes nothing', async (t) => {
  const { influxdb, store, rows } = await setup(t);
  await waitFor('the database', async () =>
    JSON.stringify(await influxdb.query('', 'SHOW DATABASES')).includes('mail-1'),
  );
  const points = [depth(start, 1), depth(start + 1, 2.5), depth(start + 2, 3)];
  for (let n = 0; n < 3; n += 1) assert.deepEqual(await store.write([{ origin, points }], never), { refused: 0 });
  assert.deepEqual(await rows('SELECT "depth" FROM "queue"'), [
    [start, 1],
    [start + 1, 2.5],
    [start + 2, 3],
  ]);
});

test('hostile words in tags and texts stay words', async (t) => {
  const { influxdb, store, rows } = await setup(t);
  const words = [
    "it's",
    'a b',
    'a,b=c',
    'a\\,b',
    'a\\ b',
    'a\\=b',
    '"quoted"',
    'back\\slash',
    'ä ☃ 邮件',
    '{json: "x"}',
    "'; DROP DATABASE",
    '#no comment',
    '$1',
  ];
  const points = words.map((word, n) => account(start + n, word, 'why: ' + word));
  assert.deepEqual(await store.write([{ origin, points }], never), { refused: 0 });
  const stored = await rows('SELECT "account", "problem" FROM "account"');
  assert.deepEqual(
    stored.map(([, word]) => word),
    words,
  );
  assert.equal(stored.length, words.length);
  const measurements = JSON.stringify(await influxdb.query('mail-1', 'SHOW MEASUREMENTS'));
  assert.ok(measurements.includes('[["account"]]'), measurements);
  const series = await store.query({ ...query, metric: 'account', field: 'up', aggregate: 'sum' });
  assert.deepEqual(new Set(series.map(({ tags }) => tags['account'])), new Set(words));
  assert.equal(series.length, words.length);
});

test('what the database refuses is counted, what stands beside it is stored', async (t) => {
  const { store, rows } = await setup(t);
  await store.write([{ origin, points: [depth(start, 1)] }], never);
  const bad: readonly Point[] = [
    { name: 'queue', at: start + 1, tags: {}, fields: { depth: 'a text where a number was' } },
    { name: 'queue', at: 8_000_000_000_000_000, tags: {}, fields: { depth: 2 } },
    { name: 'queue', at: start + 2, tags: {}, fields: { depth: Number.NaN } },
    { name: 'queue', at: start + 3, tags: {}, fields: {} },
  ];
  const good = Array.from({ length: 40 }, (_, n) => depth(start + 10 + n, n));
  const mixed = bad.flatMap((point, n) => [...good.slice(n * 10, n * 10 + 10), point]);
  assert.deepEqual(await store.write([{ origin, points: mixed }], never), { refused: bad.length });
  assert.equal((await rows('SELECT "depth" FROM "queue"')).length, 41);
  assert.equal(store.problem(), undefined);
});

test('a point without a time does not take the time of the server', async (t) => {
  const { store, rows } = await setup(t);
  for (let n = 0; n < 2; n += 1) await store.write([{ origin, points: [depth(0, 1)] }], never);
  assert.deepEqual(await rows('SELECT "depth" FROM "queue"'), [[1, 1]]);
});

test('points older than the database keeps are counted at once', async (t) => {
  const { influxdb, store, rows } = await setup(t);
  await store.write([{ origin, points: [depth(start, 1)] }], never);
  await influxdb.query('mail-1', 'ALTER RETENTION POLICY "autogen" ON "mail-1" DURATION 2d SHARD DURATION 1h');
  const old = Array.from({ length: 100 }, (_, n) => depth(start - 10 * 86_400_000 + n, n));
  assert.deepEqual(await store.write([{ origin, points: [...old, depth(start + 1, 2)] }], never), { refused: 100 });
  assert.equal((await rows('SELECT "depth" FROM "queue"')).length, 2);
});

test('a server that is away throws, names itself and the option, and takes the very next write when it is back', async (t) => {
  const { influxdb, store, rows } = await setup(t);
  await store.write([{ origin, points: [depth(start, 1)] }], never);
  await influxdb.stop();
  await assert.rejects(store.write([{ origin, points: [depth(start + 1, 2)] }], never), {
    message: new RegExp(
      '^Cannot write to http://127.0.0.1:' + influxdb.port + ', database mail-1: .*ECONNREFUSED.*option store',
    ),
  });
  assert.match(store.problem() ?? '', /ECONNREFUSED/);
  await influxdb.start();
  assert.deepEqual(await store.write([{ origin, points: [depth(start + 1, 2)] }], never), { refused: 0 });
  assert.equal(store.problem(), undefined);
  assert.equal((await rows('SELECT "depth" FROM "queue"')).length, 2);
});

test('one answer 500 does not make the next writes fail, and keeps the points', async (t) => {
  let status = 500;
  const port = await startHttp(t, () => ({ status, headers: { 'x-influxdb-version': '1.6.7' }, body: '' }));
  const store = open(port);
  await assert.rejects(store.write([{ origin, points: [depth(start, 1)] }], never));
  status = 204;
  assert.deepEqual(await store.write([{ origin, points: [depth(start, 1)] }], never), { refused: 0 });
});

test('a 400 from something that is not InfluxDB throws no points away', async (t) => {
  const port = await startHttp(t, () => ({
    status: 400,
    headers: {},
    body: 'Client sent an HTTP request to an HTTPS server.',
  }));
  await assert.rejects(open(port).write([{ origin, points: [depth(start, 1)] }], never), /HTTPS server/);
});

test('a wrong password throws', async (t) => {
  const body = '{"error":"authorization failed"}';
  const port = await startHttp(t, () => ({ status: 401, headers: { 'x-influxdb-version': '1.6.7' }, body }));
  await assert.rejects(
    open(port).write([{ origin, points: [depth(start, 1)] }], never),
    /authorization failed.*option store/,
  );
});

async function startHttp(
  t: TestContext,
  answer: () => { readonly status: number; readonly headers: Record<string, string>; readonly body: string },
): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    const { status, headers, body } = answer();
    response.writeHead(status, headers).end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port; // a TCP server
}

const query: SeriesQuery = {
  ...origin,
  metric: 'queue',
  field: 'depth',
  from: start,
  to: start + 60_000,
  stepMs: 7_000,
  aggregate: 'last',
};

test('both stores give the same answer to the same question', async (t) => {
  const { store } = await setup(t);
  const sqlite = openSqliteStore({ path: ':memory:', clock: systemClock, log });
  t.after(() => sqlite.close());
  const points = [
    ...Array.from({ length: 50 }, (_, n) => depth(start - 5_000 + n * 1_700, (n * 7) % 11)),
    ...['b', 'a'].flatMap((name) => [account(start + 100, name), account(start + 30_000, name)]),
  ];
  for (const one of [store, sqlite]) {
    await one.write([{ origin, points }], never);
    await one.write([{ origin: { tenant: 'acme', agent: 'nas-2' }, points: [depth(start + 50, 99)] }], never);
  }
  for (const aggregate of ['sum', 'last', 'max', 'mean'] as const) {
    for (const question of [query, { ...query, metric: 'account' as const, field: 'up' }]) {
      const asked = { ...question, aggregate };
      assert.deepEqual(sorted(await store.query(asked)), sorted(await sqlite.query(asked)), aggregate);
    }
  }
  assert.ok((await store.query(query))[0]?.values.length);
  for (const strange of [
    { field: 'nothing' },
    { field: 'depth") FROM x --' },
    { tenant: "x' OR 1=1 --" },
    { agent: "\\'\\'" },
  ])
    assert.deepEqual(await store.query({ ...query, ...strange }), []);
});

function sorted<T extends { readonly tags: Readonly<Record<string, string>> }>(series: readonly T[]): readonly T[] {
  return series.toSorted((a, b) => (JSON.stringify(a.tags) < JSON.stringify(b.tags) ? -1 : 1));
}
