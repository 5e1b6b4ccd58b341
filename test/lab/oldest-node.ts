// The oldest Node that the agent promises to run on (DSM's Node.js_v22 may be as old). Fetched once, by the lock file in
// node22/, into .artifacts/ of this checkout.
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

const root = dirname(dirname(import.meta.dirname));
export const oldestVersion = 'v22.13.1';

/** Path of its program. Throws when npm cannot fetch it. */
export async function oldestNode(): Promise<string> {
  const place = join(root, '.artifacts', 'node-' + oldestVersion + '-' + process.arch, 'node');
  if (existsSync(place)) return place;
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-node-'));
  try {
    for (const file of ['package.json', 'package-lock.json'])
      copyFileSync(join(import.meta.dirname, 'node22', file), join(folder, file));
    const args = ['ci', '--ignore-scripts', '--no-audit', '--no-fund'];
    await promisify(execFile)('npm', args, { cwd: folder, timeout: 280_000, env: withoutNpm() });
    const found = join(folder, 'node_modules', 'node-linux-' + process.arch, 'bin', 'node');
    mkdirSync(dirname(place), { recursive: true });
    // Another test may be doing the same: the name appears at once, with the whole file.
    const own = place + '.' + process.pid;
    copyFileSync(found, own);
    renameSync(own, place);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return place;
}

/** Under `npm test` the environment holds the options of that npm, which would move what this one installs. */
function withoutNpm(): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(?:config_(?:local_)?prefix|package)/i.test(name)),
  );
}
