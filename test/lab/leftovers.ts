// Finds what a test run left behind: every process inherits a variable that names the run. Dovecot empties its environment,
// so the run's folder in a command line counts as well.
import { waitFor } from './wait.ts';
import { readProc, runningProcesses } from './process-table.ts';

export const marker = 'MAILFERRY_TEST_RUN';

export type Run = { readonly id: string; /** Of everything temporary. */ readonly folder: string };
export type Leftover = { readonly pid: number; readonly commandLine: string };

export function findLeftovers(run: Run): readonly Leftover[] {
  return runningProcesses().flatMap(({ pid, command }) => {
    const commandLine = readProc(pid, 'cmdline').replaceAll('\0', ' ').trim() || command;
    const marked = readProc(pid, 'environ')
      .split('\0')
      .includes(marker + '=' + run.id);
    return pid !== process.pid && (marked || commandLine.includes(run.folder)) ? [{ pid, commandLine }] : [];
  });
}

/** Gives processes that are about to end a moment, then ends the others and returns them. */
export async function endLeftovers(run: Run, graceMs = 3_000): Promise<readonly Leftover[]> {
  const none = () => findLeftovers(run).length === 0;
  const isClean = () => waitFor('the end', none, { timeoutMs: graceMs, everyMs: 100 }).catch(() => false);
  const ended = new Map<number, Leftover>();
  // More than once: what is killed may have started something just before.
  for (let round = 0; round < 5 && !(await isClean()); round += 1) {
    for (const left of findLeftovers(run)) {
      ended.set(left.pid, left);
      kill(left.pid);
    }
  }
  return [...ended.values()];
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // gone meanwhile
  }
}
