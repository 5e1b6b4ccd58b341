// A relay that was down for long: thousands of mails wait. The agent must start as fast as ever, need little more memory,
// and send them as fast as Postfix when the relay is back.
import { setTimeout as sleep } from 'node:timers/promises';
import { spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Lab } from '../lab/lab.ts';
import { readProc } from '../lab/process-table.ts';
import { waitFor } from '../lab/wait.ts';
import { memoryMb } from './process-usage.ts';
import { createSmtpSink, submitLoad } from './send-load.ts';
import type { Load, SmtpSink } from './send-load.ts';
import { prepareOurs } from './send-ours.ts';
import type { OurServer } from './send-ours.ts';
import { startPostfix } from './send-peers.ts';
import { against, figure } from './verdict.ts';
import type { Case } from './verdict.ts';

const sizeBytes = 5_000;
/** After its start a process is still at work for a moment. */
const settleMs = 4_000;

export async function sendBacklogCase(around: {
  readonly lab: Lab;
  readonly quick: boolean;
  readonly tell: (line: string) => void;
}): Promise<readonly Case[]> {
  const { lab, quick, tell } = around;
  const mails = quick ? 1_000 : 10_000;
  const load: Load = { mails, sessions: 10, sizeBytes };
  const sink = await createSmtpSink(lab, 'backlog');
  const ours = await prepareOurs(lab, 'ours-backlog', sink.port);
  await ours.start();
  const idleMb = await settledMb(ours);
  await submitLoad({ lab, port: ours.port, load });
  await ours.stop();
  const startedAt = performance.now();
  const started = ours.start();
  await waitFor('the greeting', () => greets(ours.port), { timeoutMs: 60_000, everyMs: 5 });
  const readySeconds = (performance.now() - startedAt) / 1_000;
  await started;
  const fullMb = await settledMb(ours);
  tell(
    mails +
      ' mails wait: ready in ' +
      readySeconds.toFixed(2) +
      ' s, ' +
      fullMb.toFixed(0) +
      ' MB, empty ' +
      idleMb.toFixed(0) +
      ' MB',
  );
  await sink.start();
  const oursRate = await drain(sink, mails, ours.flush);
  await ours.stop();
  await sink.stop();
  const peerRate = await drainPostfix(lab, load);
  tell('drained: ours ' + oursRate.toFixed(0) + ' mails/s, Postfix ' + peerRate.toFixed(0));
  const name = mails + ' queued mails, relay down: ';
  return [
    figure({
      name: name + 'ready',
      unit: 's',
      ours: readySeconds,
      bar: { kind: 'at-most', value: 2 },
      note: 'from the start of the process to the greeting',
    }),
    figure({
      name: name + 'memory above empty',
      unit: 'MB',
      ours: fullMb - idleMb,
      bar: { kind: 'at-most', value: 20 },
      note: fullMb.toFixed(0) + ' MB resident',
    }),
    against({
      name: mails + ' queued mails, relay back: drained',
      unit: 'mails/s',
      peer: 'Postfix',
      pairs: [{ ours: oursRate, peer: peerRate }],
      atLeast: 1,
      note: 'from `queue flush`, postqueue -f',
    }),
  ];
}

async function settledMb(ours: OurServer): Promise<number> {
  await sleep(settleMs);
  return memoryMb(ours.pid())?.now ?? NaN;
}

async function drain(sink: SmtpSink, mails: number, flush: () => Promise<void>): Promise<number> {
  const before = sink.count();
  const startedAt = performance.now();
  await flush();
  await waitFor('an empty queue', () => sink.count() - before >= mails, { timeoutMs: 600_000, everyMs: 5 });
  return mails / ((performance.now() - startedAt) / 1_000);
}

async function drainPostfix(lab: Lab, load: Load): Promise<number> {
  const sink = await createSmtpSink(lab, 'backlog-postfix');
  const { pid, port, postfix } = await startPostfix(lab, sink.port);
  await submitLoad({ lab, port, load });
  const folder = /(?:^|\0)MAIL_CONFIG=([^\0]*)/.exec(readProc(pid(), 'environ'))?.[1] ?? '';
  // Every mail was tried once: what is in the active queue would make the flush look faster than it is.
  const waiting = (): boolean => {
    const files = readdirSync(join(folder, 'queue', 'deferred'), { recursive: true, withFileTypes: true });
    return files.filter((file) => file.isFile()).length === load.mails;
  };
  await waitFor('all mails to be deferred', waiting, { timeoutMs: 300_000, everyMs: 500 });
  await sink.start();
  const flush = (): Promise<void> => {
    const { status, stderr } = spawnSync('postqueue', ['-c', folder, '-f'], { encoding: 'utf8' });
    return status === 0 ? Promise.resolve() : Promise.reject(new Error('Cannot flush Postfix: ' + stderr));
  };
  const rate = await drain(sink, load.mails, flush);
  await postfix.crash();
  await sink.stop();
  return rate;
}

async function greets(port: number): Promise<boolean> {
  const socket = connect({ host: '127.0.0.1', port });
  try {
    await once(socket, 'data');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
