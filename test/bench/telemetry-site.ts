// What the cases of the telemetry benchmark share: broker, database, collector, swarm.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startProgram } from '../flow/programs.ts';
import type { Child } from '../lab/child.ts';
import type { Influxdb } from '../lab/influxdb.ts';
import type { Lab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { addressOf } from './telemetry-messages.ts';
import type { SwarmOptions, SwarmResult } from './telemetry-swarm.ts';

export const password = 'the password of every agent in the benchmark';

export type Swarm = { readonly go: () => Promise<SwarmResult> };

/** Resolves when all of it is connected and all messages are made: that is not measured. */
export async function startSwarm(lab: Lab, options: SwarmOptions): Promise<Swarm> {
  const program = fileURLToPath(new URL('telemetry-swarm.ts', import.meta.url));
  const child = spawn(process.execPath, [program, JSON.stringify(options)], { stdio: ['pipe', 'pipe', 'inherit'] });
  lab.onStop(async () => void child.kill('SIGKILL'));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await Promise.race([lines.next(), once(child, 'exit').then(() => undefined)]);
    if (line === undefined || line.done === true) throw new Error('Cannot measure: the swarm ended before its time');
    return line.value;
  };
  await next();
  return {
    async go() {
      child.stdin.write('go\n');
      return JSON.parse(await next()) as SwarmResult; // telemetry-swarm.ts wrote it
    },
  };
}

export type BenchCollector = { readonly child: Child; readonly port: number; readonly restart: () => Promise<void> };

/** The collector as an operator runs it. `agents`: accounts at the embedded broker. */
export async function startCollector(options: {
  readonly lab: Lab;
  readonly name: string;
  readonly broker: object;
  readonly store: object;
  readonly agents?: number;
}): Promise<BenchCollector> {
  const { lab, name, broker, store, agents } = options;
  const web = await lab.freePort();
  const accounts =
    agents === undefined
      ? {}
      : { agents: Array.from({ length: agents }, (_, n) => ({ ...addressOf(n), password: { file: 'secret' } })) };
  const start = (): Promise<Child> =>
    startProgram({
      program: 'collector',
      folder: join(lab.dir, name),
      config: { state: 'state', web: { port: web }, broker: { ...broker, ...accounts }, store },
      secrets: { secret: password },
    });
  let child = await start();
  lab.onStop(() => child.stop());
  return {
    get child() {
      return child;
    },
    port: web,
    async restart() {
      child.kill('SIGKILL');
      await child.waitExit();
      child = await start();
    },
  };
}

/** Points that the database has, by its own count: of one field that each point of its measurement has. */
export async function countPoints(influxdb: Influxdb, database: string): Promise<number> {
  const fields = {
    agent: 'uptime_seconds',
    queue: 'depth',
    account: 'up',
    relay: 'up',
    queue_state: 'mails',
    dnsbl_target: 'listed',
    mail_in: 'count',
    mail_out: 'count',
  };
  let sum = 0;
  for (const [measurement, field] of Object.entries(fields)) {
    const answer = await influxdb.query(database, 'SELECT count("' + field + '") FROM "' + measurement + '"');
    const rows = answer as readonly {
      readonly series?: readonly { readonly values: readonly (readonly [number, number])[] }[];
    }[]; // InfluxDB 1.x
    sum += rows[0]?.series?.[0]?.values[0]?.[1] ?? 0;
  }
  return sum;
}

export async function waitForPoints(
  influxdb: Influxdb,
  database: string,
  points: number,
  limitMs: number,
): Promise<number> {
  let found = 0;
  await waitFor(points + ' points', async () => (found = await countPoints(influxdb, database)) >= points, {
    timeoutMs: limitMs,
    everyMs: 100,
  }).catch(() => {});
  return found;
}
