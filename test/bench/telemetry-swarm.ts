// The load of the telemetry benchmark, a process of its own: agents that say recorded messages. Prints one JSON line when it is
// ready, waits for a line on its input, and prints one with what it measured.
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { clientIdOf, topicOf, userOf } from '#shared/topics.ts';
import { decodeAck } from '#shared/wire.ts';
import { addressOf, messageOf, pointsAMessage } from './telemetry-messages.ts';
import type { Format } from './telemetry-messages.ts';
import { percentile } from './verdict.ts';

export type SwarmOptions = {
  readonly url: string;
  readonly ca?: string;
  readonly format: Format;
  readonly agents: number;
  /** Number of the first agent. */
  readonly first?: number;
  readonly messages: number;
  /** Each agent by its own account; else some connections that may say everything. */
  readonly own?: { readonly password: string };
  /** Messages of one agent that wait for the collector's acknowledgement; 0: nobody waits but for the broker. */
  readonly window: number;
  /** Messages a second of all; as fast as it goes when absent. */
  readonly rate?: number;
  /** Time of the first message. */
  readonly from: number;
  readonly stepMs: number;
  /** Which life of the outboxes: their numbers begin anew. */
  readonly life?: number;
};
export type SwarmResult = {
  readonly seconds: number;
  readonly points: number;
  /** From the publication to the acknowledgement, milliseconds. */
  readonly p50: number;
  readonly p99: number;
};

const sharedConnections = 8;
/** Messages without a PUBACK on one connection. */
const brokerWindow = 200;

type Agent = {
  readonly number: number;
  readonly client: MqttClient;
  readonly topic: string;
  readonly texts: readonly string[];
  readonly saidAt: number[];
  said: number;
  acked: number;
};

const options = JSON.parse(process.argv[2] ?? '{}') as SwarmOptions; // written by the benchmark
const warmUpMessages = options.window > 0 ? 1 : 0;
const perAgent = Math.ceil(options.messages / options.agents) + warmUpMessages;
const latencies: number[] = [];
let finished = 0;
/** Messages without a PUBACK. */
const way = { unconfirmed: 0 };
let isRunning = false;
const { promise: done, resolve: end } = Promise.withResolvers<void>();

async function enter(more: IClientOptions): Promise<MqttClient> {
  const client = connect(options.url, {
    protocolVersion: 4,
    reconnectPeriod: 0,
    connectTimeout: 60_000,
    clean: true,
    ...(options.ca === undefined ? {} : { ca: options.ca }),
    ...more,
  });
  client.on('error', (error) => void process.stderr.write(error.message + '\n'));
  await new Promise<void>((resolve) => void client.once('connect', () => resolve()));
  return client;
}

function heard(byTopic: ReadonlyMap<string, Agent>): (topic: string, payload: Buffer) => void {
  return (topic, payload) => {
    const agent = byTopic.get(topic);
    const ack = decodeAck(payload);
    if (agent === undefined || !ack.ok) return;
    const now = performance.now();
    for (; agent.acked < ack.value.seq; agent.acked += 1) latencies.push(now - (agent.saidAt[agent.acked] ?? now));
    if (agent.acked >= perAgent) finish(agent);
    else if (options.rate === undefined && isRunning) fill(agent);
  };
}

const ended = new Set<number>();
function finish(agent: Agent): void {
  if (ended.has(agent.number)) return;
  ended.add(agent.number);
  finished += 1;
  if (finished === options.agents) end();
}

function say(agent: Agent): void {
  const text = agent.texts[agent.said] ?? '';
  agent.saidAt[agent.said] = performance.now();
  agent.said += 1;
  way.unconfirmed += 1;
  agent.client.publish(agent.topic, text, { qos: 1 }, () => {
    way.unconfirmed -= 1;
    if (options.window > 0) return;
    if (agent.said < perAgent && options.rate === undefined) say(agent);
    else if (agent.said >= perAgent && way.unconfirmed === 0) end();
  });
}

function fill(agent: Agent): void {
  while (agent.said < perAgent && agent.said - agent.acked < options.window) say(agent);
}

async function prepare(): Promise<readonly Agent[]> {
  const shared =
    options.own === undefined ? await Promise.all(Array.from({ length: sharedConnections }, () => enter({}))) : [];
  const agents: Agent[] = [];
  for (let n = 0; n < options.agents; n += 1) {
    const number = (options.first ?? 0) + n;
    const origin = addressOf(number);
    const client =
      options.own === undefined
        ? shared[n % sharedConnections]
        : await enter({ clientId: clientIdOf(origin), username: userOf(origin), password: options.own.password });
    if (client === undefined) throw new Error('no connection');
    const texts = Array.from({ length: perAgent }, (_, index) =>
      messageOf(options.format, number, index + 1, options.from + index * options.stepMs, options.life),
    );
    agents.push({ number, client, topic: topicOf(origin, 'up'), texts, saidAt: [], said: 0, acked: 0 });
  }
  if (options.window === 0) return agents;
  const byTopic = new Map(agents.map((agent) => [topicOf(addressOf(agent.number), 'ack'), agent]));
  if (options.own === undefined) {
    const listener = await enter({});
    listener.on('message', heard(byTopic));
    await listener.subscribeAsync('mailferry/1/+/+/ack', { qos: 1 });
  } else
    for (const [topic, agent] of byTopic) {
      agent.client.on('message', heard(byTopic));
      await agent.client.subscribeAsync(topic, { qos: 1 });
    }
  return agents;
}

async function run(agents: readonly Agent[]): Promise<void> {
  if (options.rate !== undefined) return runPaced(agents, options.rate);
  if (options.window > 0) for (const agent of agents) fill(agent);
  // A few agents at a time, so that the broker's window is kept.
  else for (const agent of agents.slice(0, brokerWindow)) say(agent);
  if (options.window === 0) void followUp(agents);
  await done;
}

/** The others begin when those before them are through. */
async function followUp(agents: readonly Agent[]): Promise<void> {
  for (const agent of agents.slice(brokerWindow)) {
    while (way.unconfirmed >= brokerWindow) await sleep(1);
    say(agent);
  }
}

async function runPaced(agents: readonly Agent[], rate: number): Promise<void> {
  const since = performance.now();
  const total = (perAgent - warmUpMessages) * agents.length;
  for (let said = 0; said < total;) {
    const due = Math.min(total, Math.floor(((performance.now() - since) * rate) / 1_000));
    for (; said < due; said += 1) {
      const agent = agents[said % agents.length];
      if (agent !== undefined) say(agent);
    }
    await sleep(2);
  }
  await done;
}

/** The first message of each agent is not measured: it makes series, connections, code warm. */
async function warmUp(agents: readonly Agent[]): Promise<void> {
  if (options.window === 0) return;
  for (const agent of agents) say(agent);
  while (agents.some(({ acked }) => acked < 1)) await sleep(20);
  latencies.length = 0;
}

const agents = await prepare();
await warmUp(agents);
process.stdout.write('{"ready":true}\n');
await once(process.stdin, 'data');
isRunning = true;
const since = performance.now();
await run(agents);
const seconds = (performance.now() - since) / 1_000;
const result: SwarmResult = {
  seconds,
  points: (perAgent - warmUpMessages) * agents.length * pointsAMessage,
  p50: percentile(latencies, 0.5),
  p99: percentile(latencies, 0.99),
};
process.stdout.write(JSON.stringify(result) + '\n');
process.exit(0);
