// `npm run mutants:receive [-- NUMBER...]`: plants every mutant of receive-mutants.ts in a private copy of the repository and
// runs the one test that guards it, which must fail. Exit code 1 when a mutant survives, when its source text is not there
// exactly once any more, or when the guards fail without a mutant.
import { globSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { mutants } from './receive-mutants.ts';
import type { Mutant } from './receive-mutants.ts';
import { isBroken, makeCopy, removeCopy, runTests, withFaults } from './planting.ts';

const guards = 'test/agent/receive/failures';
const limitMs = 180_000;

type Result = 'killed' | 'SURVIVED' | 'TEXT NOT FOUND' | 'NOT JUDGED';

/** The one file of the room that holds the text, once. */
function findPlace(copy: string, { room, text }: Mutant): string | undefined {
  const files = globSync(room + '/**/*.ts', { cwd: copy }).filter((file) =>
    readFileSync(join(copy, file), 'utf8').includes(text),
  );
  const [file] = files;
  if (file === undefined || files.length > 1) return undefined;
  return readFileSync(join(copy, file), 'utf8').split(text).length === 2 ? file : undefined;
}

async function judge(copy: string, mutant: Mutant): Promise<{ readonly result: Result; readonly file: string }> {
  const file = findPlace(copy, mutant);
  if (file === undefined) return { result: 'TEXT NOT FOUND', file: mutant.room };
  const { guard, text, replacement, file: tests } = mutant;
  const args = ['--test-name-pattern=/^' + guard + ': /', join(guards, tests + '.test.ts')];
  const run = await withFaults(copy, [{ file, text, replacement }], () => runTests(copy, args, limitMs));
  if (run === undefined) return { result: 'TEXT NOT FOUND', file };
  // The guard itself must have run.
  const failed = new RegExp('^ *not ok \\d+ - ' + guard + ': ', 'm').test(run.output);
  if (failed && !isBroken(run.output)) return { result: 'killed', file };
  return { result: run.code === 0 ? 'SURVIVED' : 'NOT JUDGED', file };
}

async function main(wanted: readonly string[]): Promise<number> {
  const chosen = mutants.filter(({ guard }) => wanted.length === 0 || wanted.includes(guard));
  if (chosen.length === 0)
    throw new Error('Cannot run mutants: none guards ' + wanted.join(', ') + ', expected numbers of failures');
  const copies = Array.from({ length: Math.min(chosen.length, availableParallelism()) }, makeCopy);
  try {
    const base = await runTests(copies[0] ?? '', [join(guards, '*.test.ts')], limitMs);
    if (base.code !== 0) {
      process.stdout.write(
        'The guards fail without a mutant:\n' + base.output.match(/^ *not ok.*$/gm)?.join('\n') + '\n',
      );
      return 1;
    }
    const queue = [...chosen];
    let bad = 0;
    await Promise.all(
      copies.map(async (copy) => {
        for (let mutant = queue.shift(); mutant !== undefined; mutant = queue.shift()) {
          const { result, file } = await judge(copy, mutant);
          if (result !== 'killed') bad += 1;
          process.stdout.write(result.padEnd(15) + mutant.guard.padEnd(5) + file.padEnd(34) + mutant.what + '\n');
        }
      }),
    );
    process.stdout.write(chosen.length - bad + ' of ' + chosen.length + ' mutants killed\n');
    return bad === 0 ? 0 : 1;
  } finally {
    for (const copy of copies) removeCopy(copy);
  }
}

process.exitCode = await main(process.argv.slice(2));
