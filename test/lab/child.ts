// A process that a test starts: its output goes to a file, its start is waited for within bounds, it is stopped by its own
// process id, and it ends with the test's process even when that is killed.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { runningProcesses } from './process-table.ts';
import { waitFor } from './wait.ts';

export type Exit = { readonly code: number | null; readonly signal: NodeJS.Signals | null };
export type Child = {
  readonly pid: number;
  /** Everything it wrote to stdout and stderr, also in earlier runs with the same log file. */
  readonly log: () => string;
  /** Undefined while it runs. */
  readonly exit: () => Exit | undefined;
  readonly waitExit: (timeoutMs?: number) => Promise<Exit>;
  /** To the process alone, not to its children. */
  readonly kill: (signal: NodeJS.Signals) => void;
  /** TERM, after `graceMs` KILL to the whole process group; resolves when it is gone. Idempotent. */
  readonly stop: (graceMs?: number) => Promise<void>;
};
export type ChildOptions = {
  /** For messages. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logFile: string;
  readonly cwd?: string;
  /** Added to the test's own environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Runs under these ids, without other groups. */
  readonly as?: { readonly uid: number; readonly gid: number };
  /** Asked until true; without it the process counts as started at once. */
  readonly ready?: () => boolean | Promise<boolean>;
  readonly startTimeoutMs?: number;
};

/** Throws, with the end of the log, when the process ends or is not ready within `startTimeoutMs` (20 s). */
export async function startChild(options: ChildOptions): Promise<Child> {
  const child = launch(options);
  const { ready, startTimeoutMs = 20_000 } = options;
  if (ready === undefined) return child;
  try {
    const started = await waitFor(
      options.name + ' to answer',
      async () => (child.exit() !== undefined ? 'ended' : (await ready()) ? 'ready' : undefined),
      { timeoutMs: startTimeoutMs, everyMs: 10 },
    );
    if (started === 'ended') throw new Error('it ended with ' + JSON.stringify(child.exit()));
    return child;
  } catch (error) {
    await child.stop(500);
    throw new Error(
      'Cannot start ' +
        options.name +
        ': not ready, expected it to answer; its log ends with\n' +
        child.log().slice(-3_000),
      { cause: error },
    );
  }
}

function launch(options: ChildOptions): Child {
  const output = openSync(options.logFile, 'a');
  // setpriv: the kernel ends the child when the test's process dies in whatever way. detached: a process group of its own.
  const { as } = options;
  const ids = as === undefined ? [] : ['--reuid=' + as.uid, '--regid=' + as.gid, '--clear-groups'];
  const child = spawn('setpriv', [...ids, '--pdeathsig', 'TERM', '--', options.command, ...options.args], {
    stdio: ['ignore', output, output],
    detached: true,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, NODE_TEST_CONTEXT: undefined, ...options.env }, // the child is no test file of node:test
  });
  closeSync(output);
  let exit: Exit | undefined;
  const gone = once(child, 'exit').then(
    ([code, signal]) => void (exit = { code: code as number | null, signal: signal as NodeJS.Signals | null }), // documented
    () => void (exit = { code: 127, signal: null }), // 'error': there is no setpriv
  );
  const pid = child.pid ?? 0;
  let stopping: Promise<void> | undefined;

  async function end(graceMs: number): Promise<void> {
    if (exit === undefined) child.kill('SIGTERM');
    const late = setTimeout(() => killGroup(pid), graceMs);
    await gone;
    clearTimeout(late);
    killGroup(pid);
    // The killed hold their ports for a moment.
    const end = performance.now() + 2_000;
    while (runningProcesses().some(({ group }) => group === pid) && performance.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  return {
    pid,
    log: () => readFileSync(options.logFile, 'utf8'),
    exit: () => exit,
    waitExit: async (timeoutMs = 15_000) => {
      const what = options.name + ' to end';
      const ended = await waitFor(what, () => exit, { timeoutMs, everyMs: 10 });
      if (ended === undefined) throw new Error('Cannot go on: ' + what);
      return ended;
    },
    kill: (signal) => void child.kill(signal),
    stop: (graceMs = 5_000) => (stopping ??= end(graceMs)),
  };
}

/** What a server left behind in its group; the group of a process that never started is nobody's. */
function killGroup(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: nobody is left
  }
}
