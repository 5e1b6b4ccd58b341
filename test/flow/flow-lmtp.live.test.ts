// The whole way on real servers, through outages: dovecot (provider) -> agent -> dovecot LMTP; client -> agent -> postfix;
// mosquitto -> collector -> InfluxDB. Counts come from Maildirs, from postfix's log and from the wire, not from our meters.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { corpus } from '../corpus/corpus.ts';
import { runEveryQuery } from '../dashboards/run-queries.ts';
import { createLab } from '../lab/lab.ts';
import { waitFor } from '../lab/wait.ts';
import { addresses, createEstate, relayUsers, users, waitForCount } from './estate.ts';
import { asStored, belowTrace, compareMails, incoming, tally } from './mails.ts';
import type { Expected } from './mails.ts';
import { readAgents } from './programs.ts';
import { startTap } from './tap.ts';
import type { Tap, TappedBatch } from './tap.ts';

const ordinary = 200;
const trickle = 60;
const database = 'mailferry';

test('mail and measurements reach their end unchanged and once, through the death of collector, broker and database', async (t) => {
  const lab = createLab(t);
  const [provider, local, relay, mosquitto, influx, rbldnsd] = await Promise.all([
    lab.dovecot({ users }),
    lab.dovecot({ users }),
    lab.postfix({ role: 'relay', domains: ['outside.example'], users: relayUsers }),
    lab.mosquitto(),
    lab.influxdb(),
    lab.rbldnsd({ zones: { 'bl.example.test': [':127.0.0.2:listed, see $', '127.0.0.2'] } }),
  ]);
  const tap = await startTap({ to: mosquitto });
  lab.onStop(tap.close);
  const estate = await createEstate({
    lab,
    servers: { provider, local: { protocol: 'lmtp', host: local.host, port: local.lmtp }, relay },
    collecting: {
      mqttPort: tap.port,
      broker: { kind: 'external', url: mosquitto.url },
      store: { kind: 'influxdb', host: influx.host, port: influx.port, database },
    },
    agent: {
      probe: {
        dnsbl: {
          resolver: rbldnsd.host + ':' + rbldnsd.port,
          zones: ['bl.example.test'],
          addresses: ['192.0.2.10'],
          intervalSeconds: 5,
        },
      },
    },
  });

  const expected = new Map<string, Expected[]>(addresses.map((address) => [address, []]));
  const put = async (address: string, name: string, bytes: Buffer): Promise<void> => {
    await provider.put(address, bytes);
    expected.get(address)?.push({ name, bytes: asStored(bytes) });
  };
  for (const mail of corpus()) await put(addresses[0], mail.name, mail.bytes());
  for (let serial = 0; serial < ordinary; serial += 1) {
    const address = addresses[serial % 2] ?? addresses[0];
    await put(address, 'ordinary ' + serial, incoming({ serial, to: address }));
  }

  const startedAt = Date.now();
  let collector = await estate.startCollector();
  const agent = await estate.startAgent();
  const delivered = async (): Promise<number> =>
    (await Promise.all(addresses.map((address) => local.count(address)))).reduce((sum, n) => sum + n, 0);
  const sending = estate.submit(0, 100);
  await waitForCount('mails in the local mailboxes', delivered, 50, 60_000);

  // A trickle of mail both ways goes on through every outage.
  let serial = ordinary;
  const drip = async (count: number): Promise<void> => {
    for (let n = 0; n < count; n += 1, serial += 1) {
      const address = addresses[serial % 2] ?? addresses[0];
      await put(address, 'ordinary ' + serial, incoming({ serial, to: address }));
      await new Promise((resolve) => setTimeout(resolve, 900));
    }
  };
  collector.kill('SIGKILL');
  await collector.waitExit();
  await drip(5);
  collector = await estate.startCollector();
  await mosquitto.crash();
  await drip(5);
  await mosquitto.start();
  await influx.stop();
  const down = Date.now();
  const sendingMore = estate.submit(100, 200);
  await drip(trickle - 10);
  await waitFor('a minute without database', () => Date.now() - down >= 60_000, { timeoutMs: 70_000 });
  await influx.start();
  await Promise.all([sending, sendingMore]);

  // Mail in: every byte, once, and nothing left at the provider.
  const total = [...expected.values()].reduce((sum, list) => sum + list.length, 0);
  await waitForCount('mails in the local mailboxes', delivered, total, 60_000);
  await waitFor(
    'an empty provider',
    async () => (await Promise.all(addresses.map((address) => provider.count(address)))).every((n) => n === 0),
    { timeoutMs: 30_000 },
  );
  for (const address of addresses) {
    const stored = (await local.mails(address)).map(belowTrace);
    assert.deepEqual(
      compareMails(expected.get(address) ?? [], stored),
      { missing: [], unexpected: [] },
      'mailbox ' + address,
    );
  }
  assert.equal(await delivered(), total);

  // Mail out: each once.
  await waitForCount(
    'mails at the relay',
    async () => (await relay.mails('customer@outside.example')).length,
    200,
    60_000,
  );
  const subjects = (await relay.mails('customer@outside.example')).map(
    (bytes) => /^Subject: (.*)$/m.exec(bytes.toString('latin1'))?.[1] ?? 'none',
  );
  assert.deepEqual(tally(subjects), tally(Array.from({ length: 200 }, (_, n) => 'Answer ' + n)));
  assert.equal(await relay.sent(), 200);

  // The API tells what the Maildirs and postfix's log tell.
  const api = async () => (await readAgents(estate.pagePort)).find(({ id }) => id === 'nas-1');
  await waitFor(
    'the API to know every mail',
    async () => ((await api())?.mailIn.count ?? 0) >= total && ((await api())?.mailOut.count ?? 0) >= 200,
    { timeoutMs: 90_000 },
  );
  const known = await api();
  assert.deepEqual(
    { state: known?.state, in: known?.mailIn.count, out: known?.mailOut.count, queue: known?.queue.count },
    { state: 'online', in: total, out: 200, queue: 0 },
  );

  // Every measurement that the agent committed is in the database exactly once.
  await agent.stop();
  const committed = Math.max(...tap.batches.keys());
  await estate.startAgent();
  await waitFor('everything committed before the stop to be acknowledged', () => tap.acknowledged() >= committed, {
    timeoutMs: 30_000,
  });
  assert.equal(tap.outboxes.size, 1);
  const acknowledged = Array.from({ length: tap.acknowledged() }, (_, index) => tap.batches.get(index + 1));
  assert.equal(acknowledged.filter((batch) => batch === undefined).length, 0, 'numbers that never went over the wire');
  await compareWithDatabase(tap, acknowledged, (query) => influx.query(database, query));
  const sum = async (metric: string, field: string): Promise<number> =>
    single(await influx.query(database, `SELECT SUM("${field}") FROM "${metric}"`));
  assert.equal(await sum('mail_in', 'count'), total);
  assert.equal(await sum('mail_out', 'count'), 200);
  t.diagnostic(
    `mails in ${total}, out 200; batches ${tap.batches.size}, acknowledged ${tap.acknowledged()}, sent again ${tap.repeated()}`,
  );

  // Grafana's own queries on what the flow left.
  const dashboardJson = await readFile(
    new URL('../../dashboards/provisioning/json/mailferry.json', import.meta.url),
    'utf8',
  );
  await runEveryQuery({
    host: influx.host,
    port: influx.port,
    database,
    dashboardJson,
    from: startedAt,
    to: Date.now(),
    tenants: ['acme'],
    agents: ['nas-1'],
    // No try fails here, no limit is set, there is one relay, and of the outside world only a block list is watched.
    empty: [
      'Mail out by outcome',
      "Left of the provider's limits",
      'Stand-ins',
      'Round trips',
      'Legs of the round trips',
      'Round trips by outcome',
      'Domains',
      'Certificates',
      'Days left of certificates',
      'TLS handshakes',
      'Clock',
    ],
  });
});

