// `npm test`: installs the servers that the live tests need (Debian, root or sudo), runs the tests, and makes sure that
// nothing is left running. `--unit` runs what needs no servers. Further arguments select files by parts of their paths.
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, globSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe } from '#shared/failure.ts';
import { endLeftovers, marker } from './lab/leftovers.ts';
import { installLine, installPackages, missingPackages, neededPackages } from './lab/packages.ts';
import { isLive, selectFiles } from './lab/selection.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const testTimeoutMs = 300_000;

async function main(args: readonly string[]): Promise<number> {
  const unit = args.includes('--unit');
  const filters = args.filter((arg) => arg !== '--unit');
  const unknown = filters.find((filter) => filter.startsWith('-'));
  if (unknown !== undefined)
    return refuse('Cannot use ' + unknown + ': expected --unit or parts of paths of test files');
  const files = selectFiles(globSync('test/**/*.test.ts', { cwd: root }), { unit, filters });
  if (files.length === 0) return refuse('Cannot run tests: no file matches ' + filters.join(' '));
  if (files.some(isLive)) {
    if (process.getuid?.() !== 0) return becomeRoot(args);
    const missing = missingPackages(neededPackages);
    if (missing.length > 0) installPackages(missing);
  }
  return runTests(files);
}

function refuse(message: string): number {
  process.stderr.write(message + '\n');
  return 1;
}

/** postfix and dovecot start as root only; and so does apt-get. */
function becomeRoot(args: readonly string[]): number {
  const path = 'PATH=' + (process.env['PATH'] ?? '');
  if (spawnSync('sudo', ['-n', 'true'], { stdio: 'ignore' }).status === 0) {
    const again = ['-n', 'env', path, process.execPath, fileURLToPath(import.meta.url), ...args];
    return spawnSync('sudo', again, { stdio: 'inherit', cwd: root }).status ?? 1;
  }
  const missing = missingPackages(neededPackages);
  const remedy =
    missing.length === 0 ? '' : 'Missing packages: ' + missing.join(' ') + '\n  ' + installLine(missing) + '\n';
  return refuse(
    'Cannot run the live tests: they start postfix and dovecot, which need root, and there is no sudo without password.\n' +
      remedy +
      'Run npm test as root, or npm run test:unit for the tests that need no servers.',
  );
}

async function runTests(files: readonly string[]): Promise<number> {
  const run = randomBytes(8).toString('hex');
  const folder = mkdtempSync(join(tmpdir(), 'mf-')); // short: it begins the paths of unix sockets
  chmodSync(folder, 0o755); // servers look in under users of their own
  const options = ['--test-concurrency=2', '--test-timeout=' + testTimeoutMs, '--test-reporter=spec'];
  const child = spawn(process.execPath, ['--test', ...options, ...files], {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      [marker]: run,
      TMPDIR: folder,
      // Where servers are on Debian, also for users whose path lacks it.
      PATH: [process.env['PATH'], '/usr/sbin', '/sbin'].join(delimiter),
    },
  });
  const code = await exitCode(child);
  const left = await endLeftovers({ id: run, folder });
  rmSync(folder, { recursive: true, force: true });
  if (left.length === 0) return code;
  const list = left.map(({ pid, commandLine }) => '  ' + pid + ' ' + commandLine.slice(0, 200) + '\n').join('');
  return refuse('The tests left processes running, which were ended now:\n' + list);
}

/** A signal reaches the tests (Ctrl-C by the terminal, TERM by us); we stay to clean up behind them. */
async function exitCode(child: ChildProcess): Promise<number> {
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'exit')) as [number | null]; // documented arguments of 'exit'
  return code ?? 1;
}

process.exitCode = await main(process.argv.slice(2)).catch((error: unknown) => refuse(describe(error)));
