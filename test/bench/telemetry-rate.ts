// How many points a second, and how late: an external broker with InfluxDB beside the peers, and the embedded broker with SQLite.
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import type { Influxdb } from '../lab/influxdb.ts';
import type { Lab } from '../lab/lab.ts';
import type { Mosquitto } from '../lab/mosquitto.ts';
import { cpuSeconds, memoryMb } from './process-usage.ts';
import { pointsAMessage } from './telemetry-messages.ts';
import { createNodeRed, createPipe } from './telemetry-peers.ts';
import type { Peer } from './telemetry-peers.ts';
import { countPoints, password, startCollector, startSwarm, waitForPoints } from './telemetry-site.ts';
import { against, figure, median } from './verdict.ts';
import type { Case, Pair } from './verdict.ts';

export type Around = { readonly lab: Lab; readonly quick: boolean; readonly tell: (line: string) => void };

const agents = 1_000;
const stepMs = 1_000;
/** Within the shards that the database keeps open. */
const recently = (messages: number): number =>
  Math.floor(Date.now() / 1_000) * 1_000 - Math.ceil(messages / agents) * stepMs;

type Servers = { readonly mosquitto: Mosquitto; readonly influxdb: Influxdb };

async function startServers(lab: Lab): Promise<Servers> {
  // Without these mosquitto throws away what waits beyond 1,000 messages: the peers would lose most of it.
  const mosquitto = await lab.mosquitto({ extra: 'max_queued_messages 0\nmax_inflight_messages 1000' });
  const influxdb = await lab.influxdb();
  return { mosquitto, influxdb };
}

export async function externalCase({ lab, quick, tell }: Around): Promise<readonly Case[]> {
  const { mosquitto, influxdb } = await startServers(lab);
  const messages = quick ? 10_000 : 60_000;
  const peers = [createPipe({ lab, mosquitto, influxdb }), createNodeRed({ lab, mosquitto, influxdb })];
  const rates = new Map<string, number[]>();
  const note = (name: string, rate: number): void => void rates.set(name, [...(rates.get(name) ?? []), rate]);
  const repetitions = quick ? 1 : 5;
  for (let turn = 0; turn < repetitions; turn += 1) {
    for (const peer of peers) {
      const found = await runPeer({
        lab,
        mosquitto,
        influxdb,
        peer,
        messages,
        database: 'peer_' + turn + '_' + peers.indexOf(peer),
      });
      note(peer.name, found.rate);
      tell(
        peer.name +
          ': ' +
          Math.round(found.rate) +
          ' points/s, stored ' +
          found.stored +
          ' of ' +
          messages * pointsAMessage,
      );
    }
    const ours = await runOurs({ lab, mosquitto, influxdb, messages, database: 'ours_' + turn });
    note('ours', ours.rate);
    tell(
      'ours: ' +
        Math.round(ours.rate) +
        ' points/s, stored ' +
        ours.stored +
        ' of ' +
        messages * pointsAMessage +
        ', CPU ' +
        ours.cpu.toFixed(1) +
        ' s, ' +
        ours.mb.toFixed(0) +
        ' MB, acknowledged p50 ' +
        ours.p50.toFixed(0) +
        ' p99 ' +
        ours.p99.toFixed(0) +
        ' ms',
    );
    if (ours.stored !== (messages + agents) * pointsAMessage)
      throw new Error('Cannot judge: ours stored ' + ours.stored);
  }
  const own = rates.get('ours') ?? [];
  const bars = [1, 1.5];
  return peers.map(({ name }, index) => {
    const pairs = (rates.get(name) ?? []).map((peer, turn): Pair => ({ ours: own[turn] ?? 0, peer }));
    return against({
      name: messages + ' messages of ' + agents + ' agents, mosquitto and InfluxDB',
      unit: 'points/s',
      peer: name,
      pairs,
      atLeast: bars[index] ?? 1,
      note: 'ours durable and acknowledged',
    });
  });
}

async function runPeer(
  options: Servers & { readonly lab: Lab; readonly peer: Peer; readonly messages: number; readonly database: string },
) {
  const { lab, mosquitto, influxdb, peer, messages, database } = options;
  await influxdb.query('', 'CREATE DATABASE ' + database);
  const swarm = await startSwarm(lab, {
    url: mosquitto.url,
    format: 'lines',
    agents,
    messages,
    window: 0,
    from: recently(messages),
    stepMs,
  });
  const { done, stop } = await peer.start(database, messages);
  const points = messages * pointsAMessage;
  try {
    const since = performance.now();
    await swarm.go();
    // A pipe ends by itself; of Node-RED only the database knows.
    const stored = await Promise.race([
      done.then(() => countPoints(influxdb, database)),
      waitForPoints(influxdb, database, points, 60_000),
    ]);
    return { rate: stored / ((performance.now() - since) / 1_000), stored };
  } finally {
    await stop();
  }
}

