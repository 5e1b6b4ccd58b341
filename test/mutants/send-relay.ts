// `node test/mutants/send-relay.ts [PART...]`: plants every mutant of send-relay-mutants.ts (or those whose text or file holds
// PART) in a private copy of the repository and runs the one test that guards it, which must fail. Exit code 1 when a mutant
// survives, when its source text is not there exactly once any more, or when its guard fails without it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutants } from './send-relay-mutants.ts';
import type { Mutant } from './send-relay-mutants.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copied = ['agent', 'shared', 'test', 'package.json'] as const;
const limitMs = 90_000;

type Result = 'killed' | 'SURVIVED' | 'TEXT NOT FOUND' | 'FAILS WITHOUT';

function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'mailferry-mutants-'));
  for (const part of copied) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

/** Whether the guard, and no other test, ran and did not fail. One that never ends is killed, which counts as a failure. */
async function passes(copy: string, { tests, title }: Mutant): Promise<boolean> {
  const pattern = '--test-name-pattern=^' + title.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
  const args = ['--test', '--test-force-exit', '--test-timeout=45000', '--test-reporter=tap', pattern, tests];
  const env = { ...process.env, NODE_TEST_CONTEXT: undefined };
  const child = spawn(process.execPath, args, { cwd: copy, stdio: ['ignore', 'pipe', 'ignore'], env });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  const late = setTimeout(() => child.kill('SIGKILL'), limitMs);
  await once(child, 'close');
  clearTimeout(late);
  const lines = output.split('\n').filter((line) => /^\s*(?:not )?ok \d+ - /.test(line) && line.includes(title));
  return lines.length > 0 && lines.every((line) => line.trimStart().startsWith('ok '));
}

async function judge(copy: string, mutant: Mutant): Promise<Result> {
  const path = join(copy, mutant.source);
  const source = readFileSync(path, 'utf8');
  if (source.split(mutant.text).length !== 2) return 'TEXT NOT FOUND';
  writeFileSync(
    path,
    source.replace(mutant.text, () => mutant.replacement),
  );
  try {
    if (await passes(copy, mutant)) return 'SURVIVED';
  } finally {
    writeFileSync(path, source);
  }
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
  rmSync(copy, { recursive: true, force: true });
}
process.stdout.write(bad === 0 ? 'every mutant was killed\n' : bad + ' were not\n');
process.exitCode = bad === 0 ? 0 : 1;
