// The same mails into a real local server, which writes them to disk before it answers.
import { createOurs, startAgent } from './agent.ts';
import { createFetchmail } from './fetchmail.ts';
import { race } from './race.ts';
import { targets } from './surroundings.ts';
import type { Surroundings } from './surroundings.ts';
import { against } from './verdict.ts';
import type { Case } from './verdict.ts';

/** A server that waits for its disk is faster with more than the standard of 4. */
const sessions = 8;

export async function dovecotLmtpCase(around: Surroundings): Promise<readonly Case[]> {
  const { lab, dovecot, folder, source, fill, quick, tell } = around;
  const mails = quick ? 300 : 2_000;
  const [mine, theirs] = targets;
  const agent = await startAgent({
    folder: folder('lmtp-ours'),
    accounts: [{ id: 'info', source: source('ours') }],
    local: { protocol: 'lmtp', host: dovecot.host, port: dovecot.lmtp, sessions },
    to: mine,
  });
  lab.onStop(agent.stop);
  const arrivedAt = (user: string) => (): Promise<number> => dovecot.count(user);
  const contestants = [
    createOurs({ user: 'ours', agent, arrived: arrivedAt(mine), left: arrivedAt('ours'), everyMs: 50 }),
    await createFetchmail({
      folder: folder('lmtp-fetchmail'),
      source: source('fetchmail'),
      target: {
        kind: 'lmtp',
        host: dovecot.host,
        port: dovecot.lmtp,
        recipient: theirs,
        arrived: arrivedAt(theirs),
      },
    }),
  ];
  const results = await race({ contestants, repetitions: 1, mails, fill, tell });
  await agent.stop();
  const pairs = results.rates('ours').map((ours, turn) => ({ ours, peer: results.rates('fetchmail')[turn] ?? NaN }));
  const name = mails + ' x 10 kB at 0 ms into dovecot-lmtp';
  return [
    against({
      name,
      unit: 'mails/s',
      peer: 'fetchmail',
      pairs,
      atLeast: 10,
      note: 'into the same, ours over ' + sessions + ' sessions',
    }),
  ];
}
