import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import { buildWeb } from '../../../collector/web/web.ts';
import { securityHeaders } from '../../../collector/web/guard.ts';
import { pageFiles } from '../../../collector/web/page-files.ts';
import { hostile } from './estate.ts';
import { alert, createHandFed, reading } from './hand-fed.ts';

const log = createLog({ level: 'silent', name: 'test' });
const seenAt = Date.parse('2030-01-31T12:00:00Z');

function setUp(t: TestContext) {
  const fed = createHandFed();
  const store = openSqliteStore({ path: ':memory:', clock: systemClock, log });
  const app = buildWeb({ config: { host: '127.0.0.1', port: 0 }, ...fed.sources, store, clock: systemClock, log });
  t.after(async () => {
    await app.close();
    await store.close();
  });
  const get = async (url: string) => {
    const answer = await app.inject({ url, headers: { host: 'localhost:8420' } });
    return {
      status: answer.statusCode,
      headers: answer.headers,
      text: answer.body,
      json: () => answer.json<unknown>(),
    };
  };
  return { fed, store, app, get };
}

test('GET /api/agents gives exactly the promised shape', async (t) => {
  const { fed, get } = setUp(t);
  assert.deepEqual((await get('/api/agents')).json(), { items: [] });
  fed.put({
    tenant: 'acme',
    id: 'nas-1',
    lastSeenAt: seenAt,
    mailIn: { count: 3 },
    mailOut: { count: 2 },
    queue: { count: 1, oldestSeconds: 7 },
    readings: [reading('relay', seenAt, { relay: 'r' }, { up: 1 })],
  });
  fed.put({ tenant: 'acme', id: 'nas-2', state: 'offline' });
  const answer = await get('/api/agents');
  assert.equal(answer.status, 200);
  assert.deepEqual(answer.json(), {
    items: [
      {
        tenant: 'acme',
        id: 'nas-1',
        state: 'online',
        lastSeenAt: '2030-01-31T12:00:00.000Z',
        mailIn: { count: 3 },
        mailOut: { count: 2 },
        queue: { count: 1, oldestSeconds: 7 },
      },
      {
        tenant: 'acme',
        id: 'nas-2',
        state: 'offline',
        lastSeenAt: null,
        mailIn: { count: 0 },
        mailOut: { count: 0 },
        queue: { count: 0, oldestSeconds: 0 },
      },
    ],
  });
  assert.equal(answer.headers['cache-control'], 'no-store');
});

test('one agent is told with accounts, relay, block lists and itself, hostile words unchanged', async (t) => {
  const { fed, get } = setUp(t);
  fed.put({
    tenant: 'acme',
    id: 'nas-1',
    lastSeenAt: seenAt,
    readings: [
      reading(
        'account',
        seenAt,
        { account: 'sales' },
        {
          up: 1,
          backlog: 2,
          kept: 3,
          round_seconds: 0.5,
          problem: '',
          error: 'none',
          connect_seconds: 0.01,
          tls_seconds: 0.02,
          login_seconds: 0.03,
          list_seconds: 0.04,
          mailbox_mails: 5,
          mailbox_bytes: 900,
          wake: 1,
        },
      ),
      reading('hold', seenAt, {}, { held: 1, reason: 'a second agent' }),
      reading('quarantine', seenAt, {}, { count: 2, bytes: 800, oldest_seconds: 90 }),
      reading('account', seenAt, { account: 'info' }, { up: 0, problem: hostile }),
      reading(
        'relay',
        seenAt,
        { relay: 'smtp.example' },
        { up: 0, problem: 'refused', stood_in: 1, budget_mails: 7, budget_left: 7 },
      ),
      reading('dnsbl', seenAt, { target: '192.0.2.1', zone: 'z.example' }, { state: 4, reason: 'odd' }),
      reading('dnsbl', seenAt, { target: '192.0.2.1', zone: 'a.example' }, { state: 9, reason: 'of a newer agent' }),
      reading('queue', seenAt, {}, { depth: 2, oldest_seconds: 5, held: 1, unknown: 4 }),
      reading(
        'agent',
        seenAt,
        {},
        {
          uptime_seconds: 60,
          rss_bytes: 5,
          outbox_batches: 1,
          outbox_bytes: 2,
          outbox_oldest_seconds: 3,
          outbox_dropped: 4,
        },
      ),
    ],
  });
  const at = '2030-01-31T12:00:00.000Z';
  assert.deepEqual((await get('/api/agents/acme/nas-1')).json(), {
    tenant: 'acme',
    id: 'nas-1',
    state: 'online',
    lastSeenAt: at,
    mailIn: { count: 0 },
    mailOut: { count: 0 },
    queue: { count: 0, oldestSeconds: 0, held: 1, unknown: 4, at },
    version: '0.1.0',
    hold: 'a second agent',
    quarantine: { count: 2, bytes: 800, oldestSeconds: 90, at },
    accounts: [
      {
        account: 'info',
        up: false,
        problem: hostile,
        error: '',
        backlog: 0,
        kept: 0,
        roundSeconds: 0,
        parts: {
          connectSeconds: null,
          tlsSeconds: null,
          loginSeconds: null,
          listSeconds: null,
          firstByteSeconds: null,
        },
        mailbox: { mails: null, bytes: null },
        wake: null,
        at,
      },
      {
        account: 'sales',
        up: true,
        problem: '',
        error: 'none',
        backlog: 2,
        kept: 3,
        roundSeconds: 0.5,
        parts: {
          connectSeconds: 0.01,
          tlsSeconds: 0.02,
          loginSeconds: 0.03,
          listSeconds: 0.04,
          firstByteSeconds: null,
        },
        mailbox: { mails: 5, bytes: 900 },
        wake: true,
        at,
      },
    ],
    relay: [
      {
        relay: 'smtp.example',
        up: false,
        problem: 'refused',
        stoodIn: true,
        left: { mails: 7, recipients: null },
        at,
      },
    ],
    dnsbl: [
      { target: '192.0.2.1', zone: 'a.example', state: 'error', reason: 'of a newer agent', at },
      { target: '192.0.2.1', zone: 'z.example', state: 'zone-unhealthy', reason: 'odd', at },
    ],
    agent: {
      uptimeSeconds: 60,
      rssBytes: 5,
      outboxBatches: 1,
      outboxBytes: 2,
      outboxOldestSeconds: 3,
      outboxDropped: 4,
      at,
    },
  });
});

