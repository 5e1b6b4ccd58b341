// Every measurement that was committed to an outbox is in the database exactly once, whatever stops and starts in between.
// What was sent is known from the wire (a tap before the broker), what is stored from the database's own query language.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createEmbeddedBroker } from '../../../collector/broker/embedded.ts';
import { openInfluxStore } from '../../../collector/store/influxdb.ts';
import { openSqliteStore } from '../../../collector/store/sqlite.ts';
import { startTap } from '../../flow/tap.ts';
import type { Tap } from '../../flow/tap.ts';
import { createLab } from '../../lab/lab.ts';
import { waitFor } from '../../lab/wait.ts';
import { agent, password, startAgentSide, externalBroker, startCollectorSide, tenant } from './chain.ts';
import type { AgentSide } from './chain.ts';

const log = createLog({ name: 'test', level: 'silent' });
const slow = { timeoutMs: 60_000 };

/** Points of a measurement in the batches that went over the wire, each by its tags and time. */
function sent(tap: Tap, name: string): Set<string> {
  const keys = [...tap.batches.values()].flatMap(({ points }) =>
    points.filter((point) => point[0] === name).map(([, at, tags]) => JSON.stringify([at, tags])),
  );
  assert.equal(new Set(keys).size, keys.length, 'two points of ' + name + ' share series and time');
  return new Set(keys);
}

/** No more mails are said: waits until all that were are acknowledged. */
async function settled(side: AgentSide, tap: Tap): Promise<void> {
  const total = side.said();
  await waitFor('every mail on the wire', () => sent(tap, 'mail_in').size >= total, slow);
  const last = Math.max(...tap.batches.keys());
  await waitFor('the acknowledgement of ' + last, () => tap.acknowledged() >= last, slow);
}

test(
  'mosquitto, collector and InfluxDB stop and start: every measurement is stored once',
  { timeout: 180_000 },
  async (t) => {
    const lab = createLab(t);
    const mosquitto = await lab.mosquitto({ users: { 'acme/nas-1': password, collector: 'secret' } });
    const influxdb = await lab.influxdb();
    const tap = await startTap({ to: mosquitto });
    t.after(() => tap.close());
    const { host, port } = influxdb;
    const store = openInfluxStore({
      config: { kind: 'influxdb', protocol: 'http', host, port, database: 'mailferry' },
      clock: systemClock,
      log,
    });
    const collector = await startCollectorSide({
      folder: join(lab.dir, 'collector'),
      store,
      broker: externalBroker(mosquitto.url),
    });
    t.after(() => collector.stop());
    const side = await startAgentSide({ folder: join(lab.dir, 'agent'), url: 'mqtt://127.0.0.1:' + tap.port });
    t.after(() => side.stop());
    const mailsIn = (): number => collector.fleet().view(tenant, agent)?.mailIn.count ?? 0;

    side.mails(50);
    await waitFor('the first mails', () => mailsIn() === 50, slow);

    await influxdb.stop();
    side.mails(50);
    await waitFor('a write that fails', () => store.problem() !== undefined, slow);
    side.mails(50);
    await influxdb.start();
    await waitFor('the mails of the outage of InfluxDB', () => mailsIn() === 150, slow);

    await mosquitto.crash();
    side.mails(50);
    await waitFor('the agent without a broker', () => !side.telemetry.health().connected, slow);
    await mosquitto.start();
    await waitFor('the mails of the outage of the broker', () => mailsIn() === 200, slow);

    for (let n = 0; n < 5; n += 1) {
      side.mails(20);
      await collector.restart();
      side.mails(20);
      await waitFor('some of them', () => mailsIn() > 200 + n * 40, slow);
      await side.restart();
    }
    await influxdb.crash();
    side.mails(10);
    await collector.restart();
    await influxdb.start();

    await settled(side, tap);
    assert.equal(mailsIn(), side.said());
    for (const name of ['mail_in', 'queue', 'agent']) {
      const answer = await influxdb.query('mailferry', `SELECT * FROM "${name}"`);
      const stored = countRows(answer);
      // Gauges go on while we look: what was acknowledged by now is the least, what was sent by now the most.
      assert.ok(stored >= (name === 'mail_in' ? side.said() : 20), name + ': ' + stored);
      assert.ok(stored <= sent(tap, name).size, name + ': ' + stored + ' of ' + sent(tap, name).size);
    }
    const [sum] = (await influxdb.query(
      'mailferry',
      'SELECT SUM("count"), COUNT("count") FROM "mail_in"',
    )) as readonly {
      readonly series?: readonly { readonly values: readonly (readonly number[])[] }[];
    }[]; // InfluxDB 1.x
    assert.deepEqual(sum?.series?.[0]?.values[0]?.slice(1), [side.said(), side.said()]);
    assert.equal(sent(tap, 'mail_in').size, side.said());
    assert.equal(tap.outboxes.size, 1);
    t.diagnostic('mails ' + side.said() + ', batches ' + tap.batches.size + ', sent again ' + tap.repeated());
  },
);

function countRows(answer: unknown): number {
  const results = answer as readonly { readonly series?: readonly { readonly values: readonly unknown[] }[] }[]; // InfluxDB 1.x
  return results[0]?.series?.[0]?.values.length ?? 0;
}

test(
  'the embedded broker and the line stop and start: every measurement is stored once',
  { timeout: 120_000 },
  async (t) => {
    const lab = createLab(t);
    const brokerPort = await lab.freePort();
    const proxy = await lab.proxy({ to: { host: '127.0.0.1', port: brokerPort } });
    const tap = await startTap({ to: proxy });
    t.after(() => tap.close());
    const path = join(lab.dir, 'metrics.db');
    const store = openSqliteStore({ path, clock: systemClock, log });
    t.after(() => store.close());
    const collector = await startCollectorSide({
      folder: join(lab.dir, 'collector'),
      store,
      broker: ({ ingest }) =>
        createEmbeddedBroker({
          config: { kind: 'embedded', host: '127.0.0.1', port: brokerPort, agents: [] },
          passwords: new Map([[tenant + '/' + agent, password]]),
          ingest,
          log,
        }),
    });
    t.after(() => collector.stop());
    const side = await startAgentSide({ folder: join(lab.dir, 'agent'), url: 'mqtt://127.0.0.1:' + tap.port });
    t.after(() => side.stop());
    const mailsIn = (): number => collector.fleet().view(tenant, agent)?.mailIn.count ?? 0;

    for (let n = 0; n < 4; n += 1) {
      side.mails(25);
      proxy.cutAfter(n % 2 === 0 ? 'up' : 'down', 900 + n * 700); // in the middle of a batch, of an acknowledgement
      side.mails(25);
      await waitFor('the mails of round ' + n, () => mailsIn() === (n + 1) * 50, slow);
      await collector.restart();
    }
    side.mails(1_500);
    await side.restart();
    await settled(side, tap);
    assert.equal(mailsIn(), side.said());
    const db = new DatabaseSync(path, { readOnly: true });
    t.after(() => db.close());
    const row = db
      .prepare(
        `SELECT count(*) AS points, sum(json_extract(fields, '$.count')) AS mails, count(DISTINCT json_extract(fields, '$.size_bytes')) AS different
       FROM point JOIN series ON series.id = point.series WHERE metric = 'mail_in'`,
      )
      .get();
    assert.deepEqual({ ...row }, { points: side.said(), mails: side.said(), different: side.said() });
    assert.equal(sent(tap, 'mail_in').size, side.said());
    t.diagnostic('mails ' + side.said() + ', batches ' + tap.batches.size + ', sent again ' + tap.repeated());
  },
);
