// Every known failure has a guard, every guard a mutant, every mutant one place where it can be planted.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { failures } from './probe-failures.ts';
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
  for (const { text, guard, what } of mutants) {
    const places = sources.reduce((sum, source) => sum + source.split(text).length - 1, 0);
    assert.equal(places, 1, guard + ': ' + what);
  }
});
