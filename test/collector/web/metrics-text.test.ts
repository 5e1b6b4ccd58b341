import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metrics } from '#shared/metrics.ts';
import { metricsText } from '../../../collector/web/metrics-text.ts';
import { hostile } from './estate.ts';
import { alert, createHandFed, reading } from './hand-fed.ts';
import { parsePrometheus } from './prometheus.ts';

const at = Date.parse('2030-01-31T12:00:00Z');

function textOf(fed: ReturnType<typeof createHandFed>): ReturnType<typeof parsePrometheus> {
  const { fleet, alert: alerts, health } = fed.sources;
  return parsePrometheus(metricsText({ views: fleet.views(), alerts: alerts.active(), health: health() }));
}

test('readings, totals and states appear under the names of the catalogue', () => {
  const fed = createHandFed();
  fed.put({
    tenant: 'acme',
    id: 'nas-1',
    lastSeenAt: at,
    mailIn: { count: 12_345_678 },
    mailOut: { count: 7 },
    readings: [
      reading('queue', at, {}, { depth: 3, oldest_seconds: 12.5, held: 0, unknown: 0 }),
      reading('account', at, { account: 'info' }, { up: 0, problem: 'never a label' }),
      reading('dnsbl', at, { target: '192.0.2.1', zone: 'z' }, { state: 1, reason: 'r' }),
      reading('mail_in', at, { account: 'info', outcome: 'delivered' }, { count: 1 }),
    ],
  });
  fed.parts['store'] = 'down';
  fed.alerts.push(alert({ id: 'a' }), alert({ id: 'b' }));
  const families = textOf(fed);
  const first = (name: string) => families.get(name)?.samples[0];
  assert.deepEqual(first('mailferry_queue_oldest_seconds'), {
    name: 'mailferry_queue_oldest_seconds',
    labels: { tenant: 'acme', agent: 'nas-1' },
    value: 12.5,
  });
  assert.equal(families.get('mailferry_queue_oldest_seconds')?.type, 'gauge');
  assert.match(families.get('mailferry_queue_oldest_seconds')?.help ?? '', /Age of the oldest mail.*unit: s/);
  assert.deepEqual(first('mailferry_dnsbl_state')?.labels, {
    tenant: 'acme',
    agent: 'nas-1',
    target: '192.0.2.1',
    zone: 'z',
  });
  assert.equal(first('mailferry_account_up')?.value, 0);
  assert.equal(first('mailferry_mail_in_count_total')?.value, 12_345_678);
  assert.equal(families.get('mailferry_mail_in_count_total')?.type, 'counter');
  assert.equal(first('mailferry_mail_out_count_total')?.value, 7);
  assert.equal(first('mailferry_agent_up')?.value, 1);
  assert.equal(first('mailferry_agent_last_seen_timestamp_seconds')?.value, at / 1_000);
  const states = families.get('mailferry_agent_state')?.samples.map(({ labels, value }) => [labels['state'], value]);
  assert.deepEqual(states, [
    ['online', 1],
    ['stale', 0],
    ['offline', 0],
  ]);
  const parts = families
    .get('mailferry_collector_part_up')
    ?.samples.map(({ labels, value }) => [labels['part'], value]);
  assert.deepEqual(parts, [
    ['broker', 1],
    ['store', 0],
    ['alert', 1],
  ]);
  assert.deepEqual(
    families.get('mailferry_alerts_active')?.samples.map(({ value }) => value),
    [2, 0, 0],
  );
  const all = JSON.stringify([...families]);
  assert.ok(!all.includes('never a label'));
  assert.ok(!families.has('mailferry_mail_in_count'), 'an event is no gauge');
});

test('hostile tag values are escaped and come back as they were', () => {
  const fed = createHandFed();
  const names = [hostile, 'a"b', 'back\\slash', 'end\\', 'new\nline', '}{ 1', 'ünïcödé ☃', '"} 1 # HELP'];
  fed.put({
    tenant: 'acme',
    id: 'nas-1',
    // By hand, not through createPoint(): the text must hold even for what should not get so far.
    readings: names.map((account) => ({ name: 'account' as const, at, tags: { account }, fields: { up: 1 } })),
  });
  const found = textOf(fed)
    .get('mailferry_account_up')
    ?.samples.map(({ labels }) => labels['account']);
  assert.deepEqual(found, names);
});

test('an offline agent keeps its totals and its state but no readings', () => {
  const fed = createHandFed();
  const readings = [reading('queue', at, {}, { depth: 3 })];
  fed.put({ tenant: 'acme', id: 'nas-1', state: 'offline', mailIn: { count: 5 }, readings });
  fed.put({ tenant: 'acme', id: 'nas-2', state: 'stale', readings });
  const families = textOf(fed);
  assert.deepEqual(
    families.get('mailferry_queue_depth')?.samples.map(({ labels }) => labels['agent']),
    ['nas-2'],
  );
  assert.deepEqual(
    families.get('mailferry_agent_up')?.samples.map(({ value }) => value),
    [0, 0],
  );
  assert.equal(families.get('mailferry_mail_in_count_total')?.samples[0]?.value, 5);
});

test('a reading that this version does not know is left out', () => {
  const fed = createHandFed();
  const unknown = JSON.parse(
    JSON.stringify([
      { name: 'constructor', at, tags: {}, fields: { up: 1 } },
      { name: 'queue', at, tags: {}, fields: { depth: 1, novelty: 2 } },
    ]),
  );
  fed.put({ tenant: 'acme', id: 'nas-1', readings: unknown });
  const families = textOf(fed);
  assert.deepEqual(
    [...families.keys()].filter((name) => /constructor|novelty/.test(name)),
    [],
  );
  assert.equal(families.get('mailferry_queue_depth')?.samples[0]?.value, 1);
});

test('no name of a gauge in the catalogue is taken by one of our own', () => {
  const own = [
    'mailferry_agent_up',
    'mailferry_agent_state',
    'mailferry_agent_last_seen_timestamp_seconds',
    'mailferry_alerts_active',
    'mailferry_collector_part_up',
  ];
  for (const [metric, { fields }] of Object.entries(metrics)) {
    for (const field of Object.keys(fields))
      assert.ok(!own.includes('mailferry_' + metric + '_' + field), metric + ' ' + field);
  }
});
