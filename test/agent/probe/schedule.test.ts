import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Check, Finding } from '../../../agent/probe/check.ts';
import { worstOf } from '../../../agent/probe/check.ts';
import { createSchedule } from '../../../agent/probe/schedule.ts';
import { createLog } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { createMeter } from '#shared/meter.ts';
import { createHandClock } from './hand-clock.ts';

const silent = createLog({ level: 'error', name: 'test' });

function createRig(checks: readonly Check[], random = () => 0.5) {
  const clock = createHandClock();
  const points: Point[] = [];
  const meter = createMeter({ clock, sink: (point) => points.push(point) });
  const schedule = createSchedule({ checks, clock, random, meter, log: silent });
  return { clock, points, schedule };
}

const well: Finding = { target: 'x', check: 'y', level: 'ok', text: 'well' };
const base = { kind: 'domain', everyMs: 100_000, timeoutMs: 10_000 } as const;

test('a check runs again and again with a jitter of a tenth, and its result is told', async () => {
  const at: number[] = [];
  let chance = 0.5;
  const run = async (): Promise<readonly Finding[]> => {
    at.push(clock.monotonic());
    return [well];
  };
  const { clock, points, schedule } = createRig([{ ...base, name: 'one', run }], () => chance);
  const stopping = new AbortController();
  const begun = clock.monotonic();
  const running = schedule.run(stopping.signal);
  await clock.move(10_000); // half of the first 20 seconds
  chance = 1;
  await clock.move(99_999);
  assert.deepEqual(
    at.map((one) => one - begun),
    [10_000],
  );
  await clock.move(1);
  chance = 0;
  await clock.move(110_000);
  assert.deepEqual(
    at.map((one) => one - begun),
    [10_000, 110_000, 220_000],
  );
  await clock.move(90_000);
  assert.equal(at.length, 4);
  assert.deepEqual(
    schedule.results('domain').map(({ findings, success }) => [findings, success]),
    [[[well], true]],
  );
  assert.deepEqual(points.map(({ fields, name, tags }) => [name, tags['probe'], fields['success']])[0], [
    'probe',
    'one',
    1,
  ]);
  stopping.abort();
  await running;
});

test('a check that hangs ends as unknown at its deadline, is told to stop, and does not hold up others', async () => {
  let told = false;
  const hang = (signal: AbortSignal): Promise<readonly Finding[]> =>
    new Promise(() => signal.addEventListener('abort', () => (told = true)));
  const { clock, points, schedule } = createRig([
    { ...base, name: 'hangs', run: hang },
    { ...base, name: 'runs', run: async () => [well] },
  ]);
  const stopping = new AbortController();
  const running = schedule.run(stopping.signal);
  await clock.move(10_000);
  assert.deepEqual(
    schedule.results().map(({ name }) => name),
    ['runs'],
  );
  assert.equal(told, false);
  await clock.move(10_000);
  assert.equal(told, true);
  const result = schedule.results().find(({ name }) => name === 'hangs');
  assert.deepEqual([result?.success, result?.findings[0]?.level, result?.durationMs], [false, 'unknown', 10_000]);
  assert.match(result?.findings[0]?.text ?? '', /did not end within 10 s/);
  assert.ok(points.some(({ fields, tags }) => tags['probe'] === 'hangs' && fields['success'] === 0));
  stopping.abort();
  await running;
});

test('a check that throws is unknown, with what it threw', async () => {
  const run = (): Promise<readonly Finding[]> => Promise.reject(new Error('no socket left'));
  const { schedule } = createRig([{ ...base, name: 'throws', run }]);
  const [result] = await schedule.now('domain', new AbortController().signal);
  assert.equal(result?.success, false);
  assert.match(result?.findings[0]?.text ?? '', /no socket left/);
});

test('asked for by hand while it runs, a check runs once and both get its result', async () => {
  let runs = 0;
  const waiting: ((found: readonly Finding[]) => void)[] = [];
  const run = (): Promise<readonly Finding[]> => {
    runs += 1;
    return new Promise((resolve) => waiting.push(resolve));
  };
  const { clock, schedule } = createRig([{ ...base, name: 'one', run }]);
  const stopping = new AbortController();
  const running = schedule.run(stopping.signal);
  await clock.move(10_000);
  const asked = [schedule.now('domain', stopping.signal), schedule.now('domain', stopping.signal)];
  await clock.move(5_000);
  for (const finish of waiting) finish([well]);
  const results = await Promise.all(asked);
  assert.equal(runs, 1);
  assert.deepEqual(
    results.map(([result]) => result?.findings),
    [[well], [well]],
  );
  stopping.abort();
  await running;
});

test('a stop ends what is under way at once, and leaves no result of it', async () => {
  const run = (): Promise<readonly Finding[]> => new Promise(() => {});
  const { clock, schedule } = createRig([{ ...base, name: 'one', run }]);
  const stopping = new AbortController();
  const running = schedule.run(stopping.signal);
  await clock.move(10_000);
  stopping.abort();
  await running;
  assert.deepEqual(schedule.results(), []);
});

test('the worst finding decides; not known is worse than well and better than a warning', () => {
  const of = (...all: readonly Finding['level'][]) => worstOf(all.map((level) => ({ ...well, level })));
  assert.equal(of('ok', 'info'), 'info');
  assert.equal(of('ok', 'unknown'), 'unknown');
  assert.equal(of('unknown', 'warning', 'ok'), 'warning');
  assert.equal(of('warning', 'critical', 'unknown'), 'critical');
  assert.equal(of(), 'unknown');
});
