// The peers of the telemetry benchmark. Both get the points as finished lines, which they need not read: less work than ours.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Influxdb } from '../lab/influxdb.ts';
import type { Lab } from '../lab/lab.ts';
import type { Mosquitto } from '../lab/mosquitto.ts';
import { waitFor } from '../lab/wait.ts';
import { npmInstall } from './telemetry-node-red.ts';

export type Peer = {
  readonly name: string;
  /** Resolves when it listens; its `done` when it has passed everything on. */
  readonly start: (
    database: string,
    messages: number,
  ) => Promise<{ readonly done: Promise<unknown>; readonly stop: () => Promise<void> }>;
};
type Around = { readonly lab: Lab; readonly mosquitto: Mosquitto; readonly influxdb: Influxdb };

const batchLines = 5_000;

/** mosquitto_sub | split | curl: not durable, acknowledges nothing. */
export function createPipe({ lab, mosquitto, influxdb }: Around): Peer {
  return {
    name: 'mosquitto_sub pipe',
    async start(database, messages) {
      const url = 'http://127.0.0.1:' + influxdb.port + '/write?precision=ms&db=' + database;
      const sub =
        'mosquitto_sub -h 127.0.0.1 -p ' +
        mosquitto.port +
        " -i bench-pipe -q 1 -N -t 'mailferry/1/+/+/up' -C " +
        messages;
      const split =
        'split -l ' + batchLines + ' --filter "curl -s -o /dev/null --data-binary @- \'' + url + '\'" - part';
      const shell = spawn('sh', ['-c', sub + ' | ' + split], { cwd: lab.dir, stdio: 'ignore', detached: true });
      const exit = once(shell, 'exit');
      await waitFor('the pipe at the broker', () => mosquitto.log().includes('Received SUBSCRIBE from bench-pipe'));
      return {
        done: exit,
        async stop() {
          if (shell.exitCode === null && shell.pid !== undefined) process.kill(-shell.pid, 'SIGKILL');
          await exit;
        },
      };
    },
  };
}

/** Node-RED: one flow that gathers lines by hand and writes them in batches. */
export function createNodeRed({ lab, mosquitto, influxdb }: Around): Peer {
  return {
    name: 'Node-RED batched',
    async start(database) {
      const folder = join(lab.dir, 'node-red-' + database);
      await mkdir(folder, { recursive: true });
      const flow = flowOf(mosquitto.port, 'http://127.0.0.1:' + influxdb.port + '/write?precision=ms&db=' + database);
      await writeFile(join(folder, 'flows.json'), JSON.stringify(flow));
      await writeFile(
        join(folder, 'settings.js'),
        'module.exports = {flowFile: "flows.json", uiHost: "127.0.0.1", logging: {console: {level: "info"}}, httpAdminRoot: false, disableEditor: true};\n',
      );
      const port = await lab.freePort();
      const before = mosquitto.log().split('Received SUBSCRIBE').length;
      const child = spawn(
        process.execPath,
        [await npmInstall('node-red', '4.1.8'), '--userDir', folder, '--port', String(port)],
        { stdio: 'ignore' },
      );
      const exit = once(child, 'exit');
      lab.onStop(async () => void child.kill('SIGKILL'));
      await waitFor('Node-RED at the broker', () => mosquitto.log().split('Received SUBSCRIBE').length > before, {
        timeoutMs: 120_000,
      });
      return {
        done: new Promise<never>(() => {}),
        async stop() {
          child.kill('SIGKILL');
          await exit;
        },
      };
    },
  };
}

function flowOf(port: number, url: string): readonly object[] {
  const gather = [
    "const held = context.get('held') || []; if (msg.payload !== 'flush') held.push(msg.payload);",
    "const count = msg.payload === 'flush' ? " + batchLines + ' : held.length * 10;',
    'if (held.length > 0 && count >= ' + batchLines + ") { context.set('held', []); return {payload: held.join('')}; }",
    "context.set('held', held); return null;",
  ].join('\n');
  return [
    { id: 'tab', type: 'tab', label: 'bench' },
    {
      id: 'broker',
      type: 'mqtt-broker',
      broker: '127.0.0.1',
      port: String(port),
      clientid: 'bench-node-red',
      protocolVersion: '4',
      keepalive: '60',
      cleansession: true,
      autoConnect: true,
    },
    {
      id: 'in',
      type: 'mqtt in',
      z: 'tab',
      topic: 'mailferry/1/+/+/up',
      qos: '1',
      datatype: 'utf8',
      broker: 'broker',
      wires: [['gather']],
    },
    {
      id: 'tick',
      type: 'inject',
      z: 'tab',
      repeat: '0.5',
      once: true,
      payload: 'flush',
      payloadType: 'str',
      props: [{ p: 'payload' }],
      wires: [['gather']],
    },
    { id: 'gather', type: 'function', z: 'tab', func: gather, outputs: 1, wires: [['write']] },
    { id: 'write', type: 'http request', z: 'tab', method: 'POST', ret: 'txt', url, headers: [], wires: [[]] },
  ];
}
