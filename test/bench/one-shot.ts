// A program that fetches and ends: measured from its start to its end.
import { spawn } from 'node:child_process';
import { openSync, closeSync, readFileSync } from 'node:fs';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Contestant, Outcome } from './contestant.ts';
import { cpuSeconds, memoryMb } from './process-usage.ts';

export type OneShot = {
  readonly name: string;
  readonly user: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Its words, for messages. */
  readonly logFile: string;
  /** Mails that have arrived, since ever. */
  readonly arrived: () => number | Promise<number>;
};
const limitMs = 600_000;

export function createOneShot(options: OneShot): Contestant {
  const { name, user, arrived } = options;
  return {
    name,
    user,
    async run(mails) {
      const before = await arrived();
      const outcome = await runOnce(options);
      const count = (await arrived()) - before;
      if (count === mails) return outcome;
      const words = readFileSync(options.logFile, 'utf8').slice(-2_000);
      throw new Error('Cannot measure ' + name + ': ' + count + ' mails arrived, expected ' + mails + '\n' + words);
    },
  };
}

async function runOnce({ command, args, env, logFile }: OneShot): Promise<Outcome> {
  const output = openSync(logFile, 'a');
  const startedAt = performance.now();
  const child = spawn(command, args, {
    stdio: ['ignore', output, output],
    env: { ...process.env, ...env },
    timeout: limitMs,
  });
  closeSync(output);
  const end: { at?: number } = {};
  const ended = once(child, 'exit').then(() => (end.at = performance.now()));
  const pid = child.pid ?? 0;
  let cpu = 0;
  let peakMb = 0;
  // The kernel keeps its figures only as long as the process lives.
  while (end.at === undefined) {
    cpu = cpuSeconds(pid) ?? cpu;
    peakMb = memoryMb(pid)?.peak ?? peakMb;
    await Promise.race([ended, sleep(10)]);
  }
  return { seconds: (end.at - startedAt) / 1_000, cpuSeconds: cpu, peakMb };
}
