// `npm run mutants:watch [-- PART OF A FILE'S PATH]`: plants every mutant of watch-mutants.ts in a private copy of the repository
// and runs the test that guards it, which must fail. Exit code 1 when a mutant survives, or its text is not there exactly once.
import { isBroken, makeCopy, quotePattern, removeCopy, runTests, withFaults } from './planting.ts';
import { mutants } from './watch-mutants.ts';
import type { WatchMutant } from './watch-mutants.ts';

const limitMs = 180_000;

async function judge(copy: string, { file, name, replacement, test, text }: WatchMutant): Promise<string> {
  const args = name === undefined ? [test] : ['--test-name-pattern=/^' + quotePattern(name) + '/', test];
  const run = await withFaults(copy, [{ file, text, replacement }], () => runTests(copy, args, limitMs));
  if (run === undefined) return 'TEXT NOT FOUND';
  const failed = /^ *not ok \d+ - (?!.*\.test\.ts$)/m.test(run.output);
  if (failed && !isBroken(run.output)) return 'killed';
  return run.code === 0 ? 'SURVIVED' : 'NOT JUDGED';
}

async function main(part: string): Promise<number> {
  const chosen = mutants.filter(({ file }) => file.includes(part));
  const copy = makeCopy();
  try {
    const guards = [...new Set(chosen.map(({ test }) => test))];
    const { code, output } = await runTests(copy, guards, limitMs * 2);
    if (code !== 0) {
      process.stdout.write(
        'The guards fail without a mutant:\n' + (output.match(/^ *not ok.*$/gm)?.join('\n') ?? output) + '\n',
      );
      return 1;
    }
    let killed = 0;
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result === 'killed') killed += 1;
      process.stdout.write(result.padEnd(15) + mutant.file + ': ' + mutant.what + '\n');
    }
    process.stdout.write(killed + ' of ' + chosen.length + ' mutants killed\n');
    return killed === chosen.length && killed > 0 ? 0 : 1;
  } finally {
    removeCopy(copy);
  }
}

process.exitCode = await main(process.argv[2] ?? '');
