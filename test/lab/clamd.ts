// A real clamd that knows one signature, the lab's own; it starts at once and needs little memory.
import { readFileSync } from 'node:fs';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from './child.ts';
import { mailOwner } from './maildir.ts';
import { isListening } from './port.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';

export type Clamd = RealServer & { readonly host: string; readonly port: number; readonly socket: string };

/** What clamd takes for a virus, and how it names it. */
export const labVirus = 'mailferry-lab-harmless-test-pattern';
export const labVirusName = 'Lab.Test.Pattern.UNOFFICIAL';

export async function createClamd(options: {
  readonly folder: string;
  readonly freePort: () => Promise<number>;
  /** Longer mails are refused by clamd. */
  readonly maxStreamBytes?: number;
}): Promise<Clamd> {
  const { folder, freePort, maxStreamBytes = 4 * 1_024 * 1_024 } = options;
  const port = await freePort();
  const state = join(folder, 'state');
  const socket = join(state, 's');
  const logFile = join(folder, 'log');
  await mkdir(state);
  await chown(state, mailOwner.uid, mailOwner.gid);
  await writeFile(logFile, '');
  // sigtool's format: name, any kind of file, at any offset, bytes in hexadecimal.
  await writeFile(join(state, 'lab.ndb'), 'Lab.Test.Pattern:0:*:' + Buffer.from(labVirus).toString('hex') + '\n');
  await writeFile(
    join(folder, 'clamd.conf'),
    [
      'Foreground yes',
      'DatabaseDirectory ' + state,
      'LocalSocket ' + socket,
      // Its own: TMPDIR of a test run belongs to root.
      'TemporaryDirectory ' + state,
      'TCPAddr 127.0.0.1',
      'TCPSocket ' + port,
      'StreamMaxLength ' + maxStreamBytes,
      'MaxThreads 4',
      '',
    ].join('\n'),
  );
  const service = createRealServer({
    name: 'clamd',
    readLog: () => readFileSync(logFile, 'utf8'),
    launch: () =>
      startChild({
        name: 'clamd',
        command: 'clamd',
        args: ['-c', join(folder, 'clamd.conf')],
        ...(process.getuid?.() === 0 ? { as: mailOwner } : {}),
        cwd: state,
        logFile,
        ready: () => isListening(port),
      }),
  });
  return { ...service, host: '127.0.0.1', port, socket };
}
