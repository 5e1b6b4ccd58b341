// Node-RED, installed by npm into a folder that is kept between runs of the benchmark: no part of this repository.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Path of its program. */
export async function npmInstall(name: string, version: string): Promise<string> {
  const folder = join(tmpdir(), 'mailferry-bench-' + name + '-' + version);
  const program = join(folder, 'node_modules', name, 'red.js');
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const args = ['install', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', folder, name + '@' + version];
  await promisify(execFile)('npm', args, { timeout: 900_000 });
  return program;
}
