// What is a second agent with our identity, and what only looks like one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTwinWatch } from '../../../agent/telemetry/twin.ts';

/** `<x`: a connection x of ours begins; `x`: its birth or last will is heard. Gives where a twin was seen, from 1; 0 never. */
function seenAt(...events: readonly string[]): number {
  const watch = createTwinWatch();
  return (
    events.findIndex((event) => {
      if (!event.startsWith('<')) return watch.heard(event);
      watch.ours(event.slice(1));
      return false;
    }) + 1
  );
}

test('no second agent: a first start, a restart, a line that breaks, last wills that come late', () => {
  const table: readonly (readonly string[])[] = [
    ['<a1', 'a1'],
    ['<a1', 'old', 'a1', 'a1'],
    ['<a1', 'old', 'old', 'a1', '<a2', 'a1', 'a2', '<a3', 'a2', 'a3', 'old'],
    ['<a1', 'a1', '<a2', 'old', 'a2', '<a3', 'old'],
  ];
  for (const events of table) assert.equal(seenAt(...events), 0, events.join(' '));
});

test('a second agent is seen by the one that was there before it, and by the one that came', () => {
  assert.equal(seenAt('<a1', 'a1', '<a2', 'b1', 'a2', '<a3', 'b2'), 7);
  assert.equal(seenAt('<b1', 'a1', 'b1', '<b2', 'a2', 'b2', '<b3', 'a3'), 8);
  assert.equal(seenAt('<a1', 'old', 'a1', '<a2', 'b1', 'b2'), 6, 'births that are heard one after the other');
});

test('a line that broke a thousand times is no second agent', () => {
  const events = ['<a0', 'old'];
  for (let n = 1; n < 1_000; n += 1) events.push('<a' + n, 'a' + (n - 1), 'a' + n);
  assert.equal(seenAt(...events), 0);
});