async function runOurs(options: Servers & { readonly lab: Lab; readonly messages: number; readonly database: string }) {
  const { lab, mosquitto, influxdb, messages, database } = options;
  const collector = await startCollector({
    lab,
    name: database,
    broker: { kind: 'external', url: mosquitto.url },
    store: { kind: 'influxdb', port: influxdb.port, database },
  });
  const swarm = await startSwarm(lab, {
    url: mosquitto.url,
    format: 'batch',
    agents,
    messages,
    window: 8,
    from: recently(messages),
    stepMs,
  });
  const before = cpuSeconds(collector.child.pid) ?? 0;
  const { seconds, points, p50, p99 } = await swarm.go();
  const cpu = (cpuSeconds(collector.child.pid) ?? 0) - before;
  const mb = memoryMb(collector.child.pid)?.peak ?? 0;
  const stored = await countPoints(influxdb, database);
  await collector.child.stop();
  return { rate: points / seconds, stored, cpu, mb, p50, p99 };
}

/** At half of what goes through, from the publication to the acknowledgement, which comes when the database answers for it. */
export async function delayCase({ lab, quick, tell }: Around): Promise<readonly Case[]> {
  const { mosquitto, influxdb } = await startServers(lab);
  const full = await runOurs({ lab, mosquitto, influxdb, messages: quick ? 10_000 : 60_000, database: 'full' });
  const rate = full.rate / pointsAMessage / 2;
  const messages = Math.ceil(rate * (quick ? 5 : 30));
  await startCollector({
    lab,
    name: 'half',
    broker: { kind: 'external', url: mosquitto.url },
    store: { kind: 'influxdb', port: influxdb.port, database: 'half' },
  });
  const swarm = await startSwarm(lab, {
    url: mosquitto.url,
    format: 'batch',
    agents,
    messages,
    window: 1_000,
    rate,
    from: recently(messages),
    stepMs,
  });
  const { p50, p99, points } = await swarm.go();
  const stored = await countPoints(influxdb, 'half');
  tell(
    Math.round(rate * pointsAMessage) +
      ' points/s offered: p50 ' +
      p50.toFixed(0) +
      ' ms, p99 ' +
      p99.toFixed(0) +
      ' ms, stored ' +
      stored +
      ' of ' +
      points,
  );
  return [
    figure({
      name: 'publish to queryable at half load, p99',
      unit: 'ms',
      ours: stored === points + agents * pointsAMessage ? p99 : null,
      bar: { kind: 'at-most', value: 500 },
      note: Math.round(rate * pointsAMessage) + ' points/s',
    }),
  ];
}

export async function embeddedCase({ lab, quick, tell }: Around): Promise<readonly Case[]> {
  const own = 200;
  const messages = quick ? 6_000 : 30_000;
  const rates: number[] = [];
  for (let turn = 0; turn < (quick ? 1 : 3); turn += 1) {
    const port = await lab.freePort();
    const name = 'embedded-' + turn;
    const collector = await startCollector({
      lab,
      name,
      broker: { kind: 'embedded', port },
      store: { kind: 'sqlite' },
      agents: own,
    });
    const swarm = await startSwarm(lab, {
      url: 'mqtt://127.0.0.1:' + port,
      format: 'batch',
      agents: own,
      messages,
      own: { password },
      window: 8,
      from: recently(messages),
      stepMs,
    });
    const before = cpuSeconds(collector.child.pid) ?? 0;
    const { seconds, points, p99 } = await swarm.go();
    const cpu = (cpuSeconds(collector.child.pid) ?? 0) - before;
    await collector.child.stop();
    const db = new DatabaseSync(join(lab.dir, name, 'state', 'metrics.db'), { readOnly: true });
    const stored = Number(db.prepare('SELECT count(*) AS n FROM point').get()?.['n']);
    db.close();
    tell(
      Math.round(points / seconds) +
        ' points/s, CPU ' +
        cpu.toFixed(2) +
        ' s, acknowledged p99 ' +
        p99.toFixed(0) +
        ' ms, stored ' +
        stored +
        ' of ' +
        points,
    );
    if (stored !== points + own * pointsAMessage) throw new Error('Cannot judge: stored ' + stored + ' of ' + points);
    rates.push(points / seconds);
  }
  return [
    figure({
      name: 'embedded broker and SQLite, ' + own + ' agents',
      unit: 'points/s',
      ours: median(rates),
      bar: { kind: 'at-least', value: 30_000 },
    }),
  ];
}