test('a series comes from the store in steps that begin at `from`', async (t) => {
  const { fed, store, get } = setUp(t);
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const tags = { account: 'info', outcome: 'delivered' };
  const points = [1, 2, 61_000, 3_600_000].map((after) =>
    reading('mail_in', seenAt + after, tags, { count: 1, delay_seconds: after }),
  );
  await store.write([{ origin: { tenant: 'acme', agent: 'nas-1' }, points }], new AbortController().signal);
  const ask =
    '/api/agents/acme/nas-1/series?metric=mail_in&field=count&from=2030-01-31T12:00:00Z&to=' + (seenAt + 3_600_000);
  assert.deepEqual((await get(ask + '&step=60&aggregate=sum')).json(), {
    metric: 'mail_in',
    field: 'count',
    unit: 'mails',
    aggregate: 'sum',
    from: '2030-01-31T12:00:00.000Z',
    to: '2030-01-31T13:00:00.000Z',
    step: 60,
    series: [
      {
        tags,
        values: [
          [seenAt, 2],
          [seenAt + 60_000, 1],
        ],
      },
    ],
  });
  const standard = (await get(ask)).json();
  assert.deepEqual([Reflect.get(Object(standard), 'aggregate'), Reflect.get(Object(standard), 'step')], ['sum', 12]);
});

const refusals: readonly (readonly [query: string, status: number, words: RegExp])[] = [
  ['', 400, /^Cannot read metric: found nothing, expected one of mail_in, /],
  ['metric=mail_on&field=count', 400, /found "mail_on", expected one of .*did you mean mail_in\?/],
  ['metric=constructor&field=count', 400, /Cannot read metric/],
  [
    'metric=queue&field=problem',
    400,
    /found problem, expected a number of queue: depth, oldest_seconds, held, unknown/,
  ],
  ['metric=account&field=problem', 400, /found problem, expected a number of account/],
  ['metric=queue&field=__proto__', 400, /Cannot read field/],
  ['metric=queue&field=depth&aggregate=median', 400, /Cannot read aggregate/],
  ['metric=queue&field=depth&step=0', 400, /found "0", expected whole seconds/],
  ['metric=queue&field=depth&step=1&from=0&to=86400000', 400, /found 1 s, expected at least 44 s/],
  ['metric=queue&field=depth&from=0', 400, /expected at most 31 days/],
  ['metric=queue&field=depth&from=yesterday', 400, /expected a time such as/],
  ['metric=queue&field=depth&from=2030-02-31T99:00:00Z', 400, /expected a time such as/],
  ['metric=queue&field=depth&from=5000&to=4000', 400, /expected a time before `to`/],
  ['metric=queue&field=depth&fron=5000', 400, /an unknown option, expected from/],
  ['metric=queue&metric=agent&field=depth', 400, /Cannot read metric: found a list/],
];
for (const [query, status, words] of refusals) {
  test('a series is refused in clear words: ' + (query || 'no question'), async (t) => {
    const { fed, get } = setUp(t);
    fed.put({ tenant: 'acme', id: 'nas-1' });
    const answer = await get('/api/agents/acme/nas-1/series?' + query);
    assert.equal(answer.status, status, answer.text);
    const { error } = answer.json() as { error: { code: string; message: string } }; // our own shape
    assert.equal(error.code, 'bad-request');
    assert.match(error.message, words);
  });
}

