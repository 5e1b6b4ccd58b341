// `node test/mutants/send-relay.ts [PART...]`: plants every mutant of send-relay-mutants.ts (or those whose text or file holds
// PART) in a private copy of the repository and runs the one test that guards it, which must fail. Exit code 1 when a mutant
// survives, when its source text is not there exactly once any more, or when its guard fails without it.
import { mutants } from './send-relay-mutants.ts';
import type { Mutant } from './send-relay-mutants.ts';
import { makeCopy, quotePattern, removeCopy, runTests, withFaults } from './planting.ts';

const limitMs = 90_000;

type Result = 'killed' | 'SURVIVED' | 'TEXT NOT FOUND' | 'FAILS WITHOUT';

/** Whether the guard, and no other test, ran and did not fail. One that never ends is killed, which counts as a failure. */
async function passes(copy: string, { tests, title }: Mutant): Promise<boolean> {
  const pattern = '--test-name-pattern=^' + quotePattern(title);
  const { output } = await runTests(copy, ['--test-timeout=45000', pattern, tests], limitMs);
  const lines = output.split('\n').filter((line) => /^\s*(?:not )?ok \d+ - /.test(line) && line.includes(title));
  return lines.length > 0 && lines.every((line) => line.trimStart().startsWith('ok '));
}

async function judge(copy: string, mutant: Mutant): Promise<Result> {
  const { source: file, text, replacement } = mutant;
  const survived = await withFaults(copy, [{ file, text, replacement }], () => passes(copy, mutant));
  if (survived === undefined) return 'TEXT NOT FOUND';
  if (survived) return 'SURVIVED';
  return (await passes(copy, mutant)) ? 'killed' : 'FAILS WITHOUT';
}

const wanted = process.argv.slice(2);
const copy = makeCopy();
let bad = 0;
try {
  for (const mutant of mutants) {
    if (wanted.length > 0 && !wanted.some((part) => mutant.what.includes(part) || mutant.source.includes(part)))
      continue;
    const result = await judge(copy, mutant);
    if (result !== 'killed') bad += 1;
    process.stdout.write(result + ': ' + mutant.what + ' (' + mutant.source + ')\n');
  }
} finally {
  removeCopy(copy);
}
process.stdout.write(bad === 0 ? 'every mutant was killed\n' : bad + ' were not\n');
process.exitCode = bad === 0 ? 0 : 1;
