// The agent and the collector as processes of their own, as an operator would start them.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { startChild } from '../lab/child.ts';
import type { Child } from '../lab/child.ts';

export type ProgramOptions = {
  readonly program: 'agent' | 'collector';
  /** Holds configuration, secrets, state and log; kept between two starts. */
  readonly folder: string;
  readonly config: object;
  /** Files beside the configuration, by name. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** How it is started; from its source unless `MAILFERRY_TEST_AGENT` says otherwise. */
  readonly runner?: Runner;
};
/** What stands before `--config FILE`. */
export type Runner = {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** Resolves when the program says that it has started. */
export async function startProgram(options: ProgramOptions): Promise<Child> {
  const { program, folder } = options;
  await mkdir(folder, { recursive: true });
  for (const [name, text] of Object.entries(options.secrets ?? {}))
    await writeFile(join(folder, name), text, { mode: 0o600 });
  const file = join(folder, program + '.yaml');
  await writeFile(file, stringify(options.config));
  const logFile = join(folder, program + '.log');
  const before = await countLines(logFile, program + ' started');
  const runner = options.runner ?? runnerOf(program);
  return startChild({
    name: program,
    command: runner.command,
    args: [...runner.args, '--config', file],
    ...(runner.env && { env: runner.env }),
    logFile,
    cwd: folder,
    // The log is kept over restarts.
    ready: async () => (await countLines(logFile, program + ' started')) > before,
  });
}

/**
 * `MAILFERRY_TEST_AGENT` lets every flow test run on something else than the source of the agent: the program and its
 * arguments, as a JSON list (test/agent/package/bundle-flow.live.test.ts).
 */
function runnerOf(program: ProgramOptions['program']): Runner {
  const given: unknown = JSON.parse(process.env['MAILFERRY_TEST_AGENT'] ?? '[]');
  const [command, ...args] = Array.isArray(given) ? given.map(String) : [];
  if (program === 'agent' && command !== undefined) return { command, args };
  const main = fileURLToPath(new URL('../../' + program + '/main.ts', import.meta.url));
  return { command: process.execPath, args: [main] };
}

async function countLines(file: string, line: string): Promise<number> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.split(line).length - 1;
}

export type ApiAgent = {
  readonly tenant: string;
  readonly id: string;
  readonly state: 'online' | 'stale' | 'offline';
  readonly lastSeenAt: string | null;
  readonly mailIn: { readonly count: number };
  readonly mailOut: { readonly count: number };
  readonly queue: { readonly count: number; readonly oldestSeconds: number };
};

/** `GET /api/agents`; throws when the collector does not answer 200. */
export async function readAgents(port: number): Promise<readonly ApiAgent[]> {
  const response = await fetch('http://127.0.0.1:' + port + '/api/agents', { signal: AbortSignal.timeout(5_000) });
  if (!response.ok) throw new Error('GET /api/agents answered ' + response.status);
  const body = (await response.json()) as { readonly items: readonly ApiAgent[] }; // the documented shape
  return body.items;
}
