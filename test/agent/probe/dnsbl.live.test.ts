// Against a real rbldnsd: what the probe says of an address while the list changes under it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { pino } from 'pino';
import { systemClock } from '#shared/clock.ts';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { createProbe } from '../../../agent/probe/probe.ts';
import { createSchedule } from '../../../agent/probe/schedule.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { standardLists } from './watched-lists.ts';

const listing = ':127.0.0.2:listed, see https://example.net/$';

async function startProbe(t: TestContext, zones: string[], more: { readonly domainZones?: boolean } = {}) {
  const lab = createLab(t);
  const server = await lab.rbldnsd({
    zones: {
      'bl.test': [listing, '127.0.0.2', '192.0.2.20'],
      'empty.test': [listing, '192.0.2.20'],
      'world.test': [listing, '127.0.0.0/8', '192.0.0.0/8'],
      'parked.test': [':192.0.2.80:parked', '127.0.0.0/8', '192.0.0.0/8'],
      'refuses.test': [':127.255.255.254:public resolver', '127.0.0.0/8'],
    },
    domainZones: { 'dbl.test': [':127.0.1.2:spam domain', 'test', '.bad.example'] },
  });
  const points: Point[] = [];
  const room = {
    meter: createMeter({ clock: systemClock, sink: (point) => points.push(point) }),
    clock: systemClock,
    random: () => 0.5,
    log: pino({ level: 'silent' }),
  };
  const probe = createProbe({
    config: {
      dnsbl: {
        ...standardLists,
        resolver: server.host + ':' + server.port,
        zones,
        addresses: more.domainZones === true ? ['192.0.2.10'] : ['192.0.2.10', '192.0.2.20'],
        domains: ['good.example', 'mail.bad.example'],
        intervalSeconds: 1,
        confirmSeconds: 0,
        clearSeconds: 0,
      },
    },
    ...room,
    dns: { timeoutMs: 500 },
  });
  const stop = new AbortController();
  const schedule = createSchedule({ ...room, checks: probe.check === undefined ? [] : [probe.check] });
  const running = schedule.run(stop.signal);
  t.after(async () => {
    stop.abort();
    await running;
  });
  const state = (target: string, zone: string) =>
    probe.results().find((result) => result.target === target && result.zone === zone);
  return { server, points, state, probe };
}

test('a listed and a clean address, with the words of the list', async (t) => {
  const { state, probe } = await startProbe(t, ['bl.test']);
  await waitFor('results', () => probe.results().length === 2);
  assert.equal(state('192.0.2.10', 'bl.test')?.state, 'clean');
  const listed = state('192.0.2.20', 'bl.test');
  assert.equal(listed?.state, 'listed');
  assert.deepEqual(listed.codes, ['127.0.0.2']);
  assert.equal(listed.reason, 'listed: listed, see https://example.net/192.0.2.20');
});

test('an address that is listed while the probe runs, and taken off again, is told both times', async (t) => {
  const { server, state, points } = await startProbe(t, ['bl.test']);
  const lastState = () =>
    points.findLast((point) => point.tags['target'] === '192.0.2.10' && point.tags['zone'] === 'bl.test')?.fields[
      'state'
    ];
  const lastLevel = () =>
    points.findLast((point) => point.tags['target'] === '192.0.2.10' && point.tags['zone'] === 'bl.test')?.fields[
      'level'
    ];
  await waitFor('clean', () => lastState() === 0);
  await server.set('bl.test', [listing, '127.0.0.2', '192.0.2.10']);
  await waitFor('listed', () => lastState() === 1);
  await waitFor('listed by a second answer', () => lastLevel() === 2);
  assert.equal(state('192.0.2.10', 'bl.test')?.reason, 'listed: listed, see https://example.net/192.0.2.10');
  assert.equal(state('192.0.2.20', 'bl.test')?.state, 'clean');
  await server.set('bl.test', [listing, '127.0.0.2']);
  await waitFor('clean again, by a second answer', () => lastState() === 0 && lastLevel() === 0);
  // The test entry gone: the same answer for the address now says nothing.
  await server.set('bl.test', [listing, '192.0.2.20']);
  await waitFor('zone unhealthy', () => lastState() === 4);
});

test('a list that is empty, lists the world, is parked, refuses or is not there is never clean or listed', async (t) => {
  const zones = ['empty.test', 'world.test', 'parked.test', 'refuses.test', 'missing.test'];
  const { state, probe } = await startProbe(t, zones, { domainZones: true });
  await waitFor('results of all lists', () => zones.every((zone) => state('192.0.2.10', zone) !== undefined));
  const states = zones.map((zone) => state('192.0.2.10', zone)?.state);
  assert.deepEqual(states, ['zone-unhealthy', 'zone-unhealthy', 'zone-unhealthy', 'refused', 'error']);
  assert.match(state('192.0.2.10', 'missing.test')?.reason ?? '', /REFUSED/);
  assert.ok(probe.results().every((result) => result.state !== 'clean' && result.state !== 'listed'));
});

test('a list of domains: a listed and a clean domain, and no result for addresses', async (t) => {
  const { state, probe } = await startProbe(t, ['dbl.test']);
  await waitFor('results', () => probe.results().length === 2);
  assert.equal(state('good.example', 'dbl.test')?.state, 'clean');
  assert.equal(state('mail.bad.example', 'dbl.test')?.state, 'listed');
});

test('a list server that dies becomes an error, and recovers', async (t) => {
  const { server, state } = await startProbe(t, ['bl.test']);
  await waitFor('listed', () => state('192.0.2.20', 'bl.test')?.state === 'listed');
  await server.stop();
  await waitFor('error', () => state('192.0.2.20', 'bl.test')?.state === 'error');
  await server.start();
  await waitFor('listed again', () => state('192.0.2.20', 'bl.test')?.state === 'listed');
});
