// `npm run mutants:probe [-- WORD...]`: plants every mutant of probe-mutants.ts and probe-guards.ts in a private copy of the
// repository and runs the one test that guards it, which must fail. Words are numbers of failures, or parts of a test's name.
// Exit code 1 when a mutant survives, or its text is not there exactly once any more.
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBroken, makeCopy, quotePattern, removeCopy, runTests, withFaults } from './planting.ts';
import { guardMutants } from './probe-guards.ts';
import type { GuardMutant } from './probe-guards.ts';
import { mutants } from './probe-mutants.ts';

const room = 'agent/probe';
const guards = 'test/agent/probe/failures';
const limitMs = 120_000;

function findPlace(copy: string, text: string): string | undefined {
  const files = globSync(room + '/**/*.ts', { cwd: copy });
  return files.find((file) => readFileSync(join(copy, file), 'utf8').includes(text));
}

const all: readonly GuardMutant[] = [
  ...mutants.map(({ file, guard, ...mutant }) => ({
    ...mutant,
    tests: join(guards, file + '.test.ts'),
    title: guard + ': ',
  })),
  ...guardMutants,
];

async function judge(copy: string, { replacement, tests, text, title }: GuardMutant): Promise<string> {
  const source = findPlace(copy, text);
  if (source === undefined) return 'TEXT NOT FOUND';
  const args = ['--test-name-pattern=^' + quotePattern(title), tests];
  const run = await withFaults(copy, [{ file: source, text, replacement }], () => runTests(copy, args, limitMs));
  if (run === undefined) return 'TEXT NOT FOUND';
  const failed = new RegExp('^ *not ok \\d+ - ' + quotePattern(title), 'm').test(run.output);
  if (failed && !isBroken(run.output)) return 'killed';
  return run.code === 0 ? 'SURVIVED' : 'NOT JUDGED';
}

async function main(wanted: readonly string[]): Promise<number> {
  const chosen = all.filter(
    ({ title }) => wanted.length === 0 || wanted.some((word) => title === word + ': ' || title.includes(' ' + word)),
  );
  const copy = makeCopy();
  try {
    const { code, output } = await runTests(copy, [...new Set(chosen.map(({ tests }) => tests))], limitMs);
    if (code !== 0) {
      const failed = output.match(/^ *not ok.*$/gm)?.join('\n') ?? output;
      process.stdout.write('The guards fail without a mutant:\n' + failed + '\n');
      return 1;
    }
    let killed = 0;
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result === 'killed') killed += 1;
      process.stdout.write(result.padEnd(15) + mutant.title.slice(0, 40).padEnd(42) + mutant.what + '\n');
    }
    process.stdout.write(killed + ' of ' + chosen.length + ' mutants killed\n');
    return killed === chosen.length && killed > 0 ? 0 : 1;
  } finally {
    removeCopy(copy);
  }
}

process.exitCode = await main(process.argv.slice(2));