test('what is not there is a JSON error with a code', async (t) => {
  const { fed, get } = setUp(t);
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const cases = [
    ['/api/agents/acme/nas-9', 404, 'not-found'],
    ['/api/agents/acme/nas-9/series?metric=queue&field=depth', 404, 'not-found'],
    ['/api/agents/ACME/nas', 400, 'bad-request'],
    ['/api/agents/' + 'a'.repeat(300) + '/b', 400, 'bad-request'],
    ['/api/nothing', 404, 'not-found'],
    ['/%', 400, 'bad-request'],
    ['/../web.ts', 404, 'not-found'],
    ['/tsconfig.json', 404, 'not-found'],
    ['/vendor/..%2fpackage.json', 404, 'not-found'],
    ['/live', 426, 'upgrade-needed'],
  ] as const;
  for (const [url, status, code] of cases) {
    const answer = await get(url);
    assert.equal(answer.status, status, url + ': ' + answer.text);
    const { error } = answer.json() as { error: { code: string; message: string } }; // our own shape
    assert.equal(error.code, code, url);
    assert.ok(error.message.length > 10);
  }
});

test('a store that fails is a 502 with its words, and the next question works', async (t) => {
  const fed = createHandFed();
  fed.put({ tenant: 'acme', id: 'nas-1' });
  let fails = true;
  const query = async () => {
    if (fails) throw new Error('Cannot query InfluxDB: no route to host');
    return [];
  };
  const app = buildWeb({
    config: { host: '127.0.0.1', port: 0 },
    ...fed.sources,
    store: { query },
    clock: systemClock,
    log,
  });
  t.after(() => app.close());
  const url = '/api/agents/acme/nas-1/series?metric=queue&field=depth';
  const bad = await app.inject({ url, headers: { host: 'localhost' } });
  assert.equal(bad.statusCode, 502);
  assert.match(bad.body, /"code":"store-failed","message":"Cannot read from the store: .*no route to host/);
  fails = false;
  assert.equal((await app.inject({ url, headers: { host: 'localhost' } })).statusCode, 200);
});

test('an answer with too many values is refused, not sent', async (t) => {
  const fed = createHandFed();
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const values = Array.from({ length: 2_000 }, (_, index) => [index, 1] as const);
  const query = async () => Array.from({ length: 51 }, () => ({ tags: {}, values }));
  const app = buildWeb({
    config: { host: '127.0.0.1', port: 0 },
    ...fed.sources,
    store: { query },
    clock: systemClock,
    log,
  });
  t.after(() => app.close());
  const answer = await app.inject({
    url: '/api/agents/acme/nas-1/series?metric=dnsbl&field=state',
    headers: { host: 'localhost' },
  });
  assert.equal(answer.statusCode, 413);
  assert.match(answer.body, /51 series with 102000 values/);
});

test('GET /api/alerts gives the active alerts', async (t) => {
  const { fed, get } = setUp(t);
  fed.alerts.push(alert({ id: 'a', since: seenAt, text: hostile, severity: 'warning' }));
  assert.deepEqual((await get('/api/alerts')).json(), {
    items: [
      {
        id: 'a',
        tenant: 'acme',
        agent: 'nas-1',
        severity: 'warning',
        title: 'acme/nas-1: silent',
        since: '2030-01-31T12:00:00.000Z',
        text: hostile,
      },
    ],
  });
});

test('/healthz is 200 while all parts are well and 503 with the words of those that are not', async (t) => {
  const { fed, get } = setUp(t);
  const well = await get('/healthz');
  assert.equal(well.status, 200);
  assert.deepEqual(well.json(), { status: 'ok', parts: { broker: 'ok', store: 'ok', alert: 'ok' } });
  fed.parts['store'] = 'InfluxDB at 127.0.0.1:8086 does not answer';
  const bad = await get('/healthz');
  assert.equal(bad.status, 503);
  assert.deepEqual(bad.json(), {
    status: 'failing',
    parts: { broker: 'ok', store: 'InfluxDB at 127.0.0.1:8086 does not answer', alert: 'ok' },
  });
});

test('every answer carries the fence, every file of the page is served as what it is', async (t) => {
  const { get } = setUp(t);
  for (const url of [
    '/',
    '/healthz',
    '/nothing',
    '/%',
    '/live',
    '/vendor/uPlot.esm.js',
    '/vendor/uPlot.min.css',
    ...pageFiles.filter((file) => file !== 'index.html').map((file) => '/' + file),
  ]) {
    const { headers, status } = await get(url);
    for (const [name, value] of Object.entries(securityHeaders)) assert.equal(headers[name], value, url + ' ' + name);
    const type = String(headers['content-type']);
    if (url.endsWith('.js')) assert.match(type, /javascript/, url);
    if (url.endsWith('.css')) assert.match(type, /^text\/css/, url);
    if (url.endsWith('.svg')) assert.match(type, /^image\/svg/, url);
    if (/\.(js|css|svg)$/.test(url)) assert.equal(status, 200, url);
  }
});
