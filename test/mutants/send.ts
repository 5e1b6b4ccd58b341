// `npm run mutants:send [-- PART...]`: plants every mutant of send-mutants.ts in a private copy of the repository and runs the
// one test that guards it, which must fail; PART is a part of a test's file, its name, or of what is planted. Exit code 1 when a
// mutant survives, when its text is not there exactly once, or when a guard fails without a mutant.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutants } from './send-mutants.ts';
import type { Mutant } from './send-mutants.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copied = ['agent', 'shared', 'test', 'package.json'] as const;
const limitMs = 90_000;

type Run = { readonly code: number | null; readonly output: string };

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'mailferry-mutants-'));
  for (const part of copied) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

async function runTests(copy: string, args: readonly string[]): Promise<Run> {
  const child = spawn(process.execPath, ['--test', '--test-force-exit', '--test-reporter=tap', ...args], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  child.stderr.resume();
  const late = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const [code] = (await once(child, 'close')) as [number | null]; // documented
  clearTimeout(late);
  return { code, output };
}

async function judge(copy: string, mutant: Mutant): Promise<string> {
  const path = join(copy, mutant.source);
  const source = readFileSync(path, 'utf8');
  const { replacement, tests, text, title } = mutant;
  if (source.split(text).length !== 2) return 'TEXT NOT FOUND';
  writeFileSync(
    path,
    source.replace(text, () => replacement),
  );
  try {
    const pattern = title.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
    const run = await runTests(copy, ['--test-name-pattern=/^' + pattern + '/', tests]);
    // One that does not even load would fail every test; one that ends the process fails its guard without a line of it.
    if (/SyntaxError|ReferenceError/.test(run.output)) return 'NOT JUDGED';
    if (run.output.split('\n').some((line) => /^ *not ok /.test(line))) return 'killed';
    return run.code === 0 ? 'SURVIVED' : 'NOT JUDGED';
  } finally {
    writeFileSync(path, source);
  }
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
    const base = await runTests(copy, [...new Set(chosen.map((mutant) => mutant.tests))]);
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
    rmSync(copy, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
