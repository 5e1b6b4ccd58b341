// Mails of 100 MB: memory must not follow the size of a mail.
import { createOurs, startAgent } from './agent.ts';
import { createFetchmail } from './fetchmail.ts';
import { createGetmail } from './getmail.ts';
import { fillMailbox } from './mailbox.ts';
import { createMails } from './mails.ts';
import { createMpop } from './mpop.ts';
import { race } from './race.ts';
import { startSink } from './sink.ts';
import type { Surroundings } from './surroundings.ts';
import { against, figure, median } from './verdict.ts';
import type { Case } from './verdict.ts';

const sizeMb = 100;
const mails = 2;

export async function largeCase(around: Surroundings): Promise<readonly Case[]> {
  const { lab, dovecot, folder, source, quick, tell } = around;
  const large = await createMails({ folder: folder('large-mails'), count: mails, sizeBytes: sizeMb * 1_000_000 });
  const sink = await startSink({ protocol: 'smtp' });
  lab.onStop(sink.close);
  const agent = await startAgent({
    folder: folder('large-ours'),
    accounts: [{ id: 'info', source: source('ours') }],
    local: { protocol: 'smtp', host: sink.host, port: sink.port },
  });
  lab.onStop(agent.stop);
  const contestants = [
    createOurs({ user: 'ours', agent, arrived: sink.count, left: () => dovecot.count('ours') }),
    await createFetchmail({ folder: folder('large-fetchmail'), source: source('fetchmail'), target: { kind: 'mda' } }),
    ...(quick
      ? []
      : [
          await createMpop({ folder: folder('large-mpop'), source: source('mpop') }),
          await createGetmail({ folder: folder('large-getmail'), source: source('getmail6') }),
        ]),
  ];
  const fill = (user: string, count: number): Promise<void> => fillMailbox(dovecot, user, large, count);
  const results = await race({ contestants, repetitions: quick ? 1 : 2, mails, fill, tell });
  await agent.stop();
  const name = mails + ' x ' + sizeMb + ' MB';
  const megabytes = (who: string): readonly number[] => results.rates(who).map((rate) => rate * sizeMb);
  const pairs = megabytes('ours').map((ours, turn) => ({ ours, peer: megabytes('fetchmail')[turn] ?? NaN }));
  const above = results.outcomes('ours').map(({ peakMb, idleMb }) => peakMb - (idleMb ?? NaN));
  return [
    against({ name, unit: 'MB/s', peer: 'fetchmail', pairs, atLeast: 1, note: 'to an MDA' }),
    figure({
      name: name + ', resident memory above idle',
      unit: 'MB',
      ours: median(above),
      bar: { kind: 'at-most', value: 30 },
      note: 'peak since idle (VmHWM)',
    }),
  ];
}
