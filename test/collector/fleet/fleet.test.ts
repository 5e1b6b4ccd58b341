import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { createFleet, fleetSchema } from '../../../collector/fleet/fleet.ts';

const origin = { tenant: 'acme', agent: 'nas-1' };

function setup() {
  const db = openDatabase({ path: ':memory:', schema: [fleetSchema] });
  const time = { wall: 1_700_000_000_000, monotonic: 0 };
  const clock = { ...systemClock, now: () => time.wall, monotonic: () => time.monotonic };
  const open = () =>
    createFleet({
      db,
      clock,
      staleSeconds: 60,
      offlineSeconds: 300,
      log: createLog({ name: 'test', level: 'silent' }),
    });
  const pass = (seconds: number): void => {
    time.wall += seconds * 1_000;
    time.monotonic += seconds * 1_000;
  };
  return { open, pass, time, db };
}

const status = (state: 'online' | 'offline', connection: string) => ({
  v: 1 as const,
  state,
  connection,
  at: 1,
  version: '1.2.3',
});
const batch = (seq: number, points: readonly Point[] = []) => ({
  outbox: 'outbox-0001',
  seq,
  oldest: 1,
  at: 1,
  points,
});
const stateOf = (fleet: ReturnType<ReturnType<typeof setup>['open']>) => fleet.view('acme', 'nas-1')?.state;

test('an agent is online, then stale, then offline as it stays silent', () => {
  const { open, pass } = setup();
  const fleet = open();
  fleet.seen(origin, status('online', 'connection-1'));
  assert.equal(stateOf(fleet), 'online');
  pass(61);
  assert.equal(stateOf(fleet), 'stale');
  fleet.heard(origin);
  assert.equal(stateOf(fleet), 'online');
  pass(301);
  assert.equal(stateOf(fleet), 'offline');
});

test('an agent whose clock is a day ahead is told of with both times, until it connects with a right one', () => {
  const { open, time, db } = setup();
  const fleet = open();
  const birth = (ahead: number) => ({ ...status('online', 'connection-1'), at: time.wall + ahead });
  fleet.seen(origin, birth(86_400_000));
  assert.equal(fleet.view('acme', 'nas-1')?.clockAheadMs, 86_400_000);
  fleet.seen(origin, birth(-3_600_000), true); // kept from earlier: says nothing of now
  assert.equal(fleet.view('acme', 'nas-1')?.clockAheadMs, 86_400_000);
  fleet.seen(origin, birth(299_000));
  assert.equal(fleet.view('acme', 'nas-1')?.clockAheadMs, undefined);
  fleet.seen(origin, birth(-301_000));
  assert.deepEqual(
    db
      .prepare('SELECT said_at - received_at AS ahead FROM clock_skew')
      .all()
      .map((row) => row['ahead']),
    [86_400_000, -301_000],
  );
});

test('a wall clock that jumps changes nobody', () => {
  const { open, time } = setup();
  const fleet = open();
  fleet.seen(origin, status('online', 'connection-1'));
  time.wall += 86_400_000;
  assert.equal(stateOf(fleet), 'online');
});

test('a last will ends the connection it belongs to, and no other', () => {
  const { open } = setup();
  const fleet = open();
  fleet.seen(origin, status('online', 'connection-1'));
  fleet.seen(origin, status('online', 'connection-2'));
  fleet.seen(origin, status('offline', 'connection-1'));
  assert.equal(stateOf(fleet), 'online');
  fleet.seen(origin, status('offline', 'connection-2'));
  assert.equal(stateOf(fleet), 'offline');
});

test('after a restart of the collector an agent is stale until it is heard, and its numbers are still there', () => {
  const { open, pass } = setup();
  const first = open();
  first.seen(origin, status('online', 'connection-1'));
  const mail = createPoint('mail_out', 5, { relay: 'provider', outcome: 'sent' }, { count: 1 });
  const queue = createPoint('queue', 6, {}, { depth: 4, oldest_seconds: 9 });
  first.apply(origin, batch(1, [mail, queue]));
  pass(10);
  const second = open();
  const view = second.view('acme', 'nas-1');
  assert.deepEqual(
    {
      state: view?.state,
      version: view?.version,
      out: view?.mailOut.count,
      queue: view?.queue,
      silentMs: view?.silentMs,
    },
    { state: 'stale', version: '1.2.3', out: 1, queue: { count: 4, oldestSeconds: 9 }, silentMs: 0 },
  );
  assert.equal(second.lastSeq(origin, 'outbox-0001'), 1);
});

test('a batch is counted once, also after a restart', () => {
  const { open } = setup();
  const mail = createPoint('mail_in', 1, { account: 'info', outcome: 'delivered' }, { count: 1 });
  for (let n = 0; n < 2; n += 1) {
    const fleet = open();
    for (const seq of [1, 1, 2, 1]) fleet.apply(origin, batch(seq, [mail]));
    assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 2);
  }
});

test('only delivered and sent mails are counted', () => {
  const { open } = setup();
  const fleet = open();
  const points = [
    createPoint('mail_in', 1, { account: 'info', outcome: 'delivered' }, { count: 1 }),
    createPoint('mail_in', 2, { account: 'info', outcome: 'quarantined' }, { count: 1 }),
    createPoint('mail_out', 3, { relay: 'r', outcome: 'failed' }, { count: 1 }),
  ];
  fleet.apply(origin, batch(1, points));
  const view = fleet.view('acme', 'nas-1');
  assert.deepEqual([view?.mailIn.count, view?.mailOut.count], [1, 0]);
});

