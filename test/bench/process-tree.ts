// What a server of many processes uses: itself and everything it has started. proc(5)
import { readFileSync, readdirSync } from 'node:fs';
import { readProc } from '../lab/process-table.ts';
import { cpuSeconds } from './process-usage.ts';

/** Of `root` and its descendants, CPU with that of children that have ended. */
export function treeCpuSeconds(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + (cpuSeconds(pid) ?? 0), 0);
}

/** Memory that would be free without them: shared pages count in parts (PSS). */
export function treeMemoryMb(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + pssMb(pid), 0);
}

function treeOf(root: number): readonly number[] {
  const parents = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const stat = readProc(Number(name), 'stat');
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ');
    return stat === '' ? [] : [[Number(name), Number(fields[1])] as const];
  });
  const found = [root];
  for (const one of found) for (const [pid, parent] of parents) if (parent === one) found.push(pid);
  return found;
}

function pssMb(pid: number): number {
  try {
    const text = readFileSync('/proc/' + pid + '/smaps_rollup', 'utf8');
    return (Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1_024) / 1_000_000;
  } catch {
    return 0; // it has ended
  }
}
