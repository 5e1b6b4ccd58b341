// A real MQTT broker on a loopback port. Its persistence is a snapshot that an orderly stop writes: a crash loses it.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startChild } from './child.ts';
import { isListening } from './port.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';

export type Mosquitto = RealServer & { readonly host: string; readonly port: number; readonly url: string };

export async function createMosquitto(options: {
  readonly folder: string;
  readonly freePort: () => Promise<number>;
  /** Without users anybody may do anything; with users each may do anything. */
  readonly users?: Readonly<Record<string, string>>;
  /** Lines added at the end, in mosquitto's own words. */
  readonly extra?: string;
}): Promise<Mosquitto> {
  const { folder, users } = options;
  const port = await options.freePort();
  const config = join(folder, 'mosquitto.conf');
  const passwords = join(folder, 'passwords');
  const logFile = join(folder, 'log');
  await mkdir(join(folder, 'data'));
  await writeFile(logFile, '');
  if (users !== undefined) {
    await writeFile(
      passwords,
      Object.entries(users)
        .map(([user, password]) => user + ':' + password + '\n')
        .join(''),
    );
    await promisify(execFile)('mosquitto_passwd', ['-U', passwords]); // plain text to hashes
    await chmod(passwords, 0o600);
  }
  const lines = [
    // As root mosquitto would change to its own user, which cannot write here.
    ...(process.getuid?.() === 0 ? ['user root'] : []),
    'listener ' + port + ' 127.0.0.1',
    'persistence true',
    'persistence_location ' + folder + '/data/',
    'log_dest stderr',
    'log_type all',
    ...(users === undefined ? ['allow_anonymous true'] : ['allow_anonymous false', 'password_file ' + passwords]),
    options.extra ?? '',
  ];
  await writeFile(config, lines.join('\n') + '\n');
  const service = createRealServer({
    name: 'mosquitto',
    readLog: () => readFileSync(logFile, 'utf8'),
    launch: () =>
      startChild({
        name: 'mosquitto',
        command: 'mosquitto',
        args: ['-c', config],
        logFile,
        ready: () => isListening(port),
      }),
  });
  return { ...service, host: '127.0.0.1', port, url: 'mqtt://127.0.0.1:' + port };
}
