// The publisher against a broker that misbehaves: it never loses what the collector has not acknowledged, and says in one line
// what is wrong.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Aedes } from 'aedes';
import { generate } from 'mqtt-packet';
import type { AedesOptions } from 'aedes';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { topicOf } from '#shared/topics.ts';
import { decodeBatch, decodeStatus, encodeAck } from '#shared/wire.ts';
import { openOutbox } from '../../../agent/telemetry/outbox.ts';
import { createPublisher } from '../../../agent/telemetry/publisher.ts';
import { waitFor } from '../../lab/wait.ts';

const address = { tenant: 'acme', agent: 'nas-1' };

async function startBroker(t: TestContext, options: AedesOptions = {}) {
  const aedes = await Aedes.createBroker(options);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    aedes.handle(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const seqs: number[] = [];
  const states: string[] = [];
  aedes.on('publish', (packet, client) => {
    if (client === null) return;
    const payload = Buffer.from(packet.payload);
    if (packet.topic === topicOf(address, 'up')) {
      const batch = decodeBatch(payload);
      assert.ok(batch.ok);
      if (batch.value.seq < batch.value.oldest) return; // a question, no batch
      seqs.push(batch.value.seq);
    } else if (packet.topic === topicOf(address, 'status')) {
      const status = decodeStatus(payload);
      assert.ok(status.ok);
      states.push(status.value.state + (packet.retain ? ' retained' : ''));
    }
  });
  const ack = (outbox: string, seq: number): void =>
    aedes.publish(
      {
        cmd: 'publish',
        topic: topicOf(address, 'ack'),
        payload: encodeAck({ outbox, seq }),
        qos: 1,
        retain: false,
        dup: false,
      },
      () => {},
    );
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    aedes.close();
  });
  const { port } = server.address() as AddressInfo; // a TCP server
  return {
    port,
    seqs,
    states,
    ack,
    dropAll: () => {
      for (const socket of sockets) socket.destroy();
    },
  };
}

function startPublisher(
  t: TestContext,
  url: string,
  options: { readonly ackTimeoutMs?: number; readonly onDoubt?: (reason: string) => void } = {},
) {
  const folder = mkdtempSync(join(tmpdir(), 'mailferry-publisher-'));
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const outbox = openOutbox({ folder, journal: createJournal(db), maxBytes: 1e9, clock: systemClock });
  const lines: string[] = [];
  const log = createLog({ name: 'test', level: 'silent' });
  log.warn = (...args: unknown[]) => void lines.push(String(args.at(-1)));
  const publisher = createPublisher({
    origin: 'agent.yaml:9: option report',
    url,
    user: 'acme/nas-1',
    password: 'right',
    address,
    version: '1.0.0',
    outbox,
    clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal) },
    random: () => 0.5,
    log,
    ...options,
  });
  let depth = 0;
  const say = (): void => {
    depth += 1;
    outbox.commit([createPoint('queue', Date.now(), {}, { depth })]);
    publisher.wake();
  };
  t.after(async () => {
    await publisher.stop();
    outbox.close();
    db.close();
    rmSync(folder, { recursive: true });
  });
  publisher.start();
  return { publisher, outbox, say, lines };
}

