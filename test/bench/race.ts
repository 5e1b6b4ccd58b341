// Contestants take turns, so that a busy machine is busy for all of them; the order turns too.
import type { Contestant, Outcome } from './contestant.ts';

export type Results = {
  /** Mails a second of each repetition. */
  readonly rates: (name: string) => readonly number[];
  readonly outcomes: (name: string) => readonly Outcome[];
};

export async function race(options: {
  readonly contestants: readonly Contestant[];
  readonly repetitions: number;
  readonly mails: number;
  readonly fill: (user: string, mails: number) => Promise<void>;
  /** Each outcome as it comes. */
  readonly tell: (line: string) => void;
}): Promise<Results> {
  const { contestants, repetitions, mails, fill, tell } = options;
  const outcomes = new Map<string, Outcome[]>(contestants.map(({ name }) => [name, []]));
  for (let turn = 0; turn < repetitions; turn += 1) {
    const order = [...contestants.slice(turn % contestants.length), ...contestants.slice(0, turn % contestants.length)];
    for (const contestant of order) {
      await fill(contestant.user, mails);
      const outcome = await contestant.run(mails);
      outcomes.get(contestant.name)?.push(outcome);
      tell(describeOutcome(contestant.name, mails, outcome));
    }
  }
  return {
    rates: (name) => (outcomes.get(name) ?? []).map(({ seconds }) => mails / seconds),
    outcomes: (name) => outcomes.get(name) ?? [],
  };
}

function describeOutcome(name: string, mails: number, { seconds, cpuSeconds, peakMb, idleMb }: Outcome): string {
  const rate = (mails / seconds).toPrecision(4) + ' mails/s';
  const idle = idleMb === undefined ? '' : ' (idle ' + idleMb.toFixed(0) + ')';
  const figures = [seconds.toFixed(2) + ' s', 'CPU ' + cpuSeconds.toFixed(2) + ' s', peakMb.toFixed(0) + ' MB' + idle];
  return name.padEnd(16) + rate.padStart(18) + ', ' + figures.join(', ');
}
