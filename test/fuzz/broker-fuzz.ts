// `npm run fuzz:broker [-- --count N --seed N]`: mutated MQTT packets against the embedded broker, before and after the login,
// while a legitimate agent reports and must be acknowledged each time. Exit code 1 when the broker or the agent suffered.
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { connectAsync } from 'mqtt';
import { generate } from 'mqtt-packet';
import type { Packet } from 'mqtt-packet';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { clientIdOf, topicOf, userOf } from '#shared/topics.ts';
import type { Address } from '#shared/topics.ts';
import { createEmbeddedBroker } from '../../collector/broker/embedded.ts';
import { waitFor } from '../lab/wait.ts';

const good: Address = { tenant: 'acme', agent: 'nas-1' };
const workers = 40;
const evils = Array.from({ length: workers }, (_, n) => ({ tenant: 'acme', agent: 'evil-' + n }));
/** Most mutated packets end the connection: what came after them would not be read. */
const packetsAConnection = 1;
/** A mutated length makes the broker wait for more. Pace alone: nothing is judged by it. */
const patienceMs = 150;

export type FuzzResult = {
  readonly packets: number;
  readonly connections: number;
  /** Connections that stood all of their packets. */
  readonly survived: number;
  /** Messages in the name of somebody who did not send them. */
  readonly forged: number;
  readonly reports: number;
  readonly acknowledged: number;
};

export async function fuzzBroker(options: { readonly count: number; readonly seed: number }): Promise<FuzzResult> {
  let forged = 0;
  let acknowledge: (origin: Address, payload: string) => void = () => {};
  const hear = (origin: Address, payload: Uint8Array): void => {
    const isReport = Buffer.from(payload).toString('utf8') === 'report';
    if (origin.agent === good.agent && isReport) acknowledge(origin, 'ack');
    else if (!evils.some(({ agent }) => agent === origin.agent)) forged += 1;
  };
  const broker = createEmbeddedBroker({
    config: { kind: 'embedded', host: '127.0.0.1', port: 0, agents: [] },
    passwords: new Map([[userOf(good), 'right'], ...evils.map((origin) => [userOf(origin), 'evil'] as const)]),
    ingest: {
      receive: (origin, _leaf, payload) => hear(origin, payload),
      onAck: (publish) => void (acknowledge = publish),
    },
    onOther: (origin, _leaf, payload) => hear(origin, payload),
    // The throttle forgets nothing: a mutated login must not shut out the right one.
    clock: systemClock,
    log: createLog({ name: 'fuzz', level: 'silent' }),
  });
  await broker.start();
  const { port } = broker.address();
  const agent = await connectAsync('mqtt://127.0.0.1:' + port, {
    protocolVersion: 4,
    clientId: clientIdOf(good),
    username: userOf(good),
    password: 'right',
    reconnectPeriod: 0,
  });
  let acknowledged = 0;
  agent.on('message', () => void (acknowledged += 1));
  await agent.subscribeAsync(topicOf(good, 'ack'), { qos: 1 });
  const tally = { packets: 0, connections: 0, survived: 0 };
  let reports = 0;

  async function work(evil: Address, seed: number): Promise<void> {
    const chance = createChance(seed);
    while (tally.packets < options.count) {
      tally.connections += 1;
      const bytes = Array.from({ length: packetsAConnection }, () =>
        mutate(Buffer.from(generate(makePacket(evil, chance))), chance),
      );
      tally.packets += bytes.length;
      if (await survives(port, evil, bytes, chance(10) > 0)) tally.survived += 1;
      if (chance(10) === 0) {
        reports += 1;
        agent.publish(topicOf(good, 'up'), 'report', { qos: 1 }, () => {});
      }
    }
  }

  try {
    await Promise.all(evils.map((evil, index) => work(evil, options.seed * 1_000 + index)));
    await waitFor('the acknowledgements', () => acknowledged >= reports || !agent.connected);
    return { ...tally, forged, reports, acknowledged };
  } finally {
    agent.end(true);
    await broker.stop();
  }
}

