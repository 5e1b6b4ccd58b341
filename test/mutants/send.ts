// `npm run mutants:send [-- PART...]`: plants every mutant of send-mutants.ts in a private copy of the repository and runs the
// one test that guards it, which must fail; PART is a part of a test's file, its name, or of what is planted. Exit code 1 when a
// mutant survives, when its text is not there exactly once, or when a guard fails without a mutant.
import { mutants } from './send-mutants.ts';
import type { Mutant } from './send-mutants.ts';
import { isBroken, makeCopy, quotePattern, removeCopy, runTests, withFaults } from './planting.ts';

const limitMs = 90_000;

async function judge(copy: string, mutant: Mutant): Promise<string> {
  const { replacement, source: file, tests, text, title } = mutant;
  const args = ['--test-name-pattern=/^' + quotePattern(title) + '/', tests];
  const run = await withFaults(copy, [{ file, text, replacement }], () => runTests(copy, args, limitMs));
  if (run === undefined) return 'TEXT NOT FOUND';
  if (isBroken(run.output)) return 'NOT JUDGED';
  // One that ends the process fails its guard without a line of it.
  if (run.output.split('\n').some((line) => /^ *not ok /.test(line))) return 'killed';
  return run.code === 0 ? 'SURVIVED' : 'NOT JUDGED';
}

async function main(parts: readonly string[]): Promise<number> {
  const chosen = mutants.filter(
    ({ tests, title, what }) =>
      parts.length === 0 || parts.some((part) => (tests + ' ' + title + ' ' + what).includes(part)),
  );
  if (chosen.length === 0)
    throw new Error('Cannot run mutants: none has ' + parts.join(', ') + ', expected a part of one');
  const copy = makeCopy();
  try {
    const base = await runTests(copy, [...new Set(chosen.map((mutant) => mutant.tests))], limitMs);
    if (base.code !== 0) {
      const failed = base.output.match(/^ *not ok.*$/gm)?.join('\n') ?? base.output;
      process.stdout.write('The guards fail without a mutant:\n' + failed + '\n');
      return 1;
    }
    let bad = 0;
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result !== 'killed') bad += 1;
      process.stdout.write(result.padEnd(15) + mutant.title.padEnd(32) + mutant.source.padEnd(36) + mutant.what + '\n');
    }
    process.stdout.write(chosen.length - bad + ' of ' + chosen.length + ' mutants killed\n');
    return bad === 0 ? 0 : 1;
  } finally {
    removeCopy(copy);
  }
}

process.exitCode = await main(process.argv.slice(2));
