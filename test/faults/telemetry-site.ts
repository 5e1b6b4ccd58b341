// One agent, one collector, and what lies between, each to be killed by itself: the site of the loss table.
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { connect } from 'mqtt';
import { heldClientIdOf, topicOf, userOf } from '#shared/topics.ts';
import { startProgram } from '../flow/programs.ts';
import type { Child } from '../lab/child.ts';
import type { Influxdb } from '../lab/influxdb.ts';
import type { Lab } from '../lab/lab.ts';
import type { Mosquitto } from '../lab/mosquitto.ts';
import type { Proxy } from '../lab/proxy.ts';
import { mountSmallDisk } from '../lab/small-disk.ts';
import type { SmallDisk } from '../lab/small-disk.ts';
import { waitFor } from '../lab/wait.ts';
import type { AgentOrder, AgentSetup, AgentWord } from './telemetry-agent.ts';

export const origin = { tenant: 'acme', agent: 'nas-1' } as const;
const password = 'right-password-right';
const slow = { timeoutMs: 90_000, everyMs: 50 };
/** serial -> time. */
export type Ledger = ReadonlyMap<number, number>;

export type TelemetrySite = {
  readonly agent: {
    /** Resolves when all of it is committed; rejects when the process dies before. */
    readonly tell: (order: AgentOrder) => Promise<AgentWord>;
    readonly kill: () => Promise<void>;
    readonly start: () => Promise<void>;
  };
  readonly collector: {
    readonly start: () => Promise<void>;
    readonly kill: () => Promise<void>;
    readonly stop: () => Promise<void>;
  };
  readonly line: Proxy;
  readonly mosquitto: Mosquitto | undefined;
  readonly influxdb: Influxdb | undefined;
  /** Where the collector keeps everything. */
  readonly disk: SmallDisk | undefined;
  /** Nonsense on the agent's topics, under its account. */
  readonly poison: (payloads: readonly Uint8Array[]) => Promise<void>;
  /** Waits until the store has as many mails as were committed, then gives both. */
  readonly compare: () => Promise<{ readonly committed: Ledger; readonly stored: Ledger; readonly counted: number }>;
};

export async function createTelemetrySite(lab: Lab, kind: 'embedded' | 'external'): Promise<TelemetrySite> {
  const [brokerPort, page] = [await lab.freePort(), await lab.freePort()];
  const folders = { agent: join(lab.dir, 'agent'), collector: join(lab.dir, 'collector') };
  await mkdir(folders.agent);
  const users = { [userOf(origin)]: password, collector: 'secret' };
  const mosquitto = kind === 'external' ? await lab.mosquitto({ users }) : undefined;
  const influxdb = kind === 'external' ? await lab.influxdb() : undefined;
  const disk = kind === 'embedded' ? mountSmallDisk(join(folders.collector, 'state'), 24) : undefined;
  if (disk !== undefined) lab.onStop(disk.unmount);
  const line = await lab.proxy({ to: { host: '127.0.0.1', port: mosquitto?.port ?? brokerPort } });
  const config = {
    state: 'state',
    web: { port: page },
    broker:
      mosquitto === undefined
        ? { kind: 'embedded', port: brokerPort, agents: [{ ...origin, password: { file: 'agent' } }] }
        : { kind: 'external', url: mosquitto.url, user: 'collector', password: { file: 'broker' } },
    store:
      influxdb === undefined
        ? { kind: 'sqlite' }
        : { kind: 'influxdb', host: influxdb.host, port: influxdb.port, database: 'mailferry' },
  };

  let collector: Child | undefined;
  const startCollector = async (): Promise<void> => {
    collector = await startProgram({
      program: 'collector',
      folder: folders.collector,
      config,
      secrets: { agent: password, broker: 'secret' },
    });
  };
  lab.onStop(async () => collector?.stop(500));
  const agent = createAgentProcess(lab, { folder: folders.agent, url: 'mqtt://127.0.0.1:' + line.port, password });
  await startCollector();
  await agent.start();

  const count = async (): Promise<number> => {
    const response = await fetch('http://127.0.0.1:' + page + '/api/agents', { signal: AbortSignal.timeout(5_000) });
    const { items } = (await response.json()) as {
      readonly items: readonly { readonly mailIn: { readonly count: number } }[];
    }; // documented
    return items[0]?.mailIn.count ?? 0;
  };
  const readStore = (): Promise<Ledger> | Ledger =>
    influxdb === undefined ? readSqlite(join(folders.collector, 'state', 'metrics.db')) : readInflux(influxdb);
  return {
    agent,
    collector: {
      start: startCollector,
      stop: async () => collector?.stop(),
      async kill() {
        collector?.kill('SIGKILL');
        await collector?.waitExit();
      },
    },
    line,
    mosquitto,
    influxdb,
    disk,
    poison: (payloads) => sendPoison(mosquitto?.port ?? brokerPort, payloads),
    async compare() {
      const committed = readLedger(folders.agent);
      await waitFor('all that was committed to be counted', async () => (await count()) >= committed.size, slow).catch(
        async (error: unknown) => {
          throw new Error(
            committed.size +
              ' were committed, ' +
              (await count()) +
              ' counted, ' +
              (await readStore()).size +
              ' stored',
            { cause: error },
          );
        },
      );
      return { committed, stored: await readStore(), counted: await count() };
    },
  };
}

