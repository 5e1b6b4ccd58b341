import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBackoff } from '#shared/backoff.ts';
import { systemClock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import { createLifecycle } from '#shared/lifecycle.ts';
import { createLog, maskAddress } from '#shared/log.ts';

const log = createLog({ name: 'test', level: 'silent' });

test('stop() runs the steps last-in first-out, once', async () => {
  const order: string[] = [];
  const lifecycle = createLifecycle({ log });
  lifecycle.onStop('first', () => void order.push('first'));
  lifecycle.onStop('second', () => void order.push('second'));
  await Promise.all([lifecycle.stop(), lifecycle.stop()]);
  assert.deepEqual(order, ['second', 'first']);
  assert.equal(lifecycle.signal.aborted, true);
});

test('stop() goes on when a step throws or hangs', async () => {
  const order: string[] = [];
  const lifecycle = createLifecycle({ log, stepTimeoutMs: 20 });
  lifecycle.onStop('last', () => void order.push('last'));
  lifecycle.onStop('hangs', () => new Promise(() => {}));
  lifecycle.onStop('throws', () => {
    throw new Error('broken');
  });
  await lifecycle.stop();
  assert.deepEqual(order, ['last']);
});

test('a back-off draws from a ceiling that doubles up to its limit', () => {
  const backoff = createBackoff({ firstMs: 100, maxMs: 1_000, random: () => 1 });
  assert.deepEqual(
    [1, 2, 3, 4, 5, 6].map(() => backoff.next()),
    [100, 200, 400, 800, 1_000, 1_000],
  );
  backoff.reset();
  assert.equal(backoff.next(), 100);
});

test('a back-off with a floor never waits less than its share', () => {
  const backoff = createBackoff({ firstMs: 100, maxMs: 1_000, random: () => 0, floor: 0.5 });
  assert.deepEqual(
    [1, 2].map(() => backoff.next()),
    [50, 100],
  );
});

test('sleep() ends at once when it is aborted', async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  controller.abort();
  await sleeping;
  await systemClock.sleep(60_000, controller.signal);
});

test('describe() tells the cause behind the error, once', () => {
  assert.equal(describe(new Error('Cannot send', { cause: new Error('ECONNRESET') })), 'Cannot send (ECONNRESET)');
  assert.equal(
    describe(new Error('Cannot send: ECONNRESET', { cause: new Error('ECONNRESET') })),
    'Cannot send: ECONNRESET',
  );
  assert.equal(describe('text'), 'text');
});

test('maskAddress() shows the domain and one letter', () => {
  assert.equal(maskAddress('info@example.org'), 'i***@example.org');
  assert.equal(maskAddress(''), '<>');
});
