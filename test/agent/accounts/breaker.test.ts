import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '#shared/clock.ts';
import { createLoginBreaker } from '../../../agent/accounts/breaker.ts';

/** A clock whose sleeps end at once and move it. */
function handClock() {
  let now = 0;
  const slept: number[] = [];
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    sleep: async (ms, signal) => {
      if (signal?.aborted === true) return;
      slept.push(ms);
      now += ms;
    },
  };
  return { clock, slept, pass: (ms: number) => void (now += ms) };
}

function bench(minIntervalMs = 0) {
  const time = handClock();
  let generation = 1;
  let changed = false;
  let refused = 0;
  const source = {
    generation: () => generation,
    changed: () => changed,
    stored: () => 'secret',
    refused: () => void (refused += 1),
  };
  const breaker = createLoginBreaker({ source, minIntervalMs, clock: time.clock, random: () => 0 });
  return {
    ...time,
    breaker,
    refusedCalls: () => refused,
    renew: () => void (generation += 1),
    change: () => void (changed = true),
  };
}

const refusal = { trouble: { kind: 'login', problem: 'login refused' }, counts: undefined };
const broken = { trouble: { kind: 'session', problem: 'line broke' }, counts: undefined };
const well = { trouble: undefined, counts: { backlog: 0 } };
const localDown = { trouble: { kind: 'local', problem: 'local server' }, counts: { backlog: 3 } };

test('two refusals are tried again within minutes, the third opens the breaker: hourly, and the text says so', () => {
  const { breaker, refusedCalls } = bench();
  assert.equal(breaker.judge(refusal), refusal);
  assert.equal(breaker.pauseMs(), 45_000);
  assert.equal(breaker.judge(refusal), refusal);
  assert.equal(breaker.pauseMs(), 90_000);
  const third = breaker.judge({ ...refusal, other: 'kept' });
  assert.match(third.trouble.problem, /^login refused; the login was refused 3 times in a row, .* once an hour/);
  assert.deepEqual([third.trouble.kind, third.other], ['login', 'kept']);
  assert.equal(breaker.pauseMs(), 3_600_000);
  breaker.judge(refusal);
  assert.equal(breaker.pauseMs(), 3_600_000);
  assert.equal(refusedCalls(), 4);
});

test('a login that went well closes the breaker, also when something else failed later', () => {
  for (const good of [well, localDown, { ...broken, counts: { backlog: 1 } }]) {
    const { breaker } = bench();
    for (let n = 0; n < 3; n += 1) breaker.judge(refusal);
    assert.equal(breaker.judge(good), good);
    breaker.judge(refusal);
    assert.equal(breaker.pauseMs(), 45_000);
  }
});

test('a line that breaks before the login counts neither way', () => {
  const { breaker } = bench();
  breaker.judge(refusal);
  breaker.judge(refusal);
  assert.equal(breaker.judge(broken), broken);
  breaker.judge(refusal);
  assert.equal(breaker.pauseMs(), 3_600_000);
});

test('another secret begins the count anew', () => {
  const { breaker, renew } = bench();
  for (let n = 0; n < 5; n += 1) breaker.judge(refusal);
  renew();
  assert.equal(breaker.judge(refusal), refusal);
  assert.equal(breaker.pauseMs(), 45_000);
});

test('the sleep after a refusal ends soon after the secret has changed, any other sleep does not look', async () => {
  const { breaker, slept, change, clock } = bench();
  await breaker.sleep(60_000, new AbortController().signal);
  assert.deepEqual(slept.splice(0), [60_000]);
  breaker.judge(refusal);
  await breaker.sleep(12_000, new AbortController().signal);
  assert.deepEqual(slept.splice(0), [5_000, 5_000, 2_000]);
  const before = clock.monotonic();
  change();
  await breaker.sleep(3_600_000, new AbortController().signal);
  assert.equal(clock.monotonic(), before);
  const stop = AbortSignal.abort();
  await breaker.sleep(3_600_000, stop);
  assert.equal(clock.monotonic(), before);
});

test("no login comes sooner than the provider's minimum after the last try", () => {
  const { breaker, pass } = bench(900_000);
  assert.equal(breaker.restMs(), 0);
  breaker.trying();
  assert.equal(breaker.restMs(), 900_000);
  pass(899_999);
  assert.equal(breaker.restMs(), 1);
  breaker.judge(well);
  pass(1);
  assert.equal(breaker.restMs(), 0);
});
