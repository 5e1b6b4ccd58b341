// What is measured of the look-ups themselves: speed, loss, damage, and that nothing is left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createDns } from '../../agent/probe/dns.ts';
import type { Dns, DnsAnswer } from '../../agent/probe/dns.ts';
import { malformed } from '../agent/probe/malformed.ts';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { startFront } from './list-estate.ts';
import { against, figure } from './verdict.ts';
import type { Case, Pair } from './verdict.ts';

export type DnsblAround = {
  readonly lab: Lab;
  readonly upstreamPort: number;
  readonly quick: boolean;
  readonly tell: (line: string) => void;
};

/** Half of the names are listed; which, is known by the number. */
export const speedZone = 'speed.test';
export const speedLines = [':127.0.0.2:listed', '127.0.0.2', '10.0.0.0/9'];
const nameOf = (n: number): string => [n & 255, (n >> 8) & 255, n % 2 === 0 ? 1 : 200, 10].join('.') + '.' + speedZone;
const inFlight = 16;

function createClient(port: number, timeoutMs: number): Dns {
  return createDns({ resolvers: [{ address: '127.0.0.1', port, family: 4 }], maxInFlight: inFlight, timeoutMs });
}

type Counts = { right: number; wrong: number; failed: number };

async function lookUp(dns: Dns, count: number): Promise<Counts & { readonly seconds: number }> {
  const counts: Counts = { right: 0, wrong: 0, failed: 0 };
  const signal = new AbortController().signal;
  const began = performance.now();
  const take = (n: number, answer: DnsAnswer): void => {
    if (answer.kind === 'failed') counts.failed += 1;
    else if ((answer.kind === 'records') === (n % 2 === 0)) counts.right += 1;
    else counts.wrong += 1;
  };
  let next = 0;
  const walk = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) take(n, await dns.ask({ name: nameOf(n), type: 'A' }, signal));
  };
  await Promise.all(Array.from({ length: inFlight }, walk));
  return { ...counts, seconds: (performance.now() - began) / 1_000 };
}

async function runDig(lab: Lab, port: number, count: number): Promise<number> {
  const file = join(lab.dir, 'names-' + count);
  writeFileSync(file, Array.from({ length: count }, (_, n) => nameOf(n) + ' A\n').join(''));
  const began = performance.now();
  const dig = spawn('dig', ['@127.0.0.1', '-p', String(port), '+short', '-f', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let lines = 0;
  dig.stdout.setEncoding('utf8').on('data', (text: string) => void (lines += text.split('\n').length - 1));
  await once(dig, 'close');
  if (lines !== count / 2) throw new Error('Cannot measure dig: ' + lines + ' answers, expected ' + count / 2);
  return (performance.now() - began) / 1_000;
}

export async function speedCase({ lab, quick, tell, upstreamPort }: DnsblAround): Promise<readonly Case[]> {
  const count = quick ? 5_000 : 20_000;
  const dns = createClient(upstreamPort, 5_000);
  await lookUp(dns, 2_000); // both come warm: dig is compiled code
  const pairs: Pair[] = [];
  let worst = 0;
  for (let n = 0; n < (quick ? 3 : 5); n += 1) {
    const ours = await lookUp(dns, count);
    const dig = await runDig(lab, upstreamPort, count);
    worst = Math.max(worst, count - ours.right);
    pairs.push({ ours: count / ours.seconds, peer: count / dig });
    tell('ours ' + Math.round(count / ours.seconds) + '/s, dig -f ' + Math.round(count / dig) + '/s');
  }
  return [
    against({ name: count + ' look-ups, 16 in flight', unit: '/s', peer: 'dig', pairs, atLeast: 2 }),
    figure({ name: 'look-ups not answered rightly', unit: '', ours: worst, bar: { kind: 'at-most', value: 0 } }),
  ];
}

export async function lossCase({ lab, quick, tell, upstreamPort }: DnsblAround): Promise<readonly Case[]> {
  const count = quick ? 4_000 : 20_000;
  const loss = 0.05;
  const front = await startFront(lab, { upstreamPort, loss });
  const found = await lookUp(createClient(front.port, 400), count);
  const expected = count * loss ** 2;
  // Three standard deviations above what two tries leave.
  const most = (expected + 3 * Math.sqrt(expected)) / count;
  tell(JSON.stringify(found) + ', lost ' + (await front.lost()));
  return [
    figure({
      name: count + ' look-ups, 5 % loss: failed',
      unit: '%',
      ours: (found.failed / count) * 100,
      bar: { kind: 'at-most', value: most * 100 },
      note: 'loss^2 is 0.25 %, and three standard deviations',
    }),
    figure({
      name: 'without a result, with two, or wrong',
      unit: '',
      ours: Math.abs(count - found.failed - found.right) + found.wrong,
      bar: { kind: 'at-most', value: 0 },
    }),
  ];
}

export async function damageCase({ lab, tell, upstreamPort }: DnsblAround): Promise<readonly Case[]> {
  const front = await startFront(lab, { upstreamPort });
  const dns = createDns({
    resolvers: [{ address: '127.0.0.1', port: front.port, family: 4 }],
    timeoutMs: 500,
    tries: 1,
  });
  const signal = new AbortController().signal;
  const kinds = Object.keys(malformed);
  const ask = (n: number) => dns.ask({ name: 'k' + n + '.malformed.test', type: 'A' }, signal);
  await ask(0); // compiled before it counts
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const answers = await Promise.all(kinds.map((_, n) => ask(n)));
  const behind = await Promise.all(Array.from({ length: 10 }, () => ask(kinds.length)));
  delay.disable();
  const longest = delay.max / 1e6;
  tell('longest stop of the event loop ' + longest.toFixed(1) + ' ms');
  const taken = answers.filter(({ kind }) => kind !== 'failed').length;
  const missed = behind.filter(({ kind }) => kind !== 'records').length;
  return [
    figure({
      name: kinds.length + ' malformed kinds, 64 KiB with another id: event loop held',
      unit: 'ms',
      ours: longest,
      bar: { kind: 'at-most', value: 50 },
    }),
    figure({
      name: 'malformed taken for an answer, true answers behind them missed',
      unit: '',
      ours: taken + missed,
      bar: { kind: 'at-most', value: 0 },
    }),
  ];
}

export async function flatCase({ quick, tell, upstreamPort }: DnsblAround): Promise<readonly Case[]> {
  const count = quick ? 10_000 : 50_000;
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void; // V8's own
  const files = (): number => readdirSync('/proc/self/fd').length;
  const heap = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const dns = createClient(upstreamPort, 5_000);
  await lookUp(dns, 5_000);
  const before = { files: files(), heap: heap() };
  const found = await lookUp(dns, count);
  const after = heap();
  await waitFor('idle sockets to be closed', () => files() <= before.files);
  const grown = (after - before.heap) / 1_048_576;
  tell(count + ' look-ups, ' + found.failed + ' failed, heap ' + grown.toFixed(2) + ' MB more, files ' + files());
  return [
    figure({
      name: count + ' look-ups: heap grown',
      unit: 'MB',
      ours: Math.max(0, grown),
      bar: { kind: 'at-most', value: 2 },
    }),
    figure({
      name: 'files left open',
      unit: '',
      ours: Math.max(0, files() - before.files),
      bar: { kind: 'at-most', value: 0 },
    }),
  ];
}
