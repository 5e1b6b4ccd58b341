// A hostile client against the access rights, beside a legitimate one that must get through every time.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { connect } from 'mqtt';
import type { IClientOptions, MqttClient } from 'mqtt';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { clientIdOf, heldClientIdOf, topicOf } from '#shared/topics.ts';
import type { Leaf } from '#shared/topics.ts';
import { createEmbeddedBroker } from '../../../collector/broker/embedded.ts';
import type { Ingest } from '../../../collector/ingest/ingest.ts';
import { waitFor } from '../../lab/wait.ts';

const good = { tenant: 'acme', agent: 'nas-1' };
const evil = { tenant: 'acme', agent: 'nas-2' };
const passwords = new Map([
  ['acme/nas-1', 'right'],
  ['acme/nas-2', 'also right'],
]);

/** Not once(): an error that comes before the end is expected. */
const closeOf = (client: MqttClient): Promise<void> =>
  new Promise((resolve) => void client.once('close', () => resolve()));

type Received = { readonly agent: string; readonly leaf: Leaf; readonly text: string };

async function setup(t: TestContext) {
  const received: Received[] = [];
  let acknowledge: Parameters<Ingest['onAck']>[0] = () => {};
  const ingest: Ingest = {
    receive(origin, leaf, payload) {
      received.push({ agent: origin.agent, leaf, text: Buffer.from(payload).toString('utf8') });
      if (leaf === 'up') acknowledge(origin, 'ack of ' + origin.agent);
    },
    onAck: (publish) => void (acknowledge = publish),
    counts: () => ({ batches: 0, duplicates: 0, gaps: 0, deadLetters: 0, refusedPoints: 0 }),
    problem: () => undefined,
    stop: async () => {},
  };
  const broker = createEmbeddedBroker({
    config: { kind: 'embedded', host: '127.0.0.1', port: 0, agents: [] },
    passwords,
    ingest,
    // The throttle forgets nothing, however slow the machine is.
    clock: { ...systemClock, monotonic: () => 0 },
    log: createLog({ name: 'test', level: 'silent' }),
  });
  await broker.start();
  const clients: MqttClient[] = [];
  t.after(async () => {
    for (const client of clients) client.end(true);
    await broker.stop();
  });
  const { port } = broker.address();

  /** Resolves with the client, or with why it was not let in. */
  async function enter(who: typeof good, options: IClientOptions = {}): Promise<MqttClient | string> {
    const client = connect('mqtt://127.0.0.1:' + port, {
      protocolVersion: 4,
      clientId: clientIdOf(who),
      username: who.tenant + '/' + who.agent,
      password: passwords.get(who.tenant + '/' + who.agent) ?? '',
      reconnectPeriod: 0,
      connectTimeout: 5_000,
      ...options,
    });
    clients.push(client);
    let reason = 'closed';
    client.on('error', (error) => void (reason = error.message));
    const { promise, resolve } = Promise.withResolvers<MqttClient | string>();
    client.on('connect', () => resolve(client));
    client.on('close', () => resolve(reason));
    return promise;
  }
  async function enterWell(who: typeof good, options: IClientOptions = {}): Promise<MqttClient> {
    const client = await enter(who, options);
    if (typeof client === 'string') throw new Error('was not let in: ' + client);
    return client;
  }

  /** The legitimate agent enters, reports and is acknowledged. */
  async function legitimateGetsThrough(): Promise<void> {
    const client = await enterWell(good);
    const messages: string[] = [];
    client.on('message', (_topic, payload) => void messages.push(payload.toString('utf8')));
    const granted = await client.subscribeAsync([topicOf(good, 'ack'), topicOf(good, 'cmd')], { qos: 1 });
    assert.deepEqual(
      granted.map(({ qos }) => qos),
      [1, 1],
    );
    received.length = 0;
    await client.publishAsync(topicOf(good, 'status'), 'birth', { qos: 1, retain: true });
    await client.publishAsync(topicOf(good, 'up'), 'batch', { qos: 1 });
    await waitFor('the acknowledgement', () => messages.includes('ack of nas-1'));
    assert.deepEqual(received, [
      { agent: 'nas-1', leaf: 'status', text: 'birth' },
      { agent: 'nas-1', leaf: 'up', text: 'batch' },
    ]);
    await client.endAsync();
  }
  return { broker, port, received, enter, enterWell, legitimateGetsThrough };
}

test('an agent reports and is acknowledged', async (t) => {
  const { legitimateGetsThrough } = await setup(t);
  await legitimateGetsThrough();
});

