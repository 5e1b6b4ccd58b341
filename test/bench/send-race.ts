// One load, handed to each server in turn; what counts is when the sink has the last mail.
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import type { Contestant } from './contestant.ts';
import { treeCpuSeconds, treeMemoryMb } from './process-tree.ts';
import { forgetPeak, memoryMb } from './process-usage.ts';
import { race } from './race.ts';
import { submitLoad } from './send-load.ts';
import type { Load, SmtpSink } from './send-load.ts';
import type { Server } from './send-peers.ts';
import { against, median } from './verdict.ts';
import type { Case } from './verdict.ts';

export type Racer = { readonly server: Server; readonly sink: SmtpSink };

const limitMs = 600_000;

function contestantOf(lab: Lab, { server, sink }: Racer, load: Load): Contestant {
  const { name } = server;
  return {
    name,
    user: name,
    async run(mails) {
      const before = sink.count();
      const pid = server.pid();
      const cpuBefore = treeCpuSeconds(pid);
      if (name === 'ours') forgetPeak(pid);
      const startedAt = performance.now();
      const submitted = submitLoad({ lab, port: server.port, load: { ...load, mails } });
      const arrived = waitFor('all mails at the sink', () => sink.count() - before >= mails, {
        timeoutMs: limitMs,
        everyMs: 2,
      });
      await Promise.all([submitted, arrived]).catch((error: unknown) => {
        throw new Error('Cannot measure ' + name + '\n' + server.log().slice(-1_500), { cause: error });
      });
      const seconds = (performance.now() - startedAt) / 1_000;
      const cpuSeconds = treeCpuSeconds(pid) - cpuBefore;
      const peakMb = name === 'ours' ? (memoryMb(pid)?.peak ?? NaN) : treeMemoryMb(pid);
      const count = sink.count() - before;
      if (count !== mails)
        throw new Error('Cannot measure ' + name + ': ' + count + ' mails arrived, expected ' + mails);
      return { seconds, cpuSeconds, peakMb };
    },
  };
}

/** The bar counts against Postfix; the others are told. Slow ones get fewer mails. */
export async function raceCase(options: {
  readonly lab: Lab;
  readonly name: string;
  readonly racers: readonly Racer[];
  readonly load: Load;
  readonly repetitions: number;
  /** Without it the ratio is only told. */
  readonly atLeast?: number;
  readonly tell: (line: string) => void;
}): Promise<Case> {
  const { lab, name, racers, load, repetitions, tell } = options;
  const measure = (group: readonly Racer[], times: number, mails: number) =>
    race({
      contestants: group.map((racer) => contestantOf(lab, racer, load)),
      repetitions: times,
      mails,
      fill: () => Promise.resolve(),
      tell,
    });
  const isMain = ({ server }: Racer): boolean => server.name === 'ours' || server.name === 'Postfix';
  const main = await measure(racers.filter(isMain), repetitions, load.mails);
  const others = racers.filter((racer) => !isMain(racer));
  const slow = others.length === 0 ? undefined : await measure(others, 1, Math.ceil(load.mails / 5));
  const pairs = main.rates('ours').map((ours, turn) => ({ ours, peer: main.rates('Postfix')[turn] ?? NaN }));
  const cpu = (who: string): string =>
    (median(main.outcomes(who).map(({ cpuSeconds }) => (cpuSeconds / load.mails) * 1_000)) || 0).toFixed(2);
  const note = 'CPU ms a mail: ours ' + cpu('ours') + ', Postfix ' + cpu('Postfix');
  const found = against({ name, unit: 'mails/s', peer: 'Postfix', pairs, atLeast: options.atLeast ?? 0, note });
  const told = others.map(({ server }) => [server.name, Math.round(median(slow?.rates(server.name) ?? []))] as const);
  const bar = options.atLeast === undefined ? { bar: '', holds: true } : {};
  return { ...found, ...bar, peers: { ...found.peers, ...Object.fromEntries(told) } };
}
