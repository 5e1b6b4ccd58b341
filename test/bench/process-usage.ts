// What a process uses, as the kernel counts it: CPU time with that of children it has waited for, and memory.
import { readFileSync, writeFileSync } from 'node:fs';
import { codeOf } from '#shared/failure.ts';

/** Debian's kernels count in hundredths of a second (sysconf(_SC_CLK_TCK)), on every architecture that we know. */
const ticksPerSecond = 100;

/** Seconds of CPU since its start; undefined when it is gone. */
export function cpuSeconds(pid: number): number | undefined {
  const stat = read('/proc/' + pid + '/stat');
  // proc(5): after `pid (command) `, where the command may hold anything: state is field 3, utime to cstime are 14 to 17.
  const fields = stat?.slice(stat.lastIndexOf(') ') + 2).split(' ');
  if (fields === undefined || fields[0] === 'Z') return undefined;
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / ticksPerSecond;
}

/** Megabytes (10^6 bytes) in memory now, and the most since the start or since `forgetPeak`. */
export function memoryMb(pid: number): { readonly now: number; readonly peak: number } | undefined {
  const status = read('/proc/' + pid + '/status') ?? '';
  const value = (name: string): number | undefined => {
    const found = new RegExp('^' + name + ':\\s+(\\d+) kB$', 'm').exec(status);
    return found === null ? undefined : (Number(found[1]) * 1_024) / 1_000_000;
  };
  const [now, peak] = [value('VmRSS'), value('VmHWM')];
  return now === undefined || peak === undefined ? undefined : { now, peak };
}

/** From here on `peak` counts anew (proc_pid_clear_refs(5)). */
export function forgetPeak(pid: number): void {
  writeFileSync('/proc/' + pid + '/clear_refs', '5');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESRCH') return undefined;
    throw error;
  }
}
