// Writes the provisioning files; with --check says which are stale and exits 1.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { buildFiles } from './files.ts';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const stale: string[] = [];
for (const [path, text] of buildFiles()) {
  const file = fileURLToPath(new URL('provisioning/' + path, import.meta.url));
  const known = await readFile(file, 'utf8').catch(() => '');
  if (known === text) continue;
  stale.push('dashboards/provisioning/' + path);
  if (values.check) continue;
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
}
if (values.check && stale.length > 0) {
  process.stderr.write('Stale: ' + stale.join(', ') + '; run npm run dashboards\n');
  process.exit(1);
}
process.stdout.write(stale.length === 0 ? 'dashboards: fresh\n' : 'dashboards: written ' + stale.join(', ') + '\n');
