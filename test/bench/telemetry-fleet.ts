// Many agents at the embedded broker: what a connection costs, how soon all are back after a crash, and whether a back-fill of a
// day holds up those that report the present.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { waitFor } from '../lab/wait.ts';
import { readAgents } from '../flow/programs.ts';
import { memoryMb } from './process-usage.ts';
import type { Around } from './telemetry-rate.ts';
import { password, startCollector, startSwarm } from './telemetry-site.ts';
import { figure } from './verdict.ts';
import type { Case } from './verdict.ts';

export async function fleetCase({ lab, quick, tell }: Around): Promise<readonly Case[]> {
  const agents = quick ? 1_000 : 5_000;
  const port = await lab.freePort();
  const url = 'mqtts://localhost:' + port;
  const collector = await startCollector({
    lab,
    name: 'fleet',
    broker: { kind: 'embedded', port, urls: [url], maxConnections: 20_000, maxConnectionsPerAddress: 20_000 },
    store: { kind: 'sqlite' },
    agents,
  });
  const idle = memoryMb(collector.child.pid)?.now ?? 0;
  const crowd = fork(fileURLToPath(new URL('telemetry-crowd.ts', import.meta.url)), [
    JSON.stringify({ url, agents, password }),
  ]);
  lab.onStop(async () => void crowd.kill('SIGKILL'));
  const online = async (): Promise<number> =>
    (await readAgents(collector.port).catch(() => [])).filter(({ state }) => state === 'online').length;
  await waitFor('all agents', async () => (await online()) >= agents, { timeoutMs: 300_000, everyMs: 500 });
  const mb = memoryMb(collector.child.pid)?.now ?? 0;
  const perConnection = ((mb - idle) * 1_000) / agents;
  tell(agents + ' connections with TLS: ' + mb.toFixed(0) + ' MB, ' + perConnection.toFixed(1) + ' kB each');
  // From the moment when it can be reached again: how long it was away is not its doing.
  await collector.restart();
  const since = performance.now();
  await waitFor('all agents again', async () => (await online()) >= agents, { timeoutMs: 180_000, everyMs: 250 });
  const back = (performance.now() - since) / 1_000;
  crowd.send('count');
  const [attempts] = (await once(crowd, 'message')) as [number]; // telemetry-crowd.ts says a number
  tell('all back after ' + back.toFixed(1) + ' s, ' + (attempts / agents).toFixed(2) + ' tries each');
  return [
    figure({ name: 'memory of a connection (TLS), ' + agents + ' agents', unit: 'kB', ours: perConnection }),
    figure({ name: agents + ' agents back after a crash', unit: 's', ours: back, bar: { kind: 'at-most', value: 60 } }),
    figure({
      name: 'tries an agent needed',
      unit: 'tries',
      ours: attempts / agents,
      bar: { kind: 'at-most', value: 10 },
      note: 'no storm',
    }),
  ];
}

/** A day's batches of 100 agents beside 900 that report the present. */
export async function backFillCase({ lab, quick, tell }: Around): Promise<readonly Case[]> {
  const [live, late] = quick ? [200, 20] : [900, 100];
  const port = await lab.freePort();
  const url = 'mqtt://127.0.0.1:' + port;
  await startCollector({
    lab,
    name: 'back-fill',
    broker: { kind: 'embedded', port, maxConnectionsPerAddress: 20_000 },
    store: { kind: 'sqlite' },
    agents: live + late,
  });
  const seconds = quick ? 6 : 30;
  const rate = live / 3;
  const common = { url, format: 'batch' as const, own: { password }, stepMs: 60_000 };
  const liveLoad = (from: number) => ({ ...common, agents: live, messages: rate * seconds, window: 1_000, rate, from });
  const alone = await (await startSwarm(lab, liveLoad(Date.now()))).go();
  const day = 86_400_000;
  const fill = await startSwarm(lab, {
    ...common,
    first: live,
    agents: late,
    messages: late * (quick ? 200 : 1_440),
    window: 8,
    from: Date.now() - day,
  });
  // Other outboxes, as after a restore: the numbers of the first run are taken.
  const beside = await startSwarm(lab, { ...liveLoad(Date.now()), life: 2 });
  const filling = fill.go();
  const { p50, p99 } = await beside.go();
  const filled = await filling;
  tell(
    'live alone: p50 ' +
      alone.p50.toFixed(1) +
      ', p99 ' +
      alone.p99.toFixed(1) +
      ' ms; beside a back-fill of ' +
      Math.round(filled.points / filled.seconds) +
      ' points/s: p50 ' +
      p50.toFixed(1) +
      ', p99 ' +
      p99.toFixed(1) +
      ' ms',
  );
  return [
    figure({
      name: 'live p99 beside a back-fill of a day, ' + late + ' agents',
      unit: 'ms',
      ours: p99,
      bar: { kind: 'at-most', value: alone.p99 * 2 },
      note: 'alone ' + alone.p99.toFixed(0) + ' ms',
    }),
  ];
}
