// `npm run bench:telemetry:loss -- [--seeds N] [ROW ...]`: the loss table at length, ten seeds a row. Ends with 1 when a measurement
// that was committed is lost, stored twice, or stored at another time.
import { parseArgs } from 'node:util';
import { createLab } from '../lab/lab.ts';
import { installPackages, missingPackages } from '../lab/packages.ts';
import { judgeRow, rows } from './telemetry-rows.ts';
import type { Row, Verdict } from './telemetry-rows.ts';
import { createTelemetrySite } from './telemetry-site.ts';

async function judgeInLab(row: Row, seeds: readonly number[]): Promise<Verdict> {
  const ends: (() => Promise<void>)[] = [];
  try {
    const site = await createTelemetrySite(createLab({ after: (end) => void ends.push(end) }), row.site);
    return await judgeRow(row, site, seeds);
  } catch (error) {
    return { holds: false, note: String(error) };
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    options: { seeds: { type: 'string', default: '10' } },
    allowPositionals: true,
  });
  if (process.getuid?.() !== 0) throw new Error('Cannot begin: mount needs root, expected to be run as root');
  const missing = missingPackages(['mosquitto', 'influxdb']);
  if (missing.length > 0) installPackages(missing);
  const seeds = Array.from({ length: Number(values.seeds) }, (_, n) => n + 1);
  const chosen = rows.filter(({ name }) => positionals.length === 0 || positionals.some((part) => name.includes(part)));
  let missed = 0;
  for (const row of chosen) {
    const { holds, note } = await judgeInLab(row, seeds);
    if (!holds) missed += 1;
    process.stdout.write((holds ? 'holds  ' : 'MISSED ') + row.name.padEnd(58) + note + '\n');
  }
  process.stdout.write(
    chosen.length - missed + ' of ' + chosen.length + ' rows hold, ' + seeds.length + ' seeds each\n',
  );
  return missed === 0 && chosen.length > 0 ? 0 : 1;
}

process.exitCode = await main();
