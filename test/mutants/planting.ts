// What all runners of mutants share: a private copy of the repository, faults planted in it, one run of its tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export type Edit = { readonly file: string; readonly text: string; readonly replacement: string };
export type Run = { readonly code: number | null; readonly output: string };

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const copied = ['agent', 'collector', 'docs', 'shared', 'test', 'package.json', 'LICENSE'] as const;

export function makeCopy(): string {
  const copy = mkdtempSync(join(tmpdir(), 'mailferry-mutants-'));
  for (const part of copied) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}

export function removeCopy(copy: string): void {
  rmSync(copy, { recursive: true, force: true });
}

/** `args`: of `node --test`. A run that does not end is killed after `limitMs`; its code is null. */
export async function runTests(copy: string, args: readonly string[], limitMs: number): Promise<Run> {
  const child = spawn(process.execPath, ['--test', '--test-force-exit', '--test-reporter=tap', ...args], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { ...process.env, NODE_TEST_CONTEXT: undefined },
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  const late = setTimeout(() => child.kill('SIGKILL'), limitMs);
  const [code] = (await once(child, 'close')) as [number | null]; // documented
  clearTimeout(late);
  return { code, output };
}

/** Runs `work` with the faults in place, and takes them out again; undefined when a text is not there exactly once. */
export async function withFaults<T>(
  copy: string,
  edits: readonly Edit[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  const originals = new Map<string, string>();
  try {
    for (const { file, text, replacement } of edits) {
      const path = join(copy, file);
      const source = readFileSync(path, 'utf8');
      if (source.split(text).length !== 2) return undefined;
      if (!originals.has(path)) originals.set(path, source);
      writeFileSync(
        path,
        source.replace(text, () => replacement),
      );
    }
    return await work();
  } finally {
    for (const [path, source] of originals) writeFileSync(path, source);
  }
}

/** A mutant that does not even load fails every test and proves nothing. */
export function isBroken(output: string): boolean {
  return /SyntaxError|ReferenceError|ERR_MODULE_NOT_FOUND/.test(output);
}

/** For --test-name-pattern. */
export function quotePattern(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\/]/g, '\\$&');
}
