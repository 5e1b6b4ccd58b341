// `npm run bench:agent -- [--quick] [--node 22|24|FILE] [--source] [--json FILE]`: what the agent costs a NAS that has little:
// memory, CPU and disk writes while nothing happens and while mail flows, the peak of a large mail, the time to its start.
// Ends with 1 when a bar is missed. See README.md of this folder for how each figure is taken.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { Runner } from '../flow/programs.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import { oldestNode } from '../lab/oldest-node.ts';
import { waitFor } from '../lab/wait.ts';
import { mailOf } from './mails.ts';
import { accounts, customer, openOffice, writtenBytes } from './nas-site.ts';
import type { Office } from './nas-site.ts';
import { measurePeers } from './nas-peers.ts';
import { cpuSeconds, forgetPeak, memoryMb } from './process-usage.ts';
import { treeMemoryMb } from './process-tree.ts';
import { shippedRunner } from './shipped.ts';
import { renderTable } from './table.ts';
import { figure, median } from './verdict.ts';
import type { Case } from './verdict.ts';

const largeMb = 100;
const main = join(import.meta.dirname, '..', '..', 'agent', 'main.ts');

async function run(): Promise<number> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean', default: false },
      node: { type: 'string', default: '22' },
      source: { type: 'boolean', default: false },
      peers: { type: 'boolean', default: true },
      json: { type: 'string' },
    },
    allowNegative: true,
  });
  if (process.getuid?.() !== 0) return refuse('Cannot measure: dovecot needs root, expected to be run as root');
  const node = values.node === '22' ? await oldestNode() : values.node === '24' ? process.execPath : values.node;
  if (!existsSync(node)) return refuse('Cannot measure: no file ' + node + ', expected --node 22, 24 or a program');
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  try {
    const runner: Runner = values.source ? { command: node, args: [main] } : await shippedRunner(lab, node);
    const cases = await measure({ lab, runner, quick: values.quick, peers: values.peers });
    process.stdout.write('\n' + renderTable(cases));
    if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases }, null, 2) + '\n');
    return cases.every(({ holds }) => holds) ? 0 : 1;
  } finally {
    for (const end of ends) await end();
  }
}

type Around = { readonly lab: Lab; readonly runner: Runner; readonly quick: boolean; readonly peers: boolean };

async function measure({ lab, runner, quick, peers }: Around): Promise<readonly Case[]> {
  const office = await openOffice(lab);
  const starts: number[] = [];
  for (let turn = 0; turn <= (quick ? 2 : 5); turn += 1) {
    const agent = await office.start(runner);
    starts.push(agent.readyMs / 1_000);
    tell('start ' + (turn + 1) + ': ready after ' + agent.readyMs.toFixed(0) + ' ms');
    await agent.stop();
  }
  const agent = await office.start(runner);
  await office.fetch();
  const flowing = await watch({
    pid: agent.pid,
    seconds: quick ? 60 : 600,
    what: 'mail flows',
    each: (second) => letMailFlow(office, second),
  });
  await drained(office);
  const idle = await watch({ pid: agent.pid, seconds: quick ? 60 : 900, what: 'nothing happens' });
  const peak = await measurePeak(office, agent.pid);
  await agent.stop();
  const [cold = NaN, ...warm] = starts;
  const atMost = (value: number) => ({ kind: 'at-most', value }) as const;
  return [
    figure({
      name: 'ready',
      unit: 's',
      ours: median(warm),
      bar: atMost(1.5),
      note: 'median of ' + warm.length + '; the first, with nothing compiled yet: ' + cold.toFixed(2) + ' s',
    }),
    memoryCase('memory, idle', idle),
    memoryCase('memory, mail flows', flowing),
    figure({ name: 'CPU, idle', unit: '% of a core', ours: idle.cpuPercent, bar: atMost(0.5), note: idle.note }),
    figure({
      name: 'CPU, mail flows',
      unit: '% of a core',
      ours: flowing.cpuPercent,
      bar: atMost(0.5),
      note: flowing.note,
    }),
    figure({ name: 'disk writes, idle', unit: 'kB an hour', ours: idle.kbPerHour, note: '/proc/PID/io' }),
    figure({
      name: 'memory, ' + largeMb + ' MB in and out at once',
      unit: 'MB',
      ours: peak,
      bar: atMost(110),
      note: 'peak (VmHWM)',
    }),
    ...(peers ? await measurePeers({ lab, office, seconds: quick ? 30 : 300, tell }) : []),
  ];
}