function createAgentProcess(lab: Lab, setup: AgentSetup): TelemetrySite['agent'] {
  let child: ChildProcess | undefined;
  const words: AgentWord[] = [];
  lab.onStop(() => void child?.kill('SIGKILL'));
  return {
    async start() {
      const env: NodeJS.ProcessEnv = { ...process.env };
      delete env['NODE_TEST_CONTEXT'];
      const started = fork(join(import.meta.dirname, 'telemetry-agent.ts'), [JSON.stringify(setup)], {
        env,
        stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
      });
      child = started;
      words.length = 0;
      started.on('message', (word) => void words.push(word as AgentWord)); // telemetry-agent.ts sends nothing else
      await waitFor('the agent', () => words.length > 0 || started.exitCode !== null, slow);
    },
    async tell(order) {
      const [now, before] = [child, words.length];
      if (now?.connected !== true) throw new Error('Cannot tell the agent: it does not run');
      now.send(order);
      await waitFor('the agent to answer', () => words.length > before || !now.connected, slow);
      const answer = words[before];
      if (answer === undefined) throw new Error('the agent died');
      return answer;
    },
    async kill() {
      const now = child;
      if (now === undefined || now.exitCode !== null) return;
      const ended = once(now, 'exit');
      now.kill('SIGKILL');
      await ended;
    },
  };
}

/** As a second connection of the same account, which throws the agent out no more than a held copy of it would. */
async function sendPoison(port: number, payloads: readonly Uint8Array[]): Promise<void> {
  const client = connect('mqtt://127.0.0.1:' + port, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    clientId: heldClientIdOf(origin, '0123456789abcdef'),
    username: userOf(origin),
    password,
  });
  client.on('error', () => {});
  const ended = new Promise<void>((resolve) => client.once('close', () => resolve()));
  const entered = new Promise<void>((resolve) => client.once('connect', () => resolve()));
  await Promise.race([entered, ended]);
  // Not every broker takes all of it: then it ends the connection, and that is its answer.
  await Promise.race([
    ended,
    Promise.allSettled(
      payloads.map((payload) => client.publishAsync(topicOf(origin, 'up'), Buffer.from(payload), { qos: 1 })),
    ),
  ]);
  client.end(true);
}

function readLedger(folder: string): Ledger {
  const db = new DatabaseSync(join(folder, 'agent.db'), { readOnly: true });
  try {
    return new Map(
      db
        .prepare('SELECT serial, at FROM ledger')
        .all()
        .map((row) => [Number(row['serial']), Number(row['at'])]),
    );
  } finally {
    db.close();
  }
}

/** Throws when a mail is there twice. */
function readSqlite(file: string): Ledger {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const query =
      "SELECT at, json_extract(fields, '$.size_bytes') AS serial FROM point JOIN series ON series.id = point.series WHERE metric = 'mail_in'";
    return ledgerOf(
      db
        .prepare(query)
        .all()
        .map((row) => [Number(row['serial']), Number(row['at'])]),
    );
  } finally {
    db.close();
  }
}

async function readInflux(influxdb: Influxdb): Promise<Ledger> {
  const results = (await influxdb.query('mailferry', 'SELECT size_bytes FROM mail_in')) as readonly {
    readonly series?: readonly { readonly values: readonly (readonly [number, number])[] }[];
  }[]; // InfluxDB 1.x
  return ledgerOf((results[0]?.series?.[0]?.values ?? []).map(([at, serial]) => [serial, at]));
}

function ledgerOf(rows: readonly (readonly [serial: number, at: number])[]): Ledger {
  const ledger = new Map(rows);
  if (ledger.size !== rows.length)
    throw new Error('a mail is stored twice: ' + rows.length + ' points of ' + ledger.size + ' mails');
  return ledger;
}
