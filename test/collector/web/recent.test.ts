import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import type { Store } from '../../../collector/store/store.ts';
import { createGate } from '../../../collector/web/gate.ts';
import { HttpError } from '../../../collector/web/http-error.ts';
import { createRecent } from '../../../collector/web/recent.ts';
import { createHandClock } from './hand-clock.ts';
import { createHandFed, reading } from './hand-fed.ts';

const log = createLog({ level: 'silent', name: 'test' });
const forever = new AbortController().signal;

test('the last 24 hours are counted by half hours and outcome, the mean delay weighted by mails', async (t) => {
  const clock = createHandClock();
  const store = openSqliteStore({ path: ':memory:', clock, log });
  t.after(store.close);
  const halfHour = 1_800_000;
  const to = Math.floor(clock.now() / halfHour) * halfHour + halfHour;
  const mail = (at: number, account: string, outcome: string, delay: number): Point =>
    reading('mail_in', at, { account, outcome }, { count: 1, delay_seconds: delay });
  const origin = { tenant: 'acme', agent: 'nas-1' };
  const points = [
    mail(to - 1, 'info', 'delivered', 10),
    mail(to - 2, 'info', 'delivered', 10),
    mail(to - 3, 'info', 'delivered', 10),
    mail(to - halfHour - 1, 'sales', 'delivered', 50),
    mail(to - 5, 'info', 'quarantined', 9_999),
    mail(to - 48 * halfHour, 'info', 'delivered', 10),
    mail(to - 48 * halfHour - 1, 'info', 'delivered', 9_999),
    reading('mail_out', to - 1, { relay: 'r', outcome: 'sent' }, { count: 1 }),
    reading('mail_out', to - 2, { relay: 'r', outcome: 'failed' }, { count: 1 }),
  ];
  await store.write([{ origin, points }], forever);
  const gate = createGate({ clock, running: 1, waiting: 9, deadlineMs: 1_000 });
  const recent = createRecent({ store, gate, clock, log });
  const fed = createHandFed();
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const fresh: string[] = [];
  const done = recent.refresh(fed.sources.fleet.views(), ({ agent }) => void fresh.push(agent), forever);
  await clock.advance(100);
  await done;
  const found = recent.of('acme', 'nas-1');
  assert.deepEqual(fresh, ['nas-1']);
  assert.equal(found?.from, to - 48 * halfHour);
  assert.deepEqual([found?.mailIn.length, found?.mailIn[47], found?.mailIn[46], found?.mailIn[0]], [48, 3, 1, 1]);
  assert.equal(
    found?.mailIn.reduce((sum, value) => sum + value, 0),
    5,
  );
  assert.deepEqual([found?.mailOut[47], found?.quarantined, found?.failed], [1, 1, 1]);
  assert.equal(found?.delaySeconds, (4 * 10 + 50) / 5);
});

test('an agent is read again when its mail moved or the picture has aged, not before; a failing store is left alone a while', async () => {
  const clock = createHandClock();
  let questions = 0;
  let fails = false;
  const query: Store['query'] = async () => {
    questions += 1;
    if (fails) throw new Error('down');
    return [];
  };
  const gate = createGate({ clock, running: 1, waiting: 9, deadlineMs: 1_000 });
  const recent = createRecent({ store: { query }, gate, clock, log });
  const fed = createHandFed();
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const refresh = async (): Promise<number> => {
    const before = questions;
    const done = recent.refresh(fed.sources.fleet.views(), () => {}, forever);
    await clock.advance(100);
    await done;
    return questions - before;
  };
  assert.equal(await refresh(), 3);
  assert.equal(recent.of('acme', 'nas-1')?.delaySeconds, null);
  fed.put({ tenant: 'acme', id: 'nas-1', mailIn: { count: 1 } });
  assert.equal(await refresh(), 0);
  await clock.advance(10_000);
  assert.equal(await refresh(), 3);
  await clock.advance(200_000);
  assert.equal(await refresh(), 0);
  await clock.advance(100_000);
  fails = true;
  assert.equal(await refresh(), 1);
  assert.equal(await refresh(), 0);
  fails = false;
  await clock.advance(10_000);
  assert.equal(await refresh(), 3);
});

test('the gate lets few questions run, bounds the queue, and gives up on a store that hangs', async () => {
  const clock = createHandClock();
  const gate = createGate({ clock, running: 2, waiting: 2, deadlineMs: 1_000 });
  let running = 0;
  const release: (() => void)[] = [];
  const hang = (): Promise<string> => {
    running += 1;
    return new Promise((resolve) => void release.push(() => resolve('late')));
  };
  const code = (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => 'answered',
      (error: unknown) => (error instanceof HttpError ? error.code : String(error)),
    );
  const asked = [1, 2, 3, 4].map(() => code(gate(hang)));
  await clock.advance(0);
  assert.equal(running, 2);
  assert.equal(await code(gate(hang)), 'busy');
  await clock.advance(1_000);
  assert.deepEqual(await Promise.all(asked), ['store-slow', 'store-slow', 'store-slow', 'store-slow']);
  for (const end of release) end();
  await clock.advance(0);
  assert.equal(running, 2, 'those that gave up while they waited are never asked');
  assert.equal(await gate(async () => 'well'), 'well');
  assert.equal(await code(gate(async () => Promise.reject(new Error('no')))), 'store-failed');
  assert.equal(clock.sleepers(), 0);
});
