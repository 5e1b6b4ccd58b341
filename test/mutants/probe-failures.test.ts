// Every known failure has a guard, every guard a mutant, every mutant one place where it can be planted.
import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { test } from 'node:test';
import { findGuards, read, root } from './guards.ts';
import { failures } from './probe-failures.ts';
import { guardMutants } from './probe-guards.ts';
import { mutants } from './probe-mutants.ts';

test('each failure has a test that is named after it, and no test is named after none', () => {
  const numbers = new Set([...findGuards('agent/probe').keys()].map((guard) => guard.replace(/[a-z]$/, '')));
  assert.deepEqual([...numbers].sort(), Object.keys(failures).sort());
});

test('each such test has a mutant that it must fail on, and each mutant its test', () => {
  const guards = findGuards('agent/probe');
  const planted = new Set(mutants.map(({ guard }) => guard));
  assert.deepEqual(
    [...guards.keys()].filter((guard) => !planted.has(guard)),
    [],
  );
  for (const { guard, file, what } of mutants) assert.equal(guards.get(guard), file, guard + ': ' + what);
});

test('each mutant can be planted: its text stands in the room exactly once', () => {
  const sources = globSync('agent/probe/**/*.ts', { cwd: root }).map(read);
  for (const { text, what } of [...mutants, ...guardMutants]) {
    const places = sources.reduce((sum, source) => sum + source.split(text).length - 1, 0);
    assert.equal(places, 1, what);
  }
});

test('the test that guards a further mutant exists', () => {
  for (const { tests, title } of guardMutants) {
    const names = read(tests);
    const found = names.includes("'" + title) || names.includes("' " + title) || isMade(title, names);
    assert.ok(found, title);
  }
});

/** Names that a table makes: both parts stand in the file. */
function isMade(title: string, names: string): boolean {
  return [' is passed over', ' over TCP', ' is malformed'].some((end) => {
    const start = title.replace(end, '').replace('a server that ', '');
    return title.endsWith(end) && names.includes("'" + start) && names.includes(end);
  });
}
