// `npm run bench:send -- [--quick] [--json FILE] [CASE ...]`: the send side between smtp-source and smtp-sink, against
// Postfix, OpenSMTPD and nullmailer, on one disk, in one run. Ends with 1 when a bar is missed. See README.md of this folder.
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { describe } from '#shared/failure.ts';
import { createLab } from '../lab/lab.ts';
import type { Lab } from '../lab/lab.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';
import { sendBacklogCase } from './case-send-backlog.ts';
import { sendMemoryCase } from './case-send-memory.ts';
import { createSmtpSink } from './send-load.ts';
import { prepareOurs } from './send-ours.ts';
import { startNullmailer, startOpenSmtpd, startPostfix } from './send-peers.ts';
import { raceCase } from './send-race.ts';
import type { Racer } from './send-race.ts';
import { renderTable } from './table.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

type Around = { readonly lab: Lab; readonly quick: boolean; readonly tell: (line: string) => void };

const races = {
  'ten-sessions': { title: '10 sessions', full: 2_000, quick: 300, sessions: 10, sizeBytes: 5_000, atLeast: 1.2 },
  'one-session': { title: '1 session', full: 500, quick: 100, sessions: 1, sizeBytes: 5_000, atLeast: 1 },
  large: { title: '10 sessions', full: 400, quick: 50, sessions: 10, sizeBytes: 500_000, atLeast: 1 },
  connections: { title: 'a connection each', full: 1_000, quick: 200, sessions: 10, sizeBytes: 5_000, reconnect: true },
} as const;
const others = { memory: sendMemoryCase, backlog: sendBacklogCase } as const;
const names = [...Object.keys(races), ...Object.keys(others)];

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  });
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) return refuse('Cannot measure ' + unknown + ': expected ' + names.join(', '));
  if (process.getuid?.() !== 0) return refuse('Cannot measure: Postfix needs root, expected to be run as root');
  const missing = missingPackages(['openssl', 'postfix']);
  if (missing.length > 0) installPackages(missing);
  // Whoever else works on this machine waits; load, sink and all servers have the same advantage.
  setPriority(-10);
  const cases = await measure(positionals, values.quick);
  process.stdout.write('\n' + renderTable(cases));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases }, null, 2) + '\n');
  return cases.length > 0 && cases.every(({ holds }) => holds) ? 0 : 1;
}

async function measure(chosen: readonly string[], quick: boolean): Promise<readonly Case[]> {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  const tell = (line: string): void => void process.stdout.write('  ' + line + '\n');
  const around = { lab, quick, tell };
  const wanted = (name: string): boolean => chosen.length === 0 || chosen.includes(name);
  const cases: Case[] = [];
  try {
    cases.push(...(await runRaces(around, wanted)));
    for (const [name, run] of Object.entries(others)) {
      if (!wanted(name)) continue;
      process.stdout.write(name + '\n');
      cases.push(...(await attempt(name, () => run(around))));
    }
    return cases;
  } finally {
    for (const end of ends) await end();
  }
}

async function runRaces({ lab, quick, tell }: Around, wanted: (name: string) => boolean): Promise<readonly Case[]> {
  const chosen = Object.entries(races).filter(([name]) => wanted(name));
  if (chosen.length === 0) return [];
  const racers = await startRacers(lab, quick);
  const cases: Case[] = [];
  for (const [name, race] of chosen) {
    process.stdout.write(name + '\n');
    const mails = quick ? race.quick : race.full;
    const { sessions, sizeBytes } = race;
    const load = { mails, sessions, sizeBytes, reconnect: 'reconnect' in race };
    const title = mails + ' x ' + sizeBytes / 1_000 + ' kB, ' + race.title;
    const bar = 'atLeast' in race ? { atLeast: race.atLeast } : {};
    const options = { lab, name: title, racers, load, repetitions: quick ? 1 : 5, ...bar, tell };
    cases.push(...(await attempt(title, async () => [await raceCase(options)])));
  }
  return cases;
}

/** What cannot be measured is missed, and the other cases are measured all the same. */
async function attempt(name: string, run: () => Promise<readonly Case[]>): Promise<readonly Case[]> {
  try {
    return await run();
  } catch (error) {
    process.stderr.write(describe(error).slice(0, 2_000) + '\n');
    return [figure({ name, unit: '', ours: null, bar: { kind: 'at-least', value: 1 }, note: 'could not be measured' })];
  }
}

/** The `--quick` run does without the slow ones, which have no bar. */
async function startRacers(lab: Lab, quick: boolean): Promise<readonly Racer[]> {
  const sinkOf = async (name: string) => {
    const sink = await createSmtpSink(lab, name);
    await sink.start();
    return sink;
  };
  const ourSink = await sinkOf('ours');
  const ours = await prepareOurs(lab, 'ours', ourSink.port);
  await ours.start();
  const racers: Racer[] = [{ server: ours, sink: ourSink }];
  const peers = quick ? [startPostfix] : [startPostfix, startOpenSmtpd, startNullmailer];
  for (const start of peers) {
    const sink = await sinkOf(start.name);
    racers.push({ server: await start(lab, sink.port), sink });
  }
  return racers;
}

function refuse(message: string): number {
  process.stderr.write(message + '\n');
  return 1;
}

process.exitCode = await main();
