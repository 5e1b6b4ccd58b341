// `npm run bench:dnsbl -- [--quick] [--json FILE] [CASE ...]`: block lists against check_rbl and dig, on a real rbldnsd and an
// estate of lists that misbehave, in one run. Ends with 1 when a bar is missed. See README.md of this folder.
import { writeFileSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parseArgs } from 'node:util';
import { describe } from '#shared/failure.ts';
import { createLab } from '../lab/lab.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';
import { checkRblPackages } from './check-rbl.ts';
import { damageCase, flatCase, lossCase, speedCase, speedLines, speedZone } from './dnsbl-cases.ts';
import { estateCase } from './dnsbl-estate-case.ts';
import { estateZones } from './list-estate.ts';
import { renderTable } from './table.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

const cases = { estate: estateCase, speed: speedCase, loss: lossCase, damage: damageCase, flat: flatCase } as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  });
  const unknown = positionals.find((name) => !(name in cases));
  if (unknown !== undefined) {
    process.stderr.write('Cannot measure ' + unknown + ': expected ' + Object.keys(cases).join(', ') + '\n');
    return 2;
  }
  const missing = missingPackages(checkRblPackages);
  if (missing.length > 0) installPackages(missing);
  // Whoever else works on this machine waits; both sides and the list server have the same advantage.
  if (process.getuid?.() === 0) setPriority(-10);
  const found = await measure(positionals, values.quick);
  process.stdout.write('\n' + renderTable(found));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases: found }, null, 2) + '\n');
  return found.length > 0 && found.every(({ holds }) => holds) ? 0 : 1;
}

async function measure(chosen: readonly string[], quick: boolean): Promise<readonly Case[]> {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  try {
    const { port: upstreamPort } = await lab.rbldnsd({ zones: { ...estateZones(), [speedZone]: speedLines } });
    const tell = (line: string): void => void process.stdout.write('  ' + line + '\n');
    const found: Case[] = [];
    for (const [name, run] of Object.entries(cases)) {
      if (chosen.length > 0 && !chosen.includes(name)) continue;
      process.stdout.write(name + '\n');
      try {
        found.push(...(await run({ lab, upstreamPort, quick, tell })));
      } catch (error) {
        found.push({ ...figure({ name, unit: '', ours: null, note: describe(error) }), holds: false, bar: 'measured' });
      }
    }
    return found;
  } finally {
    for (const end of ends) await end();
  }
}

process.exitCode = await main();
