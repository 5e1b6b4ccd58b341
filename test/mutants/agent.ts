// `node test/mutants/agent.ts [PART...]`: plants faults in what decides whether mail moves and when an agent logs in, in a
// private copy of the repository, and runs the one test that guards each, which must fail. Exit code 1 when one survives.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutants } from './agent-mutants.ts';
import type { Mutant } from './agent-mutants.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copied = ['agent', 'collector', 'shared', 'test', 'package.json'] as const;
const limitMs = 180_000;

/** Runs the one test; what it printed. */
async function runTest(copy: string, { tests, title }: Mutant): Promise<string> {
  const pattern = '--test-name-pattern=' + title.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  const child = spawn(process.execPath, ['--test', '--test-force-exit', '--test-reporter=tap', pattern, tests], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  child.stderr.resume();
  const late = setTimeout(() => child.kill('SIGKILL'), limitMs);
  await once(child, 'close');
  clearTimeout(late);
  return output;
}

async function judge(copy: string, mutant: Mutant): Promise<string> {
  const path = join(copy, mutant.source);
  const source = readFileSync(path, 'utf8');
  if (source.split(mutant.text).length !== 2) return 'TEXT NOT FOUND';
  const told = (output: string, result: string): boolean =>
    output.split('\n').some((line) => line.trimStart().startsWith(result) && line.includes(mutant.title));
  if (!told(await runTest(copy, mutant), 'ok ')) return 'FAILS WITHOUT';
  writeFileSync(
    path,
    source.replace(mutant.text, () => mutant.replacement),
  );
  try {
    const output = await runTest(copy, mutant);
    // A mutant that does not even load would fail every test.
    if (/SyntaxError|ReferenceError/.test(output)) return 'NOT JUDGED';
    return told(output, 'not ok ') ? 'killed' : 'SURVIVED';
  } finally {
    writeFileSync(path, source);
  }
}

async function main(parts: readonly string[]): Promise<number> {
  const chosen = mutants.filter(
    ({ source, what }) => parts.length === 0 || parts.some((part) => (source + what).includes(part)),
  );
  const copy = mkdtempSync(join(tmpdir(), 'mailferry-mutants-'));
  try {
    for (const part of copied) cpSync(join(root, part), join(copy, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    let killed = 0;
    for (const mutant of chosen) {
      const result = await judge(copy, mutant);
      if (result === 'killed') killed += 1;
      process.stdout.write(result.padEnd(15) + mutant.source.padEnd(36) + mutant.what + '\n');
    }
    process.stdout.write(killed + ' of ' + chosen.length + ' mutants killed\n');
    return killed === chosen.length && killed > 0 ? 0 : 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
