// Which tests of a room are named after a known failure.
import { globSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const read = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Of `test/ROOM/failures`: the name of the file without its end, by the number in the test's name. */
export function findGuards(room: string): ReadonlyMap<string, string> {
  const files = globSync('test/' + room + '/failures/*.test.ts', { cwd: root });
  return new Map(
    files.flatMap((file) =>
      [...read(file).matchAll(/^failure\(\s*'(F?\d+[a-z]?)',/gm)].map(
        ([, guard = '']) => [guard, basename(file, '.test.ts')] as const,
      ),
    ),
  );
}
