// Adds up the reports of many lives.
import { describe } from '#shared/failure.ts';
import type { LifeReport } from './life.ts';

export function createTally() {
  const endStates = new Map<string, number>();
  const mutations = new Map<string, number>();
  const faults: string[] = [];
  let [rounds, handedOver, deleted] = [0, 0, 0];
  const addAll = (to: Map<string, number>, from: Readonly<Record<string, number>>): void => {
    for (const [name, count] of Object.entries(from)) to.set(name, (to.get(name) ?? 0) + count);
  };
  const table = (title: string, from: ReadonlyMap<string, number>): string =>
    title +
    '\n' +
    [...from]
      .sort(([, a], [, b]) => b - a)
      .map(([name, count]) => '  ' + String(count).padStart(9) + '  ' + name + '\n')
      .join('');
  return {
    add(report: LifeReport): void {
      rounds += report.rounds;
      handedOver += report.handedOver;
      deleted += report.deleted;
      addAll(endStates, report.endStates);
      addAll(mutations, report.mutations);
      faults.push(...report.faults);
    },
    crash: (error: unknown): void => void faults.push('crash: ' + describe(error)),
    rounds: () => rounds,
    endStates: (): ReadonlyMap<string, number> => endStates,
    mutations: (): ReadonlyMap<string, number> => mutations,
    faults: (): readonly string[] => faults,
    text: (): string =>
      table('how sessions ended', endStates) +
      table('mutations that took place', mutations) +
      rounds +
      ' sessions, ' +
      handedOver +
      ' mails handed over, ' +
      deleted +
      ' deleted by a QUIT\n' +
      'faults: ' +
      faults.length +
      '\n' +
      faults
        .slice(0, 5)
        .map((fault) => '  ' + fault + '\n')
        .join(''),
  };
}