const publishes: readonly (readonly [what: string, topic: string, options: { qos?: 0 | 1 | 2; retain?: boolean }])[] = [
  ["another agent's reports", topicOf(good, 'up'), { qos: 1 }],
  ["another agent's status", topicOf(good, 'status'), { qos: 1, retain: true }],
  ["another agent's acknowledgement", topicOf(good, 'ack'), { qos: 0 }],
  ['its own acknowledgement', topicOf(evil, 'ack'), { qos: 1 }],
  ['its own commands', topicOf(evil, 'cmd'), { qos: 1 }],
  ['a retained report', topicOf(evil, 'up'), { qos: 1, retain: true }],
  ['a report with QoS 2', topicOf(evil, 'up'), { qos: 2 }],
  ['$SYS', '$SYS/broker/new/clients', { qos: 1 }],
  ['a topic of no meaning', 'mailferry/1/acme/nas-2/up/more', { qos: 1 }],
  ['a topic of a hundred levels', '/'.repeat(150), { qos: 1 }],
];
for (const [what, topic, options] of publishes) {
  test('a client that publishes ' + what + ' is thrown out and nobody sees it', async (t) => {
    const { enterWell, received, legitimateGetsThrough } = await setup(t);
    const victim = await enterWell(good);
    const seen: string[] = [];
    victim.on('message', (_topic, payload) => void seen.push(payload.toString('utf8')));
    await victim.subscribeAsync([topicOf(good, 'ack'), topicOf(good, 'cmd')], { qos: 1 });
    const client = await enterWell(evil);
    const closed = closeOf(client);
    client.publish(topic, 'evil', options, () => {});
    await closed;
    assert.deepEqual(received, []);
    assert.deepEqual(seen, []);
    assert.equal(victim.connected, true);
    await victim.endAsync();
    await legitimateGetsThrough();
  });
}

const filters = [
  '#',
  '+/+/+/+/+',
  'mailferry/1/+/+/up',
  'mailferry/1/acme/#',
  topicOf(good, 'ack'),
  topicOf(good, 'cmd'),
  topicOf(good, 'status'),
  topicOf(evil, 'up'),
  '$SYS/#',
  '$share/group/mailferry/1/acme/nas-1/up',
];
test('a client that subscribes to more than its own is refused, filter by filter, and gets nothing', async (t) => {
  const { enterWell, legitimateGetsThrough } = await setup(t);
  const client = await enterWell(evil);
  const seen: string[] = [];
  client.on('message', (topic) => void seen.push(topic));
  for (const filter of filters) {
    const granted = await new Promise<number | undefined>((resolve) => {
      client.on('packetreceive', (packet) => {
        if (packet.cmd === 'suback') resolve(Number(packet.granted[0]));
      });
      client.subscribe(filter, { qos: 1 }, () => {});
    });
    client.removeAllListeners('packetreceive');
    assert.equal(granted, 128, filter);
  }
  await legitimateGetsThrough();
  assert.deepEqual(seen, []);
});

test('who brings a last will on a foreign topic is not let in; the own one is said', async (t) => {
  const { enter, enterWell, received, legitimateGetsThrough } = await setup(t);
  const will = (topic: string, more: { qos?: 0 | 1 | 2; retain?: boolean; payload?: Buffer } = {}): IClientOptions => ({
    will: { topic, payload: Buffer.from('will on ' + topic), qos: 1, retain: true, ...more },
  });
  const bad = [
    will(topicOf(good, 'status')),
    will(topicOf(good, 'ack')),
    will(topicOf(evil, 'cmd')),
    will(topicOf(evil, 'up')), // retained
    will(topicOf(evil, 'status'), { qos: 2 }),
    will('$SYS/x'),
    will('#'),
  ];
  const entered = await Promise.all(bad.map((options) => enter(evil, options)));
  assert.deepEqual(
    entered.map((result) => typeof result),
    bad.map(() => 'string'),
  );
  const client = await enterWell(evil, will(topicOf(evil, 'status')));
  client.stream.destroy();
  await waitFor('the own last will', () => received.length > 0);
  assert.deepEqual(
    received.map(({ agent, leaf }) => [agent, leaf]),
    [['nas-2', 'status']],
  );
  await legitimateGetsThrough();
});

test('who guesses passwords is not even looked at after ten, and the agents behind the same line get in', async (t) => {
  const { enter, enterWell, legitimateGetsThrough } = await setup(t);
  const guesses = Array.from({ length: 10 }, (_, n) => enter(evil, { password: 'guess ' + n }));
  for (const result of await Promise.all(guesses)) assert.equal(typeof result, 'string');
  assert.equal(typeof (await enter(evil)), 'string', 'the right one comes too late');
  await legitimateGetsThrough();
  const other = await enterWell(good);
  assert.equal(other.connected, true);
});

