// Writes docs/configuration.md and docs/providers.md; with --check says whether one is stale and exits 1.
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { buildConfigurationPage } from './configuration-text.ts';
import { buildProvidersPage } from './providers-text.ts';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const pages = { 'configuration.md': buildConfigurationPage(), 'providers.md': buildProvidersPage() };
for (const [name, text] of Object.entries(pages)) {
  const file = new URL(name, import.meta.url);
  const known = await readFile(file, 'utf8').catch(() => '');
  if (known === text) process.stdout.write('docs/' + name + ': fresh\n');
  else if (values.check) {
    process.stderr.write('Stale: docs/' + name + '; run node docs/write-configuration.ts\n');
    process.exitCode = 1;
  } else {
    await writeFile(file, text);
    process.stdout.write('docs/' + name + ': written\n');
  }
}
