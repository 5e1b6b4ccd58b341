// A batch that a broker cannot take, at a real mosquitto and at a broker with a bug: the others get through, nothing is told
// twice, and what only a bad line has stopped is never set aside.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Aedes } from 'aedes';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { decodeBatch } from '#shared/wire.ts';
import { openOutbox } from '../../../agent/telemetry/outbox.ts';
import type { Outbox } from '../../../agent/telemetry/outbox.ts';
import { createPublisher } from '../../../agent/telemetry/publisher.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { agent, password, externalBroker, startCollectorSide, tenant } from './chain.ts';

const log = createLog({ name: 'test', level: 'silent' });
const slow = { timeoutMs: 60_000 };
const start = Date.now() - 3_600_000;

/** A publisher that does not wait long between two connections. */
function startPublisher(t: TestContext, folder: string, url: string): Outbox {
  const db = openDatabase({ path: ':memory:', schema: [journalSchema] });
  const outbox = openOutbox({ folder, journal: createJournal(db), maxBytes: 1e9, clock: systemClock });
  const publisher = createPublisher({
    url,
    origin: 'report',
    user: tenant + '/' + agent,
    password,
    address: { tenant, agent },
    version: '1.0.0',
    outbox,
    clock: { ...systemClock, sleep: (ms, signal) => systemClock.sleep(Math.min(ms, 20), signal) },
    random: () => 0.5,
    log,
    ackTimeoutMs: 400,
  });
  t.after(async () => {
    await publisher.stop();
    outbox.close();
    db.close();
  });
  publisher.start();
  return { ...outbox, commit: (points) => (outbox.commit(points), publisher.wake(), 1) };
}

const mail = (n: number): Point =>
  createPoint('mail_in', start + n, { account: 'info', outcome: 'delivered' }, { count: 1, size_bytes: n });

for (const [what, extra] of [
  ['closes the connection at it', 'max_packet_size 3000'],
  ['confirms it and drops it', 'message_size_limit 3000'],
] as const)
  test(
    'a mosquitto that ' + what + ': a batch that is too large for it arrives in pieces, each measurement once',
    async (t) => {
      const lab = createLab(t);
      const mosquitto = await lab.mosquitto({
        users: { [tenant + '/' + agent]: password, collector: 'secret' },
        extra,
      });
      const path = join(lab.dir, 'metrics.db');
      const store = openSqliteStore({ path, clock: systemClock, log });
      t.after(() => store.close());
      const collector = await startCollectorSide({
        folder: join(lab.dir, 'collector'),
        store,
        broker: externalBroker(mosquitto.url),
      });
      t.after(() => collector.stop());
      const outbox = startPublisher(t, lab.dir, mosquitto.url);
      outbox.commit([mail(0)]);
      await waitFor('the first one', () => outbox.health().batches === 0, slow);
      outbox.commit(Array.from({ length: 70 }, (_, n) => mail(n + 1)));
      outbox.commit([mail(100)]);
      await waitFor('all of them', () => outbox.health().batches === 0, slow);
      const db = new DatabaseSync(path, { readOnly: true });
      t.after(() => db.close());
      const row = db
        .prepare(
          "SELECT count(*) AS points, count(DISTINCT json_extract(fields, '$.size_bytes')) AS mails FROM point JOIN series ON series.id = point.series WHERE metric = 'mail_in'",
        )
        .get();
      assert.deepEqual({ ...row }, { points: 72, mails: 72 });
      assert.equal(collector.fleet().view(tenant, agent)?.mailIn.count, 72);
      assert.equal(outbox.health().aside, 0);
    },
  );

/** Closes the connection at a batch with a certain measurement, before anybody hears of it, and answers like a collector. */
async function startBuggyBroker(t: TestContext, isBad: (points: readonly Point[]) => boolean) {
  const stored = new Map<number, readonly Point[]>();
  let last = 0;
  const aedes = await Aedes.createBroker({
    authorizePublish(_client, packet, done) {
      const batch = packet.topic.endsWith('/up') ? decodeBatch(Buffer.from(packet.payload)) : undefined;
      if (batch?.ok === true && isBad(batch.value.points)) return done(new Error('a bug'));
      done(null);
    },
  });
  aedes.on('publish', (packet, client) => {
    if (client === null || !packet.topic.endsWith('/up')) return;
    const batch = decodeBatch(Buffer.from(packet.payload));
    assert.ok(batch.ok);
    const { seq, oldest, outbox, points } = batch.value;
    if (seq > last && seq === Math.max(last + 1, oldest)) {
      last = seq;
      stored.set(seq, points);
    }
    const payload = JSON.stringify({ v: 1, outbox, seq: last });
    aedes.publish(
      { cmd: 'publish', topic: packet.topic.replace(/up$/, 'ack'), payload, qos: 1, retain: false, dup: false },
      () => {},
    );
  });
  const server = createServer((socket) => void aedes.handle(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    aedes.close();
  });
  return { stored, url: 'mqtt://127.0.0.1:' + (server.address() as AddressInfo).port }; // a TCP server
}

test('a measurement at which a broker breaks the connection is set aside, all others are told once', async (t) => {
  const lab = createLab(t);
  const isBad = (points: readonly Point[]): boolean => points.some(({ fields }) => fields['size_bytes'] === 13);
  const { stored, url } = await startBuggyBroker(t, isBad);
  const outbox = startPublisher(t, lab.dir, url);
  for (let n = 0; n < 4; n += 1) outbox.commit(Array.from({ length: 5 }, (_, k) => mail(n * 5 + k)));
  await waitFor('all others', () => outbox.health().batches === 0, slow);
  const told = [...stored.values()].flat().map(({ fields }) => Number(fields['size_bytes']));
  assert.deepEqual(
    [...told].sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, n) => n).filter((n) => n !== 13),
  );
  assert.equal(outbox.health().aside, 1);
});

test('a line that breaks again and again at the same batch sets nothing aside', async (t) => {
  const lab = createLab(t);
  const { stored, url } = await startBuggyBroker(t, () => false);
  const proxy = await lab.proxy({ to: { host: '127.0.0.1', port: Number(new URL(url).port) } });
  const outbox = startPublisher(t, lab.dir, 'mqtt://127.0.0.1:' + proxy.port);
  await waitFor('a connection', () => proxy.open() > 0);
  // Long enough for the birth, too short for the question that comes before a batch under suspicion.
  proxy.cutAfter('up', 400, 12);
  proxy.cut();
  outbox.commit(Array.from({ length: 20 }, (_, n) => mail(n)));
  await waitFor('many broken lines', () => proxy.opened() >= 12, slow);
  await waitFor('the end of it', () => outbox.health().batches === 0, slow);
  assert.equal([...stored.values()].flat().length, 20);
  assert.equal(outbox.health().aside, 0);
});
