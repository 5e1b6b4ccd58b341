// A provider far away: a round trip takes 20 ms.
import { createOurs, startAgent } from './agent.ts';
import { createFetchmail } from './fetchmail.ts';
import { createGetmail } from './getmail.ts';
import { createMpop } from './mpop.ts';
import { race } from './race.ts';
import { startSink } from './sink.ts';
import type { Surroundings } from './surroundings.ts';
import { against } from './verdict.ts';
import type { Case, Pair } from './verdict.ts';

/** Each direction takes half of it. */
export const roundTripMs = 20;

export async function distanceCase(around: Surroundings): Promise<readonly Case[]> {
  const { lab, dovecot, folder, fill, quick, tell } = around;
  const mails = quick ? 100 : 300;
  const proxy = await lab.proxy({ to: { host: dovecot.host, port: dovecot.pop3 } });
  proxy.delay(roundTripMs / 2);
  const far = (user: string) => ({ host: proxy.host, port: proxy.port, user });
  const sinks = { ours: await startSink({ protocol: 'smtp' }), theirs: await startSink({ protocol: 'smtp' }) };
  for (const sink of Object.values(sinks)) lab.onStop(sink.close);
  const agent = await startAgent({
    folder: folder('far-ours'),
    accounts: [{ id: 'info', source: far('ours') }],
    local: { protocol: 'smtp', host: sinks.ours.host, port: sinks.ours.port },
  });
  lab.onStop(agent.stop);
  const { theirs } = sinks;
  const contestants = [
    createOurs({ user: 'ours', agent, arrived: sinks.ours.count, left: () => dovecot.count('ours') }),
    await createMpop({ folder: folder('far-mpop'), source: far('mpop') }),
    await createFetchmail({
      folder: folder('far-fetchmail'),
      source: far('fetchmail'),
      target: {
        kind: 'smtp',
        host: theirs.host,
        port: theirs.port,
        recipient: 'info@example.org',
        arrived: theirs.count,
      },
    }),
  ];
  const results = await race({ contestants, repetitions: 1, mails, fill, tell });
  // The quick ones again: a single run of half a second says little.
  const quickOnes = contestants.slice(0, 2);
  const more = await race({ contestants: quickOnes, repetitions: quick ? 2 : 4, mails, fill, tell });
  if (!quick) {
    const slow = [
      await createFetchmail({ folder: folder('far-mda'), source: far('fetchmail'), target: { kind: 'mda' } }),
      await createGetmail({ folder: folder('far-getmail'), source: far('getmail6') }),
    ];
    await race({ contestants: slow, repetitions: 1, mails, fill, tell });
  }
  await agent.stop();
  const rates = (name: string): readonly number[] => [...results.rates(name), ...more.rates(name)];
  const [slowRate = NaN] = results.rates('fetchmail');
  const withMpop: readonly Pair[] = rates('ours').map((ours, turn) => ({ ours, peer: rates('mpop')[turn] ?? NaN }));
  const withFetchmail: readonly Pair[] = rates('ours').map((ours) => ({ ours, peer: slowRate }));
  const common = { name: mails + ' x 10 kB at ' + roundTripMs + ' ms', unit: 'mails/s' };
  return [
    against({ ...common, peer: 'mpop', pairs: withMpop, atLeast: 1, note: 'mpop writes a Maildir, pipelines' }),
    against({ ...common, peer: 'fetchmail', pairs: withFetchmail, atLeast: 30, note: 'into the same sink' }),
  ];
}