function memoryCase(name: string, { residentMb, pssMb }: Watched): Case {
  const note = 'resident (VmRSS), median; without pages that others share ' + pssMb.toFixed(0) + ' MB (PSS)';
  return figure({ name, unit: 'MB', ours: residentMb, bar: { kind: 'at-most', value: 75 }, note });
}

type Watched = {
  readonly residentMb: number;
  readonly pssMb: number;
  readonly cpuPercent: number;
  readonly kbPerHour: number;
  readonly note: string;
};

async function watch(options: {
  readonly pid: number;
  readonly seconds: number;
  readonly what: string;
  readonly each?: (second: number) => Promise<void>;
}): Promise<Watched> {
  const { pid, seconds, what, each } = options;
  const resident: number[] = [];
  const before = { cpu: cpuSeconds(pid) ?? NaN, written: await writtenBytes(pid), at: performance.now() };
  for (let second = 0; second < seconds; second += 1) {
    await each?.(second);
    await pass(1_000);
    resident.push(memoryMb(pid)?.now ?? NaN);
  }
  const passed = (performance.now() - before.at) / 1_000;
  const cpuPercent = (((cpuSeconds(pid) ?? NaN) - before.cpu) / passed) * 100;
  const kbPerHour = (((await writtenBytes(pid)) - before.written) / passed) * 3.6;
  const residentMb = median(resident);
  tell(
    what + ': ' + residentMb.toFixed(1) + ' MB, ' + cpuPercent.toFixed(2) + ' % CPU, ' + kbPerHour.toFixed(0) + ' kB/h',
  );
  return { residentMb, pssMb: treeMemoryMb(pid), cpuPercent, kbPerHour, note: 'over ' + passed.toFixed(0) + ' s' };
}

/** A busy office: twelve mails in and six out a minute. */
async function letMailFlow(office: Office, second: number): Promise<void> {
  if (second % 5 === 0)
    await office.provider.put(accounts[(second / 5) % accounts.length] ?? '', mailOf(second, 20_000));
  if (second % 10 === 0) await office.submit(20_000);
}

async function drained(office: Office): Promise<void> {
  await office.fetch();
  let seen = -1;
  await waitFor(
    'the mail to be through',
    async () => {
      const counted = (await office.local.count()) + (await office.relay.count());
      const still = counted === seen;
      seen = counted;
      return still;
    },
    { timeoutMs: 60_000, everyMs: 2_000 },
  );
}

async function measurePeak(office: Office, pid: number): Promise<number> {
  const address = accounts[0] ?? '';
  const before = { in: await office.local.count(), out: (await office.relay.mails(customer)).length };
  await office.provider.put(address, mailOf(1, largeMb * 1_000_000));
  forgetPeak(pid);
  const startedAt = performance.now();
  await Promise.all([office.fetch(), office.submit(largeMb * 1_000_000)]);
  await waitFor(
    'the large mails to arrive',
    async () => (await office.local.count()) > before.in && (await office.relay.count()) > before.out,
    { timeoutMs: 300_000, everyMs: 250 },
  );
  const peak = memoryMb(pid)?.peak ?? NaN;
  const seconds = (performance.now() - startedAt) / 1_000;
  tell(largeMb + ' MB in and out: peak ' + peak.toFixed(0) + ' MB, ' + seconds.toFixed(1) + ' s');
  return peak;
}

function tell(line: string): void {
  process.stdout.write('  ' + line + '\n');
}

function refuse(message: string): number {
  process.stderr.write(message + '\n');
  return 1;
}

process.exitCode = await run();
