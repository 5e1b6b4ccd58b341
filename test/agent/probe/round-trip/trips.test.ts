import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Point } from '#shared/meter.ts';
import { createMeter } from '#shared/meter.ts';
import { createTrips } from '../../../../agent/probe/round-trip/trips.ts';
import type { TripSetup } from '../../../../agent/probe/round-trip/trips.ts';
import { createHandClock } from '../hand-clock.ts';

const setup: TripSetup = {
  id: 'way',
  via: 'local',
  to: 'office@provider.example',
  account: 'office',
  lateSeconds: 60,
  lostSeconds: 600,
};

function createRig(problems = { account: '', relay: '' }) {
  const clock = createHandClock();
  const points: Point[] = [];
  const meter = createMeter({ clock, sink: (point) => points.push(point) });
  const told = { account: () => problems.account, relay: () => problems.relay };
  const trips = createTrips({ trips: [setup], clock, meter, problems: told });
  const done = (): readonly Point[] => points.filter(({ name }) => name === 'round_trip_done');
  return { clock, points, trips, done };
}

test('the legs of a trip add up to its total', async () => {
  const { clock, done, trips } = createRig();
  assert.equal(trips.report('way').state, 'none');
  trips.begin('way', 'a');
  await clock.move(1_500);
  trips.queued('a', 'mail-1');
  await clock.move(3_000);
  trips.tried('mail-1', 'later', '451 4.7.1 greylisted', 200);
  await clock.move(5_000);
  trips.tried('mail-1', 'sent', '250 ok', 700);
  assert.equal(trips.report('way').state, 'none');
  await clock.move(9_000);
  assert.equal(trips.arrived('a'), 'mail-1');
  const report = trips.report('way');
  assert.equal(report.state, 'ok');
  assert.deepEqual(report.legs, { local: 1_500, queue: 7_300, relay: 700, return: 9_000 });
  assert.equal(report.totalMs, 18_500);
  const [point] = done();
  assert.deepEqual(point?.tags, { trip: 'way', outcome: 'ok' });
  const { count, total_seconds: total, ...parts } = point?.fields ?? {};
  assert.equal(count, 1);
  assert.equal(
    total,
    Object.values(parts).reduce((sum: number, one) => sum + Number(one), 0),
  );
  assert.equal(trips.arrived('a'), undefined, 'once');
  assert.equal(done().length, 1);
});

test('a probe is late where it is, says why, and lost in the end; what comes after that is late', async () => {
  const problems = { account: '', relay: 'nobody answers' };
  const { clock, done, points, trips } = createRig(problems);
  trips.begin('way', 'a');
  await clock.move(60_001);
  assert.deepEqual([trips.report('way').state, trips.report('way').leg], ['late', 'local']);
  assert.match(trips.report('way').text, /the local mail server took it and has not handed it to the agent/);
  trips.queued('a', 'mail-1');
  assert.match(trips.report('way').text, /waits in the queue of the agent: nobody answers/);
  trips.tried('mail-1', 'later', '451 later', 0);
  assert.match(trips.report('way').text, /waits in the queue of the agent: 451 later/);
  assert.deepEqual(trips.look(), []);
  assert.equal(points.findLast(({ name }) => name === 'round_trip')?.fields['state'], 1);
  await clock.move(540_000);
  assert.deepEqual(trips.look(), ['mail-1'], 'of no more use in the queue');
  assert.deepEqual(trips.look(), []);
  assert.equal(trips.report('way').state, 'lost');
  assert.equal(points.findLast(({ name }) => name === 'round_trip')?.fields['state'], 2);
  trips.arrived('a');
  assert.equal(trips.report('way').state, 'late');
  assert.deepEqual(
    done().map(({ tags }) => tags['outcome']),
    ['lost', 'late'],
  );
});

test('lost on its way back: the queue has nothing to give up, and the mailbox says why', async () => {
  const problems = { account: 'login refused', relay: '' };
  const { clock, trips } = createRig(problems);
  trips.begin('way', 'a');
  trips.queued('a', 'mail-1');
  trips.tried('mail-1', 'sent', '250 ok', 10);
  await clock.move(600_001);
  assert.deepEqual(trips.look(), []);
  assert.match(
    trips.report('way').text,
    /the relay took it, and it has not come into office@provider\.example; that mailbox: login refused/,
  );
});

test('the state is that of the probe that was sent last, unless an earlier one is overdue and none came since', async () => {
  const { clock, trips } = createRig();
  trips.begin('way', 'a');
  await clock.move(30_000);
  trips.begin('way', 'b');
  await clock.move(1_000);
  trips.arrived('b');
  await clock.move(40_000);
  assert.equal(trips.report('way').state, 'ok', 'a is late, but b came');
  trips.begin('way', 'c');
  await clock.move(60_001);
  assert.equal(trips.report('way').state, 'late', 'c is late');
  await clock.move(540_000);
  trips.look();
  trips.arrived('a');
  assert.equal(trips.report('way').state, 'lost', 'c was sent after a');
});

test('a refusal for good ends the trip, whoever says it; one for a while does not', async () => {
  for (const [result, reply] of [
    ['refused', '550 no such user'],
    ['hold', '550 sender refused'],
    ['later', '554 5.7.1 Relay access denied'],
  ] as const) {
    const { trips } = createRig();
    trips.begin('way', 'a');
    trips.queued('a', 'mail-1');
    trips.tried('mail-1', 'later', '450 4.2.0 busy', 0);
    assert.equal(trips.report('way').state, 'none', result);
    trips.tried('mail-1', result, reply, 0);
    assert.equal(trips.report('way').state, 'bounced', result);
    assert.match(trips.report('way').text, new RegExp('the relay refused the probe: ' + reply));
    assert.deepEqual(trips.look(), ['mail-1']);
  }
  const { trips } = createRig();
  trips.begin('way', 'a');
  trips.refused('a', 'nobody took the probe: ECONNREFUSED');
  assert.deepEqual([trips.report('way').state, trips.report('way').leg], ['refused', 'local']);
  trips.begin('way', 'b');
  trips.queued('b', 'mail-2');
  trips.tried('mail-2', 'sent', '250 ok', 0);
  trips.bounced('b', '550 5.1.1 unknown');
  assert.deepEqual([trips.report('way').state, trips.report('way').leg], ['bounced', 'return']);
});

test('what is said of other mails, other trips and unknown ids changes nothing', () => {
  const { points, trips } = createRig();
  trips.begin('nobody', 'x');
  trips.queued('y', 'mail-9');
  trips.tried('mail-9', 'sent', '250 ok', 5);
  assert.equal(trips.arrived('z'), undefined);
  trips.bounced('z', 'no');
  trips.refused('z', 'no');
  assert.equal(trips.report('way').state, 'none');
  assert.deepEqual(points, []);
  assert.equal(trips.pending(), false);
});
