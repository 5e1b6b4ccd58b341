// `npm run mutants:probe [-- GUARD...]`: plants every mutant of probe-mutants.ts in a private copy of the repository and runs the
// one test that guards it, which must fail. Exit code 1 when a mutant survives, or its text is not there exactly once any more.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBroken, makeCopy, removeCopy, runTests, withFaults } from './planting.ts';
import { mutants } from './probe-mutants.ts';
import type { ProbeMutant } from './probe-mutants.ts';

const room = 'agent/probe';
const guards = 'test/agent/probe/failures';
const limitMs = 120_000;

function findPlace(copy: string, text: string): string | undefined {
  const files = globSync(room + '/**/*.ts', { cwd: copy });
  return files.find((file) => readFileSync(join(copy, file), 'utf8').includes(text));
}

async function judge(copy: string, { file, guard, replacement, text }: ProbeMutant): Promise<string> {
  const source = findPlace(copy, text);
  if (source === undefined) return 'TEXT NOT FOUND';
  const args = ['--test-name-pattern=/^' + guard + ': /', join(guards, file + '.test.ts')];
  const run = await withFaults(copy, [{ file: source, text, replacement }], () => runTests(copy, args, limitMs));
  if (run === undefined) return 'TEXT NOT FOUND';
  const failed = new RegExp('^ *not ok \\d+ - ' + guard + ': ', 'm').test(run.output);
  if (failed && !isBroken(run.output)) return 'killed';
  return run.code === 0 ? 'SURVIVED' : 'NOT JUDGED';
}

async function main(wanted: readonly string[]): Promise<number> {
  const chosen = mutants.filter(({ guard }) => wanted.length === 0 || wanted.includes(guard));
  const copy = makeCopy();
  try {
    const { code, output } = await runTests(copy, [join(guards, '*.test.ts')], limitMs);
    if (code !== 0) {
      const failed = output.match(/^ *not ok.*$/gm)?.join('\n') ?? output;
      process.stdout.write('The guards fail without a mutant:\n' + failed + '\n');
      return 1;
    }
    let killed = 0;
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result === 'killed') killed += 1;
      process.stdout.write(result.padEnd(15) + mutant.guard.padEnd(6) + mutant.what + '\n');
    }
    process.stdout.write(killed + ' of ' + chosen.length + ' mutants killed\n');
    return killed === chosen.length && killed > 0 ? 0 : 1;
  } finally {
    removeCopy(copy);
  }
}

process.exitCode = await main(process.argv.slice(2));
