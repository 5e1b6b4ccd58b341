// Ten clients with a mail of 50 MB each, at once: memory must follow neither the size of a mail nor the number of clients. The
// agent is the one that a NAS has: the bundle, on the oldest Node that it runs on.
import type { Lab } from '../lab/lab.ts';
import { oldestNode } from '../lab/oldest-node.ts';
import { waitFor } from '../lab/wait.ts';
import { forgetPeak, memoryMb } from './process-usage.ts';
import { submitLoad, createSmtpSink } from './send-load.ts';
import { prepareOurs } from './send-ours.ts';
import { shippedRunner } from './shipped.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

export async function sendMemoryCase(around: {
  readonly lab: Lab;
  readonly quick: boolean;
  readonly tell: (line: string) => void;
}): Promise<readonly Case[]> {
  const { lab, quick, tell } = around;
  const sizeMb = quick ? 20 : 50;
  const sink = await createSmtpSink(lab, 'memory');
  await sink.start();
  const ours = await prepareOurs(lab, 'ours-memory', sink.port, await shippedRunner(lab, await oldestNode()));
  await ours.start();
  forgetPeak(ours.pid());
  const idleMb = memoryMb(ours.pid())?.now ?? NaN;
  const startedAt = performance.now();
  await submitLoad({ lab, port: ours.port, load: { mails: 10, sessions: 10, sizeBytes: sizeMb * 1_000_000 } });
  await waitFor('the mails at the sink', () => sink.count() === 10, { timeoutMs: 600_000 });
  const seconds = (performance.now() - startedAt) / 1_000;
  const peakMb = memoryMb(ours.pid())?.peak ?? NaN;
  tell(
    '10 x ' +
      sizeMb +
      ' MB: peak ' +
      peakMb.toFixed(0) +
      ' MB, idle ' +
      idleMb.toFixed(0) +
      ' MB, ' +
      seconds.toFixed(1) +
      ' s',
  );
  await ours.stop();
  await sink.stop();
  const note = 'peak (VmHWM); idle ' + idleMb.toFixed(0) + ' MB, ' + ((10 * sizeMb) / seconds).toFixed(0) + ' MB/s';
  const bar = { kind: 'at-most', value: 100 } as const;
  return [
    figure({ name: '10 sessions of ' + sizeMb + ' MB mails, resident memory', unit: 'MB', ours: peakMb, bar, note }),
  ];
}
