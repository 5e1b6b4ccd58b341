// Many small mails, no distance, a local server that costs nothing: what the fetcher itself can do, journalled.
import { createOurs, startAgent } from './agent.ts';
import type { Contestant } from './contestant.ts';
import { createFetchmail } from './fetchmail.ts';
import { createGetmail } from './getmail.ts';
import { createMpop } from './mpop.ts';
import { race } from './race.ts';
import { startSink } from './sink.ts';
import type { Surroundings } from './surroundings.ts';
import { against } from './verdict.ts';
import type { Case, Pair } from './verdict.ts';

export async function fastSinkCase(around: Surroundings): Promise<readonly Case[]> {
  const { lab, folder, source, fill, quick, tell } = around;
  const mails = quick ? 500 : 2_000;
  const ours: Contestant[] = [];
  const stops: (() => Promise<void>)[] = [];
  for (const protocol of ['smtp', 'lmtp'] as const) {
    const sink = await startSink({ protocol });
    lab.onStop(sink.close);
    const user = protocol === 'smtp' ? 'ours' : 'ours-lmtp';
    const local = { protocol, host: sink.host, port: sink.port };
    const agent = await startAgent({
      folder: folder('fast-' + protocol),
      accounts: [{ id: 'info', source: source(user) }],
      local,
    });
    lab.onStop(agent.stop);
    stops.push(agent.stop, sink.close);
    const left = (): Promise<number> => around.dovecot.count(user);
    ours.push({ ...createOurs({ user, agent, arrived: sink.count, left }), name: 'ours ' + protocol });
  }
  const peers = [
    await createMpop({ folder: folder('fast-mpop'), source: source('mpop') }),
    await createFetchmail({
      folder: folder('fast-fetchmail'),
      source: source('fetchmail'),
      target: { kind: 'mda' },
    }),
    ...(quick ? [] : [await createGetmail({ folder: folder('fast-getmail'), source: source('getmail6') })]),
  ];
  const results = await race({ contestants: [...ours, ...peers], repetitions: 3, mails, fill, tell });
  for (const stop of stops) await stop();
  const pairs = (name: string, peer: string): readonly Pair[] =>
    results.rates(name).map((rate, turn) => ({ ours: rate, peer: results.rates(peer)[turn] ?? NaN }));
  return ['smtp', 'lmtp'].flatMap((protocol) => {
    const name = mails + ' x 10 kB at 0 ms into a fast ' + protocol.toUpperCase() + ' sink';
    const mine = 'ours ' + protocol;
    const common = { name, unit: 'mails/s' };
    return [
      against({ ...common, peer: 'mpop', pairs: pairs(mine, 'mpop'), atLeast: 1, note: 'mpop writes a Maildir' }),
      against({ ...common, peer: 'fetchmail', pairs: pairs(mine, 'fetchmail'), atLeast: 3, note: 'to an MDA' }),
    ];
  });
}
