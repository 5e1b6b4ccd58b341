// The command line in the process of the test, in a folder of its own.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { TestContext } from 'node:test';
import { runCli } from '../../../agent/cli/program.ts';

export type Ran = { readonly code: number; readonly out: string; readonly error: string };

export function tempFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'mf-cli-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Secrets and the like: for their owner alone. */
export function putFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text, { mode: 0o600 });
  }
}

export async function mailferry(folder: string, args: readonly string[], input = ''): Promise<Ran> {
  let out = '';
  let error = '';
  const code = await runCli(args, {
    out: (text) => void (out += text),
    error: (text) => void (error += text),
    folder,
    now: () => Date.now(),
    readInput: () => Promise.resolve(input),
  });
  return { code, out, error };
}
