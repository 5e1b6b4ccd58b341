import assert from 'node:assert/strict';
import { test } from 'node:test';
import { retryWaitMs } from '../../../../agent/send/relay/schedule.ts';

const pace = { firstMs: 60_000, maxMs: 3_600_000 };

test('the wait doubles from the first to the longest', () => {
  const waits = [1, 2, 3, 4, 5, 6, 7, 8, 1_000].map((attempts) => retryWaitMs(pace, attempts, () => 1));
  assert.deepEqual(
    waits,
    [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600].map((seconds) => seconds * 1_000),
  );
});

test('half of the wait is drawn by lot, and it is never shorter than the other half', () => {
  assert.equal(
    retryWaitMs(pace, 1, () => 0),
    30_000,
  );
  assert.equal(
    retryWaitMs(pace, 1, () => 0.5),
    45_000,
  );
  assert.equal(
    retryWaitMs(pace, 0, () => 0),
    30_000,
  );
});
