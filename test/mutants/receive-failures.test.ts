// Every known failure has a guard, every guard a mutant, every mutant a place where it can be planted.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { findGuards, read, root } from './guards.ts';
import { failures } from './receive-failures.ts';
import { mutants } from './receive-mutants.ts';

test('each failure has a test that is named after it, and no test is named after none', () => {
  const numbers = [...findGuards('agent/receive').keys()].map((guard) => guard.replace(/[a-z]$/, ''));
  assert.deepEqual(
    [...new Set(numbers)].sort((a, b) => Number(a) - Number(b)),
    Object.keys(failures).sort((a, b) => Number(a) - Number(b)),
  );
});

test('each such test has a mutant that it must fail on, and each mutant its test', () => {
  const guards = findGuards('agent/receive');
  const planted = new Set(mutants.map(({ guard }) => guard));
  assert.deepEqual(
    [...guards.keys()].filter((guard) => !planted.has(guard)),
    [],
  );
  for (const { guard, file, what } of mutants) assert.equal(guards.get(guard), file, guard + ': ' + what);
});

test('each mutant can be planted: its text stands in its room exactly once', () => {
  const rooms = new Map<string, readonly string[]>();
  for (const { room, text, guard, what } of mutants) {
    const sources = rooms.get(room) ?? globSync(room + '/**/*.ts', { cwd: root }).map(read);
    rooms.set(room, sources);
    const places = sources.reduce((sum, source) => sum + source.split(text).length - 1, 0);
    assert.equal(places, 1, guard + ': ' + what);
  }
});
