// A mailbox full of kept mails: a round that finds nothing new must not transfer the list of them.
import { hash } from 'node:crypto';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { fingerprintOfHead } from '../../agent/receive/ledger/fingerprint.ts';
import { waitFor } from '../lab/wait.ts';
import { startAgent } from './agent.ts';
import type { BenchAgent } from './agent.ts';
import { startCountingProxy } from './counting-proxy.ts';
import type { Passed } from './counting-proxy.ts';
import { fillMailbox } from './mailbox.ts';
import { createMails, mailOf } from './mails.ts';
import { listUidls } from './uidls.ts';
import { startSink } from './sink.ts';
import type { Surroundings } from './surroundings.ts';
import { figure, median } from './verdict.ts';
import type { Case } from './verdict.ts';

/** Login, STAT and QUIT with their answers. One line a mail would be at least 20 bytes. */
const maxRoundBytes = 2_000;

export async function keptCase(around: Surroundings): Promise<readonly Case[]> {
  const { lab, dovecot, folder, quick, tell } = around;
  const kept = quick ? 10_000 : 100_000;
  // A file system limits the links to one file.
  const bytes = mailOf(0, 500);
  const small = await createMails({ folder: folder('kept-mails'), count: 100, sizeBytes: 500, bytes });
  const sink = await startSink({ protocol: 'smtp' });
  lab.onStop(sink.close);
  const proxy = await startCountingProxy({ host: dovecot.host, port: dovecot.pop3 });
  lab.onStop(proxy.close);
  await fillMailbox(dovecot, 'kept', small, kept);
  const start = (first: boolean): Promise<BenchAgent> =>
    startAgent({
      folder: folder('kept-ours'),
      accounts: [
        {
          id: 'info',
          source: { host: proxy.host, port: proxy.port, user: 'kept' },
          options: { keep: 'forever', intervalSeconds: 1 },
        },
      ],
      local: { protocol: 'smtp', host: sink.host, port: sink.port },
      first,
    });
  // The agent makes its database and knows nothing yet; then it is made to know all of them as handed over long ago.
  proxy.serve(false);
  const before = await start(false);
  await before.stop();
  remember(join(folder('kept-ours'), 'state', 'agent.db'), await listUidls(dovecot.pop3, 'kept'), bytes);
  proxy.serve(true);
  const agent = await start(false);
  lab.onStop(agent.stop);
  const rounds = async (from: number, count: number): Promise<readonly Passed[]> => {
    await waitFor('rounds', () => proxy.ended().length >= from + count, { timeoutMs: 300_000 });
    return proxy.ended().slice(from, from + count);
  };
  const base = proxy.ended().length;
  await rounds(base, 1);
  // A round that had begun before may see the first one's end; each round is a connection of its own.
  const unchanged = await rounds(base + 1, 3);
  const from = proxy.ended().length;
  await dovecot.put('kept', mailOf(1, 500));
  await waitFor('the new mail', () => sink.count() === 1, { timeoutMs: 300_000 });
  await waitFor('the end of its round', () => proxy.ended().length > from, { timeoutMs: 300_000 });
  const changed = proxy
    .ended()
    .slice(from)
    .toSorted((a, b) => b.down - a.down)[0];
  await agent.stop();
  await proxy.close();
  if (sink.count() !== 1)
    throw new Error('Cannot measure: ' + sink.count() + ' mails were fetched, expected the new one');
  const name = kept + ' kept mails, ';
  for (const { up, down, seconds } of unchanged)
    tell('unchanged round: ' + up + ' bytes up, ' + down + ' down, ' + seconds.toFixed(2) + ' s');
  return [
    figure({
      name: name + 'unchanged round',
      unit: 'bytes',
      ours: median(unchanged.map(({ up, down }) => up + down)),
      bar: { kind: 'at-most', value: maxRoundBytes },
      note: 'counted by a proxy; ' + median(unchanged.map(({ seconds }) => seconds)).toFixed(2) + ' s',
    }),
    figure({
      name: name + 'changed round',
      unit: 'bytes',
      ours: changed === undefined ? null : changed.up + changed.down,
      note: (changed?.seconds ?? NaN).toFixed(2) + ' s',
    }),
  ];
}

/** As if each of these had been handed over; fetching them all would take longer than the rest of the benchmark. */
/** As the agent would have written it: another size or header would be taken for another mail. */
function remember(file: string, uidls: readonly string[], mail: Buffer): void {
  const bytes = Buffer.from(mail.toString('latin1').replaceAll('\n', '\r\n'), 'latin1');
  const sha256 = hash('sha256', bytes, 'hex');
  const fingerprint = fingerprintOfHead(bytes) ?? null;
  const db = new DatabaseSync(file);
  const insert = db.prepare(
    'INSERT INTO received (account, uidl, occurrence, state, listed_bytes, size_bytes, sha256, fingerprint, settled_day) ' +
      "VALUES ('info', ?, 1, 'handed-over', ?, ?, ?, ?, 1)",
  );
  db.exec('BEGIN');
  for (const uidl of uidls) insert.run(Buffer.from(uidl, 'latin1'), bytes.length, bytes.length, sha256, fingerprint);
  db.exec('COMMIT');
  db.close();
}