/** Field that every point of a measurement carries. */
const always = {
  mail_in: 'count',
  mail_accepted: 'count',
  mail_out: 'count',
  queue: 'depth',
  account: 'up',
  relay: 'up',
  dnsbl: 'state',
  agent: 'uptime_seconds',
} as const;

async function compareWithDatabase(
  tap: Tap,
  acknowledged: readonly (TappedBatch | undefined)[],
  query: (text: string) => Promise<unknown>,
): Promise<void> {
  const count = (batches: Iterable<TappedBatch | undefined>): ReadonlyMap<string, number> =>
    tally([...batches].flatMap((batch) => (batch?.points ?? []).map(([name]) => name)));
  const least = count(acknowledged);
  for (const [name, field] of Object.entries(always)) {
    if (!least.has(name)) continue;
    const stored = single(await query(`SELECT COUNT("${field}") FROM "${name}"`));
    // The agent runs: what it has sent since then may be stored as well.
    const bounds = [least.get(name) ?? 0, count(tap.batches.values()).get(name) ?? 0] as const;
    assert.ok(
      stored >= bounds[0] && stored <= bounds[1],
      `${name}: ${stored} points stored, expected ${bounds.join(' to ')}`,
    );
  }
  assert.ok((least.get('mail_in') ?? 0) > 0 && (least.get('account') ?? 0) > 0);
  const series = [...tap.batches.values()].flatMap((batch) =>
    batch.points.map(([name, at, tags]) => name + ' ' + JSON.stringify(tags) + ' ' + at),
  );
  assert.equal(new Set(series).size, series.length, 'two points of one series share a time');
}

/** The one number of an answer that has one; 0 when there is no series. */
function single(answer: unknown): number {
  const found = /"values":\[\[[^,]+,(-?[0-9.]+)\]\]/.exec(JSON.stringify(answer));
  return Number(found?.[1] ?? 0);
}
