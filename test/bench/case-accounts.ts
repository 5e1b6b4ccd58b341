// Many accounts at once: none may wait for the others.
import { startAgent } from './agent.ts';
import { roundTripMs } from './case-distance.ts';
import { startSink } from './sink.ts';
import { manyUsers } from './surroundings.ts';
import type { Surroundings } from './surroundings.ts';
import { waitFor } from '../lab/wait.ts';
import { figure, median } from './verdict.ts';
import type { Case } from './verdict.ts';

const mailsEach = 20;

export async function accountsCase(around: Surroundings): Promise<readonly Case[]> {
  const { lab, dovecot, folder, fill, quick, tell } = around;
  const users = quick ? manyUsers.slice(0, 20) : manyUsers;
  const proxy = await lab.proxy({ to: { host: dovecot.host, port: dovecot.pop3 } });
  proxy.delay(roundTripMs / 2);
  const sink = await startSink({ protocol: 'smtp' });
  lab.onStop(sink.close);
  const agent = await startAgent({
    folder: folder('accounts-ours'),
    accounts: users.map((user) => ({ id: user, source: { host: proxy.host, port: proxy.port, user } })),
    local: { protocol: 'smtp', host: sink.host, port: sink.port },
  });
  lab.onStop(agent.stop);
  const measure = async (chosen: readonly string[], account?: string): Promise<number> => {
    for (const user of chosen) await fill(user, mailsEach);
    const expected = sink.count() + chosen.length * mailsEach;
    const startedAt = performance.now();
    await agent.fetch(account);
    const seconds = (performance.now() - startedAt) / 1_000;
    await waitFor('all mails to arrive', () => sink.count() === expected);
    return seconds;
  };
  const alone: number[] = [];
  const together: number[] = [];
  for (let turn = 0; turn < 3; turn += 1) {
    for (const user of users.slice(turn * 3, turn * 3 + 3)) alone.push(await measure([user], user));
    together.push(await measure(users));
    tell(
      'accounts: alone at most ' + Math.max(...alone).toFixed(2) + ' s, together ' + together.at(-1)?.toFixed(2) + ' s',
    );
  }
  await agent.stop();
  const slowest = Math.max(...alone);
  return [
    figure({
      name: users.length + ' accounts x ' + mailsEach + ' mails at ' + roundTripMs + ' ms',
      unit: 's',
      ours: median(together),
      bar: { kind: 'at-most', value: 2 * slowest },
      note: 'twice the slowest of ' + alone.length + ' accounts alone (' + slowest.toFixed(2) + ' s)',
    }),
  ];
}