test('what was said last is the present, also when the clock of the agent was set back', () => {
  const { open } = setup();
  const fleet = open();
  fleet.apply(origin, batch(1, [createPoint('queue', 100, {}, { depth: 9 })]));
  fleet.apply(origin, batch(2, [createPoint('queue', 50, {}, { depth: 1 })]));
  assert.equal(fleet.view('acme', 'nas-1')?.queue.count, 1);
});

test('listeners hear of a change until they leave', () => {
  const { open } = setup();
  const fleet = open();
  const heard: string[] = [];
  const leave = fleet.onChange(({ agent }) => void heard.push(agent));
  fleet.apply(origin, batch(1));
  leave();
  fleet.apply(origin, batch(2));
  assert.deepEqual(heard, ['nas-1']);
});

test('a birth that the broker kept from earlier is no sign of life, a goodbye still is one', () => {
  const { open } = setup();
  const fleet = open();
  fleet.seen(origin, status('online', 'connection-1'), true);
  assert.equal(stateOf(fleet), 'stale');
  assert.equal(fleet.view('acme', 'nas-1')?.lastSeenAt, 0);
  fleet.seen(origin, status('offline', 'connection-1'), true);
  assert.equal(stateOf(fleet), 'offline');
  fleet.heard(origin);
  assert.equal(stateOf(fleet), 'online');
});

test('counting a batch that was heard earlier does not bring an agent back that has said goodbye', () => {
  const { open } = setup();
  const fleet = open();
  fleet.seen(origin, status('online', 'connection-1'));
  fleet.heard(origin);
  fleet.seen(origin, status('offline', 'connection-1'));
  fleet.apply(origin, batch(1));
  assert.equal(stateOf(fleet), 'offline');
});

test('a series that is not said for two days is gone, also after a restart', () => {
  const { open } = setup();
  const fleet = open();
  const day = 86_400_000;
  const account = (at: number, id: string) => createPoint('account', at, { account: id }, { up: 0 });
  fleet.apply(origin, { ...batch(1, [account(day, 'old'), account(day, 'new')]), at: day });
  fleet.apply(origin, { ...batch(2, [account(2.9 * day, 'new')]), at: 2.9 * day });
  assert.equal(fleet.view('acme', 'nas-1')?.readings.length, 2);
  fleet.apply(origin, { ...batch(3, [account(3.1 * day, 'new')]), at: 3.1 * day });
  for (const one of [fleet, open()])
    assert.deepEqual(
      one.view('acme', 'nas-1')?.readings.map(({ tags }) => tags['account']),
      ['new'],
    );
});

test('counts that nobody can have do not spoil the totals', () => {
  const { open } = setup();
  const fleet = open();
  for (const [index, count] of [1e300, -5, 0.4, 2].entries()) {
    const mail = createPoint('mail_in', 1, { account: 'info', outcome: 'delivered' }, { count });
    fleet.apply(origin, batch(index + 1, [mail]));
  }
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 1_000_002);
  assert.equal(open().view('acme', 'nas-1')?.mailIn.count, 1_000_002);
});

test('a series too many is not kept', () => {
  const { open } = setup();
  const fleet = open();
  for (let n = 0; n < 3; n += 1) {
    const points = Array.from({ length: 900 }, (_, i) =>
      createPoint('account', 1, { account: 'a-' + n + '-' + i }, { up: 1 }),
    );
    fleet.apply(origin, batch(n + 1, points));
  }
  for (const one of [fleet, open()]) assert.equal(one.view('acme', 'nas-1')?.readings.length, 2_000);
});

test('a listener that fails does not undo what was counted', () => {
  const { open } = setup();
  const fleet = open();
  fleet.onChange(() => {
    throw new Error('broken page');
  });
  fleet.apply(origin, batch(1));
  assert.equal(fleet.lastSeq(origin, 'outbox-0001'), 1);
});

test('an agent that is configured no more is not shown, and its numbers come back with it', () => {
  const db = openDatabase({ path: ':memory:', schema: [fleetSchema] });
  const log = createLog({ name: 'test', level: 'silent' });
  const open = (expected: boolean) =>
    createFleet({ db, clock: systemClock, staleSeconds: 60, offlineSeconds: 300, isExpected: () => expected, log });
  open(true).apply(
    origin,
    batch(1, [createPoint('mail_out', 5, { relay: 'provider', outcome: 'sent' }, { count: 1 })]),
  );
  assert.deepEqual(open(false).views(), []);
  assert.equal(open(false).view('acme', 'nas-1'), undefined);
  assert.equal(open(true).view('acme', 'nas-1')?.mailOut.count, 1);
});

test('a machine that was switched off as planned is known as such, over a last will and a restart, until it is heard', () => {
  const { open } = setup();
  const fleet = open();
  const planned = (of: typeof fleet) => of.view('acme', 'nas-1')?.plannedOff;
  fleet.seen(origin, status('online', 'connection-1'));
  fleet.seen(origin, { ...status('offline', 'connection-1'), reason: 'stopping' });
  assert.equal(planned(fleet), false);
  fleet.seen(origin, status('online', 'connection-2'));
  fleet.seen(origin, { ...status('offline', 'connection-2'), reason: 'power-off' });
  fleet.seen(origin, status('offline', 'connection-2'));
  assert.equal(planned(fleet), true);
  const again = open();
  assert.equal(planned(again), true);
  again.seen(origin, status('online', 'connection-3'), true);
  assert.equal(planned(again), true, 'what the broker has kept is no sign of life');
  again.heard(origin);
  assert.equal(planned(again), false);
  assert.equal(planned(open()), false);
});
