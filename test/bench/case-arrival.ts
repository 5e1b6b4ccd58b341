// How long a mail that arrives at the provider takes to the local server's 250; with a wake by IMAP, and without.
import { setTimeout as sleep } from 'node:timers/promises';
import { mailOf } from './mails.ts';
import { waitFor } from '../lab/wait.ts';
import { startAgent } from './agent.ts';
import { startSink } from './sink.ts';
import type { Surroundings } from './surroundings.ts';
import { figure, percentile } from './verdict.ts';
import type { Case } from './verdict.ts';
import { wakeOptions } from './wake-options.ts';

export async function arrivalCase(around: Surroundings): Promise<readonly Case[]> {
  const { quick, tell } = around;
  const intervalSeconds = quick ? 3 : 15;
  const polled = await measure(around, 'polled', { intervalSeconds }, quick ? 8 : 20, intervalSeconds);
  tell('without wake: ' + show(polled));
  const options = wakeOptions(around.dovecot);
  const woken =
    options === undefined
      ? undefined
      : await measure(around, 'woken', { intervalSeconds: 300, ...options }, quick ? 8 : 40, 1);
  if (woken !== undefined) tell('with wake: ' + show(woken));
  const name = 'arrival to local 250 ';
  const note =
    woken === undefined ? 'not available: no account option for it' : woken.length + ' mails, poll every 300 s';
  const bar = (value: number) => ({ kind: 'at-most', value }) as const;
  return [
    figure({
      name: name + 'without wake, p95',
      unit: 's',
      ours: percentile(polled, 0.95),
      bar: bar(intervalSeconds + 1),
      note:
        polled.length +
        ' mails, poll every ' +
        intervalSeconds +
        ' s; p50 ' +
        percentile(polled, 0.5).toFixed(2) +
        ' s',
    }),
    figure({
      name: name + 'with wake, p50',
      unit: 's',
      ours: woken ? percentile(woken, 0.5) : null,
      bar: bar(1),
      note,
    }),
    figure({
      name: name + 'with wake, p95',
      unit: 's',
      ours: woken ? percentile(woken, 0.95) : null,
      bar: bar(2),
      note,
    }),
  ];
}

/** Seconds of each mail; they come one after the other, at times that do not keep step with the rounds. */
async function measure(
  around: Surroundings,
  name: string,
  options: object,
  mails: number,
  spreadSeconds: number,
): Promise<readonly number[]> {
  const { lab, dovecot, folder, source } = around;
  const sink = await startSink({ protocol: 'smtp', tells: true });
  lab.onStop(sink.close);
  const agent = await startAgent({
    folder: folder('arrival-' + name),
    accounts: [{ id: 'info', source: source('arrival'), options }],
    local: { protocol: 'smtp', host: sink.host, port: sink.port },
  });
  lab.onStop(agent.stop);
  const putAt = new Map<number, number>();
  for (let serial = 1; serial <= mails; serial += 1) {
    // The wait is a part of the load, not of the measurement.
    await sleep(((serial * 0.618) % 1) * spreadSeconds * 1_000 * (2 / Math.max(2, mails / 4)) + 50);
    await dovecot.put('arrival', mailOf(serial, 10_000));
    putAt.set(serial, performance.timeOrigin + performance.now());
  }
  await waitFor('all mails to arrive', () => sink.answeredAt.size === mails, { timeoutMs: 600_000 });
  await agent.stop();
  return [...putAt].map(([serial, at]) => ((sink.answeredAt.get(serial) ?? NaN) - at) / 1_000);
}

function show(delays: readonly number[]): string {
  return [0.5, 0.95, 1].map((part) => 'p' + part * 100 + ' ' + percentile(delays, part).toFixed(2) + ' s').join(', ');
}
