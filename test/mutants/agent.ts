// `npm run mutants:agent [-- PART...]`: plants faults in what decides whether mail moves, when an agent logs in, and in its page, in a
// private copy of the repository, and runs the one test that guards each, which must fail. Exit code 1 when one survives.
import { mutants as agentMutants } from './agent-mutants.ts';
import type { Mutant } from './agent-mutants.ts';
import { bundleMutants } from './bundle-mutants.ts';
import { collectorMutants } from './collector-mutants.ts';
import { packageMutants } from './package-mutants.ts';
import { pageMutants } from './page-mutants.ts';
import { isBroken, makeCopy, quotePattern, removeCopy, runTests, withFaults } from './planting.ts';
import { telemetryMutants } from './telemetry-mutants.ts';

const limitMs = 180_000;

/** Runs the one test; what it printed. */
async function runTest(copy: string, { tests, title }: Mutant): Promise<string> {
  return (await runTests(copy, ['--test-name-pattern=' + quotePattern(title), tests], limitMs)).output;
}

async function judge(copy: string, mutant: Mutant): Promise<string> {
  const { source: file, text, replacement, title } = mutant;
  const told = (output: string, result: string): boolean =>
    output.split('\n').some((line) => line.trimStart().startsWith(result) && line.includes(title));
  if (!told(await runTest(copy, mutant), 'ok ')) return 'FAILS WITHOUT';
  const output = await withFaults(copy, [{ file, text, replacement }], () => runTest(copy, mutant));
  if (output === undefined) return 'TEXT NOT FOUND';
  if (isBroken(output)) return 'NOT JUDGED';
  return told(output, 'not ok ') ? 'killed' : 'SURVIVED';
}

async function main(parts: readonly string[]): Promise<number> {
  const chosen = [
    ...agentMutants,
    ...pageMutants,
    ...packageMutants,
    ...bundleMutants,
    ...telemetryMutants,
    ...collectorMutants,
  ].filter(({ source, what }) => parts.length === 0 || parts.some((part) => (source + what).includes(part)));
  const copy = makeCopy();
  try {
    let killed = 0;
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result === 'killed') killed += 1;
      process.stdout.write(result.padEnd(15) + mutant.source.padEnd(36) + mutant.what + '\n');
    }
    process.stdout.write(killed + ' of ' + chosen.length + ' mutants killed\n');
    return killed === chosen.length && killed > 0 ? 0 : 1;
  } finally {
    removeCopy(copy);
  }
}

process.exitCode = await main(process.argv.slice(2));
