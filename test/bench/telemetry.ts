// `npm run bench:telemetry -- [--quick] [--json FILE] [CASE ...]`: reports from many agents through a broker into a database,
// against a shell pipe and Node-RED, in one run. Ends with 1 when a bar is missed. See README.md of this folder.
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { describe } from '#shared/failure.ts';
import { createLab } from '../lab/lab.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';
import { renderTable } from './table.ts';
import { backFillCase, fleetCase } from './telemetry-fleet.ts';
import { delayCase, embeddedCase, externalCase } from './telemetry-rate.ts';
import type { Around } from './telemetry-rate.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

const runs: Readonly<Record<string, (around: Around) => Promise<readonly Case[]>>> = {
  external: externalCase,
  delay: delayCase,
  embedded: embeddedCase,
  fleet: fleetCase,
  'back-fill': backFillCase,
};

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  });
  const unknown = positionals.find((name) => !(name in runs));
  if (unknown !== undefined) {
    process.stderr.write('Cannot measure ' + unknown + ': expected ' + Object.keys(runs).join(', ') + '\n');
    return 1;
  }
  const missing = missingPackages(['mosquitto', 'mosquitto-clients', 'influxdb', 'curl']);
  if (missing.length > 0) installPackages(missing);
  // Whoever else works on this machine waits; all processes of the benchmark have the same advantage.
  if (process.getuid?.() === 0) setPriority(-10);
  const cases: Case[] = [];
  for (const [name, run] of Object.entries(runs))
    if (positionals.length === 0 || positionals.includes(name)) cases.push(...(await measure(name, run, values.quick)));
  process.stdout.write('\n' + renderTable(cases));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases }, null, 2) + '\n');
  return cases.length > 0 && cases.every(({ holds }) => holds) ? 0 : 1;
}

/** Each case on servers of its own. */
async function measure(
  name: string,
  run: (around: Around) => Promise<readonly Case[]>,
  quick: boolean,
): Promise<readonly Case[]> {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  process.stdout.write(name + '\n');
  try {
    return await run({ lab, quick, tell: (line) => void process.stdout.write('  ' + line + '\n') });
  } catch (error) {
    process.stderr.write(describe(error).slice(0, 2_000) + '\n');
    return [figure({ name, unit: '', ours: null, bar: { kind: 'at-least', value: 1 }, note: 'could not be measured' })];
  } finally {
    for (const end of ends) await end();
  }
}

process.exitCode = await main();
