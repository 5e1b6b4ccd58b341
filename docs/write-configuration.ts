// Writes docs/configuration.md, docs/providers.md and the JSON Schemas; with --check says whether one is stale and exits 1.
import { readFile, writeFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { buildBlockListsPage } from './block-lists-text.ts';
import { buildConfigurationPage } from './configuration-text.ts';
import { agentSchema } from '../agent/config.ts';
import { collectorSchema } from '../collector/config.ts';
import { buildProvidersPage } from './providers-text.ts';
import { buildSchema } from './schema-text.ts';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const pages = {
  'configuration.md': buildConfigurationPage(),
  'providers.md': buildProvidersPage(),
  'block-lists.md': buildBlockListsPage(),
  'mailferry-agent.schema.json': buildSchema('mailferry agent', agentSchema),
  'mailferry-collector.schema.json': buildSchema('mailferry collector', collectorSchema),
};
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
