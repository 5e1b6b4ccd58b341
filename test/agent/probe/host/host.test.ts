import assert from 'node:assert/strict';
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import type { Point } from '#shared/meter.ts';
import { createMeter } from '#shared/meter.ts';
import { watchHost } from '../../../../agent/probe/host/host.ts';
import { createSkew } from '../../../../agent/probe/host/skew.ts';
import { waitFor } from '../../../lab/wait.ts';
import { createHandClock } from '../hand-clock.ts';

test('readings of the machine are what the system says, a jump of the clock is told once, and the local server as it is', async () => {
  const clock = createHandClock();
  const points: Point[] = [];
  const meter = createMeter({ clock, sink: (point) => points.push(point) });
  const stopping = new AbortController();
  let problem: string | undefined;
  let skew: number | undefined;
  const folder = tmpdir();
  const options = { folder, everyMs: 60_000, clock, meter, local: () => problem, skewSeconds: () => skew };
  const running = watchHost(options, stopping.signal);
  const next = async (ms: number): Promise<Point['fields']> => {
    const before = points.length;
    await clock.move(ms);
    await waitFor('a reading', () => points.length > before);
    return points.at(-1)?.fields ?? {};
  };
  const first = await next(5_000);
  const disk = statfsSync(folder);
  assert.ok(Math.abs(Number(first['disk_free_bytes']) - disk.bavail * disk.bsize) < disk.blocks * disk.bsize * 0.1);
  assert.ok(Number(first['disk_free_share']) >= 0 && Number(first['disk_free_share']) <= 1);
  for (const name of ['load', 'memory_free_bytes', 'heap_bytes', 'event_loop_delay_seconds'])
    assert.ok(Number(first[name]) >= 0, name);
  assert.deepEqual([first['clock_jump_seconds'], first['local_up'], first['clock_off_seconds']], [0, 1, undefined]);
  clock.jump(-3_600_000);
  problem = 'ECONNREFUSED';
  skew = -75;
  const second = await next(60_000);
  assert.deepEqual([second['clock_jump_seconds'], second['local_up']], [-3_600, 0]);
  assert.deepEqual([second['clock_skew_seconds'], second['clock_off_seconds']], [-75, 75]);
  assert.equal((await next(60_000))['clock_jump_seconds'], 0);
  stopping.abort();
  await running;
});

test('what cannot be read is left out', async () => {
  const clock = createHandClock();
  const points: Point[] = [];
  const meter = createMeter({ clock, sink: (point) => points.push(point) });
  const stopping = new AbortController();
  const folder = '/nowhere/at/all';
  const running = watchHost({ folder, everyMs: 60_000, clock, meter, skewSeconds: () => undefined }, stopping.signal);
  await clock.move(5_000);
  await waitFor('a reading', () => points.length > 0);
  const fields = points[0]?.fields ?? {};
  assert.ok(!('disk_free_bytes' in fields) && !('local_up' in fields) && !('clock_off_seconds' in fields));
  stopping.abort();
  await running;
});

test('the clock is off by what most servers say, and only by what they said within a day', async () => {
  const clock = createHandClock();
  const skew = createSkew(clock);
  assert.equal(skew.seconds(), undefined);
  skew.tell('a', 2_000);
  assert.equal(skew.seconds(), 2);
  skew.tell('liar', 9_000_000);
  skew.tell('b', 3_000);
  assert.equal(skew.seconds(), 3);
  skew.tell('liar', -9_000_000);
  assert.equal(skew.seconds(), 2);
  await clock.move(86_400_001);
  assert.equal(skew.seconds(), undefined);
  for (let n = 0; n < 100; n += 1) skew.tell('s' + n, 5_000);
  assert.equal(skew.seconds(), 5);
});
