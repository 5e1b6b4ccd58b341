// When a relay counts as out of service: another one sends for it from then on, so it must not come and go by itself.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from '#shared/log.ts';
import { createRelayHealth } from '../../../../agent/send/relay/relay-health.ts';

function begin({ firstMs, leftMs = 0 }: { readonly firstMs: number; readonly leftMs?: number }) {
  let now = 1_000_000;
  const pace = { firstMs, maxMs: firstMs };
  const health = createRelayHealth({
    id: 'provider',
    origin: 'relays[0]',
    linePace: pace,
    loginPace: pace,
    fallbackAfterMs: 1_000,
    clock: { monotonic: () => now },
    queueClock: { now: () => now },
    random: () => 1,
    log: createLog({ level: 'silent', name: 'test' }),
    pause: leftMs === 0 ? undefined : { untilMs: now + leftMs, text: 'Quota used up' },
    keepPause: () => undefined,
    logins: { past: undefined, refused: () => undefined, well: () => undefined },
    onChange: () => undefined,
  });
  const outAt = (waitsMs: readonly number[]): readonly boolean[] => {
    const start = now;
    return waitsMs.map((waitMs) => {
      now = start + waitMs;
      return health.isOut();
    });
  };
  return { health, outAt };
}

const fail = { kind: 'line', text: 'Connection refused' } as const;

test('a relay is out of service once its trouble has lasted longer than the patience', () => {
  const { health, outAt } = begin({ firstMs: 400 });
  health.failed(fail);
  assert.deepEqual(outAt([0, 500, 999, 1_000, 5_000]), [false, false, false, true, true]);
});

test('a relay whose pause is longer than the patience is out of service at once, and stays so while the pause runs down', () => {
  const { health, outAt } = begin({ firstMs: 1_200 });
  health.failed(fail);
  assert.deepEqual(outAt([0, 100, 300, 900, 1_100]), [true, true, true, true, true]);
});

test('a pause that the last life left counts as its trouble', () => {
  const { outAt } = begin({ firstMs: 400, leftMs: 1_500 });
  assert.deepEqual(outAt([0, 600, 900, 1_400]), [true, true, true, true]);
});

test('a relay that answered a mail is in service again, and its next short trouble starts afresh', () => {
  const { health, outAt } = begin({ firstMs: 400, leftMs: 1_500 });
  health.succeeded();
  assert.deepEqual(outAt([0, 2_000]), [false, false]);
  health.failed(fail);
  assert.deepEqual(outAt([0, 900, 1_000]), [false, false, true]);
});
