// `npm run mutants:receive [-- NUMBER...]`: plants every mutant of receive-mutants.ts in a private copy of the repository and
// runs the one test that guards it, which must fail. Exit code 1 when a mutant survives, when its source text is not there
// exactly once any more, or when the guards fail without a mutant.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { mutants } from './receive-mutants.ts';
import type { Mutant } from './receive-mutants.ts';

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copied = ['agent', 'shared', 'test', 'package.json'] as const;
const guards = 'test/agent/receive/failures';
const limitMs = 180_000;

type Run = { readonly code: number | null; readonly output: string };
type Result = 'killed' | 'SURVIVED' | 'TEXT NOT FOUND' | 'NOT JUDGED';

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
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  const { guard, text, replacement, file: tests } = mutant;
  writeFileSync(
    path,
    source.replace(text, () => replacement),
  );
  try {
    const run = await runTests(copy, ['--test-name-pattern=/^' + guard + ': /', join(guards, tests + '.test.ts')]);
    // A mutant that does not even load would fail every test: the guard itself must have run.
    const failed = new RegExp('^ *not ok \\d+ - ' + guard + ': ', 'm').test(run.output);
    const broken = /SyntaxError|ReferenceError/.test(run.output);
    if (failed && !broken) return { result: 'killed', file };
    return { result: run.code === 0 ? 'SURVIVED' : 'NOT JUDGED', file };
  } finally {
    writeFileSync(path, source);
  }
}

async function main(wanted: readonly string[]): Promise<number> {
  const chosen = mutants.filter(({ guard }) => wanted.length === 0 || wanted.includes(guard));
  if (chosen.length === 0)
    throw new Error('Cannot run mutants: none guards ' + wanted.join(', ') + ', expected numbers of failures');
  const copies = Array.from({ length: Math.min(chosen.length, availableParallelism()) }, makeCopy);
  try {
    const base = await runTests(copies[0] ?? root, [join(guards, '*.test.ts')]);
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
    for (const copy of copies) rmSync(copy, { recursive: true, force: true });
  }
}

process.exitCode = await main(process.argv.slice(2));
