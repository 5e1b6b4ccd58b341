// `npm run bench:receive -- [--quick] [--json FILE] [CASE ...]`: the receive side against fetchmail, getmail6 and mpop, on
// one dovecot, in one run. Ends with 1 when a bar is missed. See README.md of this folder for how each figure is taken.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createLab } from '../lab/lab.ts';
import { accountsCase } from './case-accounts.ts';
import { arrivalCase } from './case-arrival.ts';
import { distanceCase } from './case-distance.ts';
import { dovecotLmtpCase } from './case-dovecot-lmtp.ts';
import { fastSinkCase } from './case-fast-sink.ts';
import { keptCase } from './case-kept.ts';
import { largeCase } from './case-large.ts';
import { installBenchPackages } from './packages.ts';
import { createSurroundings } from './surroundings.ts';
import { renderTable } from './table.ts';
import type { Case } from './verdict.ts';

const allCases = {
  'fast-sink': fastSinkCase,
  'dovecot-lmtp': dovecotLmtpCase,
  distance: distanceCase,
  large: largeCase,
  kept: keptCase,
  accounts: accountsCase,
  arrival: arrivalCase,
} as const;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  });
  const unknown = positionals.find((name) => !Object.hasOwn(allCases, name));
  if (unknown !== undefined)
    return refuse('Cannot measure ' + unknown + ': expected ' + Object.keys(allCases).join(', '));
  if (process.getuid?.() !== 0) return refuse('Cannot measure: dovecot needs root, expected to be run as root');
  installBenchPackages();
  const cases = await measure(positionals, values.quick);
  process.stdout.write('\n' + renderTable(cases));
  if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ cases }, null, 2) + '\n');
  return cases.every(({ holds }) => holds) ? 0 : 1;
}

async function measure(chosen: readonly string[], quick: boolean): Promise<readonly Case[]> {
  const ends: (() => Promise<void>)[] = [];
  const lab = createLab({ after: (work) => void ends.push(work) });
  const tell = (line: string): void => void process.stdout.write('  ' + line + '\n');
  const cases: Case[] = [];
  try {
    const around = await createSurroundings({ lab, quick, tell });
    for (const [name, run] of Object.entries(allCases)) {
      if (chosen.length > 0 && !chosen.includes(name)) continue;
      process.stdout.write(name + '\n');
      cases.push(...(await run(around)));
    }
    return cases;
  } finally {
    for (const end of ends) await end();
  }
}

function refuse(message: string): number {
  process.stderr.write(message + '\n');
  return 1;
}

process.exitCode = await main();
