// Every known failure has a guard, every guard a mutant, every mutant one place where it can be planted.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { failures } from './probe-failures.ts';
import { guardMutants } from './probe-guards.ts';
import { mutants } from './probe-mutants.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Name of the file without its end, by the number in the test's name. */
function findGuards(): ReadonlyMap<string, string> {
  const files = globSync('test/agent/probe/failures/*.test.ts', { cwd: root });
  return new Map(
    files.flatMap((file) =>
      [...read(file).matchAll(/^failure\(\s*'(F\d+[a-z]?)',/gm)].map(
        ([, guard = '']) => [guard, basename(file, '.test.ts')] as const,
      ),
    ),
  );
}

test('each failure has a test that is named after it, and no test is named after none', () => {
  const numbers = new Set([...findGuards().keys()].map((guard) => guard.replace(/[a-z]$/, '')));
  assert.deepEqual([...numbers].sort(), Object.keys(failures).sort());
});

test('each such test has a mutant that it must fail on, and each mutant its test', () => {
  const guards = findGuards();
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