test('no more than eight batches are on the way, and each acknowledgement makes room', async (t) => {
  const { port, seqs, ack, states } = await startBroker(t);
  const { outbox, say, publisher } = startPublisher(t, 'mqtt://127.0.0.1:' + port);
  for (let n = 0; n < 20; n += 1) say();
  await waitFor('eight batches', () => seqs.length === 8);
  ack(outbox.id(), 3);
  await waitFor('three more', () => seqs.length === 11);
  assert.deepEqual(seqs, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  assert.equal(outbox.health().batches, 17);
  for (let seq = 4; seq <= 20; seq += 1) ack(outbox.id(), seq);
  await waitFor('an empty outbox', () => outbox.health().batches === 0);
  await publisher.stop();
  // The last will may say it once more.
  await waitFor('the goodbye', () => states.length > 1);
  assert.deepEqual(states.slice(0, 2), ['online retained', 'offline retained']);
});

test('acknowledgements of another outbox, or of nobody, forget nothing', async (t) => {
  const { port, seqs, ack } = await startBroker(t);
  const { outbox, say } = startPublisher(t, 'mqtt://127.0.0.1:' + port);
  for (let n = 0; n < 3; n += 1) say();
  await waitFor('the batches', () => seqs.length === 3);
  ack('another-outbox', 2);
  ack(outbox.id(), 0);
  ack(outbox.id(), 1); // comes last: when it has been obeyed, the others were seen
  await waitFor('an acknowledgement', () => outbox.health().batches < 3);
  assert.deepEqual(
    outbox.read(0, 10).map(({ seq }) => seq),
    [2, 3],
  );
});

test('when the line breaks, everything that was not acknowledged comes again, in order', async (t) => {
  const { port, seqs, ack, dropAll } = await startBroker(t);
  const { outbox, say } = startPublisher(t, 'mqtt://127.0.0.1:' + port);
  for (let n = 0; n < 5; n += 1) say();
  await waitFor('five batches', () => seqs.length === 5);
  ack(outbox.id(), 2);
  await waitFor('two forgotten', () => outbox.health().batches === 3);
  seqs.length = 0;
  dropAll();
  await waitFor('the rest again', () => seqs.length === 3);
  assert.deepEqual(seqs, [3, 4, 5]);
});

test('while no collector acknowledges, one batch is tried at a time and the state says so', async (t) => {
  const { port, seqs, ack } = await startBroker(t);
  const { outbox, say, publisher, lines } = startPublisher(t, 'mqtt://127.0.0.1:' + port, { ackTimeoutMs: 50 });
  for (let n = 0; n < 12; n += 1) say();
  await waitFor('a few tries', () => seqs.length >= 14);
  assert.deepEqual(seqs.slice(0, 14), [1, 2, 3, 4, 5, 6, 7, 8, 1, 1, 1, 1, 1, 1]);
  assert.match(publisher.problem(), /no collector acknowledges/);
  assert.equal(lines.length, 1);
  ack(outbox.id(), 8);
  await waitFor('the others', () => seqs.includes(12));
  assert.equal(publisher.problem(), '');
});

test('an outbox put back from a backup sends everything under a new name, and puts the state in doubt', async (t) => {
  const { port, seqs, ack } = await startBroker(t);
  const doubts: string[] = [];
  const onDoubt = (reason: string): void => void doubts.push(reason);
  const { outbox, say } = startPublisher(t, 'mqtt://127.0.0.1:' + port, { onDoubt });
  say();
  say();
  await waitFor('two batches', () => seqs.length === 2);
  const before = outbox.id();
  ack(before, 700);
  await waitFor('both again', () => seqs.length === 4);
  assert.notEqual(outbox.id(), before);
  assert.equal(outbox.health().batches, 2);
  assert.match(doubts.join(), /^the collector has reports of this agent .*: an old backup, or a second agent$/);
});

const troubles: readonly (readonly [
  what: string,
  url: (port: number) => string,
  options: AedesOptions,
  found: RegExp,
])[] = [
  [
    'a wrong password',
    (port) => 'mqtt://127.0.0.1:' + port,
    { authenticate: (_c, _u, _p, done) => done(null, false) },
    /not authori[sz]ed/i,
  ],
  ['nobody at the address', () => 'mqtt://127.0.0.1:1', {}, /ECONNREFUSED/],
  ['an impossible port', () => 'mqtt://127.0.0.1:99999', {}, /99999/],
  [
    'a broker without TLS',
    (port) => 'mqtts://127.0.0.1:' + port,
    {},
    /closed|disconnected|ECONNRESET|wrong version|EPROTO|SSL/i,
  ],
  [
    'a refused subscription',
    (port) => 'mqtt://127.0.0.1:' + port,
    { authorizeSubscribe: (_c, _s, done) => done(null, null) },
    /subscri/i,
  ],
];
for (const [what, url, options, found] of troubles) {
  test(
    what + ' gives one line that names address, what was found, and the option, and keeps the reports',
    async (t) => {
      const { port } = await startBroker(t, options);
      const { publisher, outbox, say, lines } = startPublisher(t, url(port));
      say();
      await waitFor('a problem', () => publisher.problem().startsWith('Cannot report to ' + url(port)));
      assert.match(publisher.problem(), found);
      assert.match(publisher.problem(), /expected .* check url, user, password and caFile/);
      assert.equal(lines[0]?.startsWith('agent.yaml:9: option report: Cannot report to ' + url(port)), true);
      const shown = lines.length;
      assert.ok(shown >= 1 && shown <= 2, lines.join('\n'));
      assert.equal(outbox.health().batches, 1);
      assert.equal(publisher.connected(), false);
    },
  );
}

test('stop() ends in time though the broker says nothing at all', async (t) => {
  const server = createServer((socket) => void socket.on('error', () => {}));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const accepted = once(server, 'connection');
  const { publisher } = startPublisher(t, 'mqtt://127.0.0.1:' + (server.address() as AddressInfo).port); // a TCP server
  await accepted;
  const since = performance.now();
  await publisher.stop();
  assert.ok(performance.now() - since < 5_000);
});

test('a broker that speaks out of turn, in one packet with its welcome, costs nothing', async (t) => {
  const welcome = generate({ cmd: 'connack', returnCode: 0, sessionPresent: false });
  const early = ['ack', 'cmd', 'site', 'status'].map((leaf) =>
    generate({
      cmd: 'publish',
      topic: topicOf(address, 'up').replace(/up$/, leaf),
      payload: '{"v":1}',
      qos: 0,
      dup: false,
      retain: false,
    }),
  );
  let asked = 0;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      asked += 1;
      socket.write(Buffer.concat([welcome, ...early]));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { publisher, say } = startPublisher(t, 'mqtt://127.0.0.1:' + (server.address() as AddressInfo).port); // a TCP server
  say();
  await waitFor('the welcome', () => asked > 0);
  await publisher.stop();
});
