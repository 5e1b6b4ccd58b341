// Writes docs/configuration.md; with --check says whether it is stale and exits 1.
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { buildConfigurationPage } from './configuration-text.ts';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const file = new URL('configuration.md', import.meta.url);
const text = buildConfigurationPage();
const known = await readFile(file, 'utf8').catch(() => '');
if (known === text) process.stdout.write('docs/configuration.md: fresh\n');
else if (values.check) {
  process.stderr.write('Stale: docs/configuration.md; run node docs/write-configuration.ts\n');
  process.exitCode = 1;
} else {
  await writeFile(file, text);
  process.stdout.write('docs/configuration.md: written\n');
}
