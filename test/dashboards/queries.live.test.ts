// Every query of the dashboard, on a real InfluxDB that the collector's own store filled, with names that break quoting.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import { openInfluxStore } from '../../collector/store/influxdb.ts';
import { buildFiles } from '../../dashboards/files.ts';
import { createLab } from '../lab/lab.ts';
import { runEveryQuery } from './run-queries.ts';

const hostile = ['a.b/c', 'with blank, comma=equals', 'quote " and \'', 'ümlaut', '$variable', 'back\\slash'] as const;

function pointsAt(at: number): readonly Point[] {
  return [
    createPoint(
      'mail_in',
      at,
      { account: 'info', outcome: 'delivered' },
      {
        count: 1,
        size_bytes: 1_000,
        delay_seconds: 1.5,
        transfer_seconds: 0.1,
        retrieve_seconds: 0.06,
        handover_seconds: 0.04,
      },
    ),
    createPoint(
      'mail_out',
      at,
      { relay: 'provider', outcome: 'sent' },
      {
        count: 1,
        recipients: 1,
        size_bytes: 900,
        queue_seconds: 0.2,
        relay_seconds: 0.1,
        connect_seconds: 0.01,
        tls_seconds: 0.02,
        login_seconds: 0.03,
        envelope_seconds: 0.04,
        data_seconds: 0.05,
      },
    ),
    createPoint('queue', at, {}, { depth: 0, oldest_seconds: 0, held: 0, unknown: 0 }),
    createPoint(
      'account',
      at,
      { account: 'info' },
      {
        up: 1,
        backlog: 0,
        kept: 0,
        problem: '',
        error: 'none',
        connect_seconds: 0.01,
        tls_seconds: 0.02,
        login_seconds: 0.03,
        list_seconds: 0.01,
        first_byte_seconds: 0.01,
        mailbox_mails: 3,
        mailbox_bytes: 4_000,
      },
    ),
    createPoint('quarantine', at, {}, { count: 1, bytes: 500, oldest_seconds: 60 }),
    createPoint('hold', at, {}, { held: 0, reason: '' }),
    createPoint(
      'relay',
      at,
      { relay: 'provider' },
      { up: 1, problem: '', budget_mails: 5, budget_recipients: 9, budget_left: 5, sessions: 1, stood_in: 0 },
    ),
    createPoint(
      'mail_try',
      at,
      { relay: 'provider', outcome: 'deferred' },
      { count: 1, recipients: 1, size_bytes: 900 },
    ),
    createPoint('queue_state', at, { relay: 'provider', state: 'queued' }, { mails: 1, bytes: 900, oldest_seconds: 5 }),
    createPoint('agent', at, {}, { uptime_seconds: 5, outbox_batches: 1 }),
    ...hostile.map((name) =>
      createPoint('dnsbl', at, { target: name, zone: name }, { state: 1, reason: 'he said "' + name + '"' }),
    ),
    ...outside.map((name) => fill(name, at)),
  ];
}

/** What is said of the outside world: every tag and field that the catalogue knows. */
const outside = ['round_trip', 'round_trip_done', 'domain', 'certificate', 'host'] as const;
function fill(name: (typeof outside)[number], at: number): Point {
  const { fields, tags } = metrics[name];
  return {
    name,
    at,
    tags: Object.fromEntries(tags.map((tag) => [tag, 'ok'])),
    fields: Object.fromEntries(
      Object.entries(fields).map(([field, { type }]) => [field, type === 'number' ? 1 : 'ok']),
    ),
  };
}

test('every query of the dashboard gives data, and wrong ones are found out', async (t) => {
  const lab = createLab(t);
  const influx = await lab.influxdb();
  const store = openInfluxStore({
    config: { kind: 'influxdb', host: influx.host, port: influx.port, protocol: 'http', database: 'mailferry' },
    clock: systemClock,
    log: createLog({ name: 'test', level: 'silent' }),
  });
  const to = Date.now();
  const from = to - 600_000;
  for (const tenant of ['acme', 'other']) {
    for (const agent of ['nas-1', 'nas-2']) {
      for (let at = from + 1_000; at < to; at += 60_000) {
        assert.deepEqual(
          await store.write([{ origin: { tenant, agent }, points: pointsAt(at) }], new AbortController().signal),
          {
            refused: 0,
          },
        );
      }
    }
  }
  const dashboardJson = buildFiles().get('json/mailferry.json') ?? '';
  const count = await runEveryQuery({
    host: influx.host,
    port: influx.port,
    database: 'mailferry',
    dashboardJson,
    from,
    to,
    tenants: ['acme', 'other'],
    agents: ['nas-1', 'nas-2'],
  });
  assert.ok(count >= 40, String(count));
  const series = JSON.stringify(await influx.query('mailferry', 'SHOW TAG VALUES FROM "dnsbl" WITH KEY = "zone"'));
  for (const name of hostile) assert.ok(series.includes(JSON.stringify(name)), name);
});