const entries: readonly (readonly [what: string, options: IClientOptions])[] = [
  ['a wrong password', { password: 'wrong' }],
  ['no password', { password: '' }],
  ['an unknown name', { username: 'acme/nas-3' }],
  ['a wildcard as its name', { username: '+/+' }],
  ['the name of something every object has', { username: 'constructor' }],
  ["another agent's client id", { clientId: clientIdOf(good) }],
  ['that of another agent that is held', { clientId: heldClientIdOf(good, '0123456789abcdef') }],
  ['its own with more behind it', { clientId: clientIdOf(evil) + '.held.+/#' }],
  ['no client id', { clientId: '' }],
  ['a session that is to be kept', { clean: false }],
  ['MQTT 5', { protocolVersion: 5 }],
];
test('nobody enters with a wrong name, password, client id, session or protocol', async (t) => {
  const { enter, enterWell, legitimateGetsThrough } = await setup(t);
  const victim = await enterWell(good);
  for (const [what, options] of entries) assert.equal(typeof (await enter(evil, options)), 'string', what);
  assert.equal(victim.connected, true);
  await victim.endAsync();
  await legitimateGetsThrough();
  await enterWell(evil);
});

test('a message that is larger than any report is refused', async (t) => {
  const { enterWell, received, legitimateGetsThrough } = await setup(t);
  const client = await enterWell(evil);
  const closed = closeOf(client);
  client.publish(topicOf(evil, 'up'), Buffer.alloc(66_000, 1), { qos: 1 }, () => {});
  await closed;
  assert.deepEqual(received, []);
  await legitimateGetsThrough();
});

test('a packet that announces more than a message is not gathered', async (t) => {
  const { enterWell, received, port, legitimateGetsThrough } = await setup(t);
  const hundredMegabytes = [0x80, 0xe1, 0xeb, 0x2f];
  const client = await enterWell(evil);
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  const closed = [closeOf(client), once(socket, 'close')];
  const since = performance.now();
  client.stream.write(Buffer.from([0x30, ...hundredMegabytes, 0x00]));
  socket.write(Buffer.from([0x10, ...hundredMegabytes, 0x00])); // before any login
  await Promise.all(closed);
  // At once: not because a login or a sign of life did not come in time.
  assert.ok(performance.now() - since < 5_000);
  assert.deepEqual(received, []);
  await legitimateGetsThrough();
});

test('the largest message that an agent may send comes through', async (t) => {
  const { enterWell, received } = await setup(t);
  const client = await enterWell(good);
  await client.publishAsync(topicOf(good, 'up'), Buffer.alloc(65_536, 'x'), { qos: 1 });
  await waitFor('the message', () => received.length === 1);
  assert.equal(received[0]?.text.length, 65_536);
});

test('noise does not end the broker', async (t) => {
  const { port, legitimateGetsThrough } = await setup(t);
  let state = 12_345; // any seed, always the same noise
  const next = (): number => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648);
  for (let n = 0; n < 100; n += 1) {
    const socket = connectTcp({ host: '127.0.0.1', port });
    socket.on('error', () => {});
    const noise = Buffer.from(Array.from({ length: 1 + (next() % 200) }, () => (next() >> 8) % 256));
    if (n % 2 === 0) noise[0] = 0x10;
    socket.end(noise);
    socket.resume();
    await once(socket, 'close');
  }
  await legitimateGetsThrough();
});

test('a second connection of one agent takes over, and the late last will of the first does not end it', async (t) => {
  const { enterWell, legitimateGetsThrough } = await setup(t);
  const first = await enterWell(good);
  const closed = closeOf(first);
  const second = await enterWell(good);
  await closed;
  assert.equal(second.connected, true);
  await second.endAsync();
  await legitimateGetsThrough();
});

test('stop() ends connections that have said nothing', async (t) => {
  const { broker, port } = await setup(t);
  const socket = connectTcp({ host: '127.0.0.1', port });
  socket.on('error', () => {});
  await once(socket, 'connect');
  const closed = once(socket, 'close');
  await broker.stop();
  await closed;
  assert.match(broker.problem() ?? '', /does not listen/);
});

test('a port that is taken is named with its option', async (t) => {
  const { port } = await setup(t);
  const other = createEmbeddedBroker({
    config: { kind: 'embedded', host: '127.0.0.1', port, agents: [] },
    passwords,
    ingest: { receive: () => {}, onAck: () => {} },
    log: createLog({ name: 'test', level: 'silent' }),
  });
  await assert.rejects(other.start(), {
    message:
      'Cannot listen for agents on 127.0.0.1:' +
      port +
      ': it is in use, expected a free port; change option broker.port',
  });
  await other.stop();
});
