import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createPace } from '../../../agent/receive/pace.ts';

const quiet = { brought: 0, isWatched: false };
const mail = { brought: 1, isWatched: false };

test('a quiet account rests its interval and up to a tenth more', () => {
  for (const [chance, expected] of [
    [0, 15_000],
    [0.5, 15_750],
  ] as const) {
    const pace = createPace({ intervalMs: 15_000, busyMs: 5_000, minIntervalMs: 0, random: () => chance });
    assert.deepEqual([pace.next(quiet), pace.next(quiet)], [expected, expected]);
  }
});

test('after mail the pause is short and grows back to the interval, never beyond', () => {
  const pace = createPace({ intervalMs: 300_000, busyMs: 100_000, minIntervalMs: 60_000, random: () => 0 });
  const pauses = [quiet, mail, mail, quiet, quiet, quiet, quiet].map((round) => pace.next(round));
  assert.deepEqual(pauses, [300_000, 100_000, 100_000, 150_000, 225_000, 300_000, 300_000]);
});

test("no pause is under the provider's minimum, whatever busySeconds says", () => {
  const pace = createPace({ intervalMs: 90_000, busyMs: 1_000, minIntervalMs: 60_000, random: () => 0 });
  for (const round of [mail, mail, quiet, mail]) assert.ok(pace.next(round) >= 60_000);
});

test('while new mail wakes the account it need not look often, and afterwards it does again', () => {
  const pace = createPace({ intervalMs: 300_000, busyMs: 100_000, minIntervalMs: 0, random: () => 0 });
  assert.equal(pace.next({ brought: 5, isWatched: true }), 300_000);
  assert.equal(pace.next(mail), 100_000);
  assert.equal(pace.next({ brought: 0, isWatched: true }), 300_000);
});