/** True when the broker still answers on the connection after all of them. */
async function survives(port: number, evil: Address, chunks: readonly Buffer[], logsIn: boolean): Promise<boolean> {
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  try {
    await once(socket, 'connect');
    if (!logsIn) {
      // What comes before a login is answered by an end, after a while: it is not waited for.
      for (const chunk of chunks) socket.write(chunk);
      socket.end();
      await answers(socket, 0x20);
      return false;
    }
    socket.write(generate(login(evil)));
    await answers(socket, 0x20, 30_000);
    for (const chunk of chunks) socket.write(chunk);
    socket.write(generate({ cmd: 'pingreq' }));
    return await answers(socket, 0xd0);
  } finally {
    socket.destroy();
  }
}

/** Waits for a chunk that begins with, or holds, a packet of this kind; false when the connection ends. */
async function answers(socket: Socket, first: number, waitMs = patienceMs): Promise<boolean> {
  if (socket.closed) return false;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onData = (chunk: Buffer): void => {
    if (chunk.includes(first)) resolve(true);
  };
  const late = setTimeout(() => socket.destroy(), waitMs);
  socket.on('data', onData).once('close', () => resolve(false));
  return promise.finally(() => {
    clearTimeout(late);
    socket.off('data', onData);
  });
}

const login = (origin: Address): Packet => ({
  cmd: 'connect',
  protocolId: 'MQTT',
  protocolVersion: 4,
  clean: true,
  clientId: clientIdOf(origin),
  keepalive: 60,
  username: userOf(origin),
  password: Buffer.from('evil'),
});

type Chance = (below: number) => number;

function makePacket(evil: Address, chance: Chance): Packet {
  const topics = [
    topicOf(evil, 'up'),
    topicOf(evil, 'status'),
    topicOf(good, 'up'),
    topicOf(good, 'ack'),
    '$SYS/x',
    'a/b',
  ];
  const topic = topics[chance(topics.length)] ?? 'a';
  const messageId = 1 + chance(65_535);
  const payload = Buffer.alloc(chance(200), chance(256));
  const qos = ([0, 1, 2] as const)[chance(3)] ?? 0;
  switch (chance(8)) {
    case 0:
      return { cmd: 'subscribe', messageId, subscriptions: [{ topic: chance(4) === 0 ? '#' : topic, qos }] };
    case 1:
      return { cmd: 'unsubscribe', messageId, unsubscriptions: [topic] };
    case 2:
      return { cmd: 'puback', messageId };
    case 3:
      return { cmd: 'pubrel', messageId };
    case 4:
      return { cmd: 'pubrec', messageId };
    case 5:
      return login(chance(2) === 0 ? evil : good);
    default:
      return { cmd: 'publish', topic, payload, qos, retain: chance(2) === 0, dup: false, messageId };
  }
}

/** One to four changes: a bit, a byte, a piece cut out, doubled, or put in; one packet of ten stays whole. */
function mutate(packet: Buffer, chance: Chance): Buffer {
  let bytes = [...packet];
  if (chance(10) === 0) return packet;
  for (let left = 1 + chance(4); left > 0; left -= 1) {
    const at = chance(Math.max(1, bytes.length));
    const end = at + 1 + chance(8);
    switch (chance(5)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << chance(8));
        break;
      case 1:
        bytes[at] = [0, 1, 0x7f, 0x80, 0xff, chance(256)][chance(6)] ?? 0;
        break;
      case 2:
        bytes = [...bytes.slice(0, at), ...bytes.slice(end)];
        break;
      case 3:
        bytes = [...bytes.slice(0, end), ...bytes.slice(at)];
        break;
      default:
        bytes = [
          ...bytes.slice(0, at),
          ...Array.from({ length: 1 + chance(8) }, () => chance(256)),
          ...bytes.slice(at),
        ];
    }
  }
  return Buffer.from(bytes);
}

/** xorshift32: the same seed, the same packets. */
function createChance(seed: number): Chance {
  let state = (seed * 2_654_435_761 + 1) >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: { count: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' } },
  });
  const result = await fuzzBroker({ count: Number(values.count), seed: Number(values.seed) });
  process.stdout.write(JSON.stringify(result) + '\n');
  const holds = result.forged === 0 && result.acknowledged === result.reports && result.reports > 0;
  process.exitCode = holds ? 0 : 1;
}
