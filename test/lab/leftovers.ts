// Finds what a test run left behind: every process inherits a variable that names the run.
import { waitFor } from './wait.ts';
import { readProc, runningProcesses } from './process-table.ts';

export const marker = 'MAILFERRY_TEST_RUN';

export type Leftover = { readonly pid: number; readonly commandLine: string };

export function findLeftovers(run: string): readonly Leftover[] {
  return runningProcesses().flatMap(({ pid, command }) => {
    if (
      pid === process.pid ||
      !readProc(pid, 'environ')
        .split('\0')
        .includes(marker + '=' + run)
    )
      return [];
    return [{ pid, commandLine: readProc(pid, 'cmdline').replaceAll('\0', ' ').trim() || command }];
  });
}

/** Gives processes that are about to end a moment, then ends the others and returns them. */
export async function endLeftovers(run: string, graceMs = 3_000): Promise<readonly Leftover[]> {
  const none = () => findLeftovers(run).length === 0;
  const clean = await waitFor('the end of all processes', none, { timeoutMs: graceMs, everyMs: 100 }).catch(
    () => false,
  );
  if (clean) return [];
  const left = findLeftovers(run);
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // gone meanwhile
    }
  }
  return left;
}
