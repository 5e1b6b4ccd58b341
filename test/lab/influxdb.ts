// A real InfluxDB 1.x on loopback ports with its own folders. It reports to nobody.
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startChild } from './child.ts';
import { createRealServer } from './real-server.ts';
import type { RealServer } from './real-server.ts';

export type Influxdb = RealServer & {
  readonly host: string;
  readonly port: number;
  /** InfluxQL; the answer's `results` as it came (times in ms). `db` may be '' for statements without one. Throws on an error. */
  readonly query: (db: string, statement: string) => Promise<unknown>;
};

export async function createInfluxdb(options: {
  readonly folder: string;
  readonly freePort: () => Promise<number>;
}): Promise<Influxdb> {
  const { folder } = options;
  const port = await options.freePort();
  const config = join(folder, 'influxdb.conf');
  const logFile = join(folder, 'log');
  await writeFile(logFile, '');
  await writeFile(config, influxConfig(folder, port, await options.freePort()));
  const base = 'http://127.0.0.1:' + port;
  const service = createRealServer({
    name: 'influxdb',
    readLog: () => readFileSync(logFile, 'utf8'),
    launch: () =>
      startChild({
        name: 'influxdb',
        command: 'influxd',
        args: ['run', '-config', config],
        logFile,
        ready: () =>
          fetch(base + '/ping').then(
            ({ status }) => status === 204,
            () => false,
          ),
      }),
  });
  return { ...service, host: '127.0.0.1', port, query: (db, statement) => query(base, db, statement) };
}

function influxConfig(folder: string, httpPort: number, backupPort: number): string {
  const off = [
    'monitor]\nstore-enabled = false',
    'subscriber]\nenabled = false',
    'continuous_queries]\nenabled = false',
  ];
  return `reporting-disabled = true
bind-address = "127.0.0.1:${backupPort}"
[meta]
dir = "${folder}/meta"
[data]
dir = "${folder}/data"
wal-dir = "${folder}/wal"
query-log-enabled = false
[http]
enabled = true
bind-address = "127.0.0.1:${httpPort}"
log-enabled = false
${off.map((section) => '[' + section + '\n').join('')}`;
}

async function query(base: string, db: string, statement: string): Promise<unknown> {
  const address = base + '/query?' + new URLSearchParams({ db, epoch: 'ms' }).toString();
  const response = await fetch(address, { method: 'POST', body: new URLSearchParams({ q: statement }) });
  const answer = (await response.json()) as { error?: string; results?: readonly { error?: string }[] }; // InfluxDB 1.x
  const error = answer.error ?? answer.results?.find((result) => result.error !== undefined)?.error;
  if (error !== undefined) throw new Error('Cannot query ' + statement + ': ' + error);
  return answer.results;
}
