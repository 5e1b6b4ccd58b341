// `npm run fuzz:receive -- [--count N] [--seed S] [--workers W]`: N (a million) seeded mutations of valid POP3 sessions, one
// life in ten through the whole receive room with its ledger, the others through the POP3 client alone. Prints how they ended; exit code 1 on a crash, a hang, half a mail or a DELE without
// hand-over. `--life SEED` plays one life again, as a fault names it.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';
import { runClientLife } from './client-life.ts';
import { createTally } from './tally.ts';
import { runLife } from './life.ts';
import type { LifeReport } from './life.ts';

type Task = { readonly seeds: readonly number[]; readonly folder: string };
const roundsPerLife = 100;

async function work({ seeds, folder }: Task): Promise<void> {
  for (const seed of seeds) {
    const life = { seed, rounds: roundsPerLife };
    const whole = seed % 10 === 0;
    const report = await (whole ? runLife({ ...life, folder: join(folder, String(seed)) }) : runClientLife(life));
    if (whole) rmSync(join(folder, String(seed)), { recursive: true, force: true });
    parentPort?.postMessage(report);
  }
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      count: { type: 'string', default: '1000000' },
      seed: { type: 'string', default: '20261125' },
      workers: { type: 'string', default: String(availableParallelism()) },
      life: { type: 'string' },
    },
  });
  const count = Number(values.count);
  const workers = Number(values.workers);
  if (!Number.isSafeInteger(count) || count < 1 || !Number.isSafeInteger(workers) || workers < 1)
    throw new Error(
      'Cannot fuzz: --count ' + values.count + ' --workers ' + values.workers + ', expected numbers from 1',
    );
  const lives = values.life === undefined ? Math.ceil(count / roundsPerLife) : 1;
  const seeds = Array.from({ length: lives }, (_, index) => Number(values.life ?? Number(values.seed) + index));
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-fuzz-'));
  const tally = createTally();
  const startedAt = performance.now();
  let printedAt = startedAt;
  try {
    await Promise.all(
      Array.from({ length: Math.min(workers, lives) }, async (_, index) => {
        const mine = seeds.filter((_seed, at) => at % workers === index);
        const task: Task = { seeds: mine, folder: join(folder, String(index)) };
        const worker = new Worker(new URL(import.meta.url), { workerData: task });
        await new Promise<void>((resolve) => {
          worker.on('message', (report: LifeReport) => {
            tally.add(report);
            if (performance.now() - printedAt < 15_000) return;
            printedAt = performance.now();
            process.stderr.write(tally.rounds() + ' sessions, ' + rate(tally.rounds(), startedAt) + ' a second\n');
          });
          worker.on('error', (error) => tally.crash(error));
          worker.on('exit', () => resolve());
        });
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  process.stdout.write(
    tally.text() + rate(tally.rounds(), startedAt) + ' sessions a second, seed ' + values.seed + '\n',
  );
  const complete = tally.rounds() >= Math.min(count, lives * roundsPerLife);
  if (!complete) process.stdout.write('INCOMPLETE: ' + tally.rounds() + ' of ' + count + '\n');
  return tally.faults().length === 0 && complete ? 0 : 1;
}

function rate(rounds: number, startedAt: number): number {
  return Math.round(rounds / ((performance.now() - startedAt) / 1_000));
}

if (isMainThread) process.exitCode = await main();
else await work(workerData as Task); // given by main() above
