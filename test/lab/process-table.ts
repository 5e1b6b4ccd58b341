// The running processes as /proc tells them. Dead ones that nobody has collected yet do not count.
import { readFileSync, readdirSync } from 'node:fs';

export type Process = { readonly pid: number; readonly group: number; readonly command: string };

export function runningProcesses(): readonly Process[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const found = readProcess(Number(name));
    return found === undefined ? [] : [found];
  });
}

/** proc(5): `pid (command) state parent group ...`; the command may hold blanks and parentheses. */
function readProcess(pid: number): Process | undefined {
  const stat = readProc(pid, 'stat');
  const match = /^\d+ \((.*)\) (\S) \d+ (\d+) /s.exec(stat);
  if (match === null) return undefined;
  const [, command = '', state = '', group = '0'] = match;
  return state === 'Z' || state === 'X' ? undefined : { pid, group: Number(group), command };
}

/** Text of a file of the process; '' when it is gone or not ours to read. */
export function readProc(pid: number, file: 'stat' | 'environ' | 'cmdline'): string {
  try {
    return readFileSync('/proc/' + pid + '/' + file, 'utf8');
  } catch {
    return '';
  }
}
