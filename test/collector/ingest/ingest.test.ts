import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import { decodeAck, encodeBatch } from '#shared/wire.ts';
import { createFleet, fleetSchema } from '../../../collector/fleet/fleet.ts';
import { createIngest, ingestSchema } from '../../../collector/ingest/ingest.ts';
import type { Part, Store } from '../../../collector/store/store.ts';
import { waitFor } from '../../lab/wait.ts';

const origin = { tenant: 'acme', agent: 'nas-1' };
const outbox = 'outbox-0001';
const log = createLog({ name: 'test', level: 'silent' });

/** A store that keeps every point by its key, as a database does, and fails when told to. */
function memoryStore(): Store & {
  readonly points: Map<string, Point>;
  failing: boolean;
  writes: number;
} {
  const points = new Map<string, Point>();
  const store = {
    points,
    failing: false,
    writes: 0,
    write: async (parts: readonly Part[]) => {
      store.writes += 1;
      if (store.failing) throw new Error('the database is away');
      for (const { origin, points: written } of parts)
        for (const point of written) points.set(origin.agent + point.name + point.at, point);
      return { refused: 0 };
    },
    query: async () => [],
    problem: () => undefined,
    close: async () => {},
  };
  return store;
}

function setup(t: TestContext, options: { readonly seriesPerTenant?: number } = {}) {
  const db = openDatabase({ path: ':memory:', schema: [fleetSchema, ingestSchema] });
  const store = memoryStore();
  const clock = { ...systemClock, sleep: () => systemClock.sleep(1) };
  const acks: number[] = [];
  const open = () => {
    const fleet = createFleet({ db, clock, staleSeconds: 60, offlineSeconds: 300, log });
    const ingest = createIngest({ store, fleet, db, clock, random: () => 0.5, log, ...options });
    ingest.onAck((_origin, payload) => {
      const ack = decodeAck(Buffer.from(payload));
      assert.ok(ack.ok);
      acks.push(ack.value.seq);
    });
    return { fleet, ingest };
  };
  t.after(() => db.close());
  return { ...open(), open, store, acks, db };
}

const mail = (at: number): Point => createPoint('mail_in', at, { account: 'info', outcome: 'delivered' }, { count: 1 });
const batch = (seq: number, options: { readonly oldest?: number; readonly outbox?: string } = {}): Buffer =>
  Buffer.from(
    encodeBatch({ outbox: options.outbox ?? outbox, seq, oldest: options.oldest ?? 1, at: 1, points: [mail(seq)] }),
  );

const waitForAck = (acks: readonly number[], seq: number) =>
  waitFor('the acknowledgement of ' + seq, () => acks.at(-1) === seq);

test('a batch is stored, counted, then acknowledged', async (t) => {
  const { ingest, fleet, store, acks } = setup(t);
  ingest.receive(origin, 'up', batch(1));
  await waitForAck(acks, 1);
  ingest.receive(origin, 'up', batch(2));
  await waitForAck(acks, 2);
  assert.deepEqual(acks, [1, 2]);
  assert.equal(store.points.size, 2);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 2);
});

test('a batch that comes again is acknowledged again and counted once', async (t) => {
  const { ingest, fleet, acks } = setup(t);
  for (const seq of [1, 2, 2, 1]) ingest.receive(origin, 'up', batch(seq));
  await waitForAck(acks, 2);
  acks.length = 0;
  ingest.receive(origin, 'up', batch(1)); // its acknowledgement was lost
  await waitForAck(acks, 2);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 2);
  assert.equal(ingest.counts().duplicates, 3);
});

test('a batch before its turn is not taken: the one before it may have been lost by the broker', async (t) => {
  const { ingest, fleet, store, acks } = setup(t);
  for (const seq of [1, 3, 4]) ingest.receive(origin, 'up', batch(seq));
  await waitForAck(acks, 1);
  assert.equal(store.points.size, 1);
  assert.equal(ingest.counts().gaps, 2);
  for (const seq of [2, 3, 4]) ingest.receive(origin, 'up', batch(seq));
  await waitForAck(acks, 4);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 4);
});

test('what the outbox itself has dropped is not waited for', async (t) => {
  const { ingest, acks } = setup(t);
  ingest.receive(origin, 'up', batch(1));
  ingest.receive(origin, 'up', batch(9, { oldest: 9 }));
  ingest.receive(origin, 'up', batch(10, { oldest: 9 }));
  await waitForAck(acks, 10);
  assert.equal(ingest.counts().batches, 3);
});

test('a new life of the outbox begins anew', async (t) => {
  const { ingest, fleet, acks } = setup(t);
  ingest.receive(origin, 'up', batch(1));
  ingest.receive(origin, 'up', batch(1, { outbox: 'outbox-0002' }));
  await waitFor('an acknowledgement of each', () => acks.length === 2);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 2);
});

test('while the store is away nothing is acknowledged, and nothing is counted twice when it is back', async (t) => {
  const { ingest, fleet, store, acks } = setup(t);
  store.failing = true;
  for (const seq of [1, 2, 3]) ingest.receive(origin, 'up', batch(seq));
  await waitFor('a few tries', () => store.writes >= 3);
  assert.deepEqual(acks, []);
  assert.match(ingest.problem() ?? '', /the database is away/);
  store.failing = false;
  for (const seq of [1, 2, 3]) ingest.receive(origin, 'up', batch(seq));
  await waitFor('both groups', () => ingest.counts().duplicates === 3 && acks.at(-1) === 3);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 3);
  assert.equal(ingest.problem(), undefined);
});

test('totals and numbers survive a restart', async (t) => {
  const { ingest, open, acks } = setup(t);
  for (const seq of [1, 2]) ingest.receive(origin, 'up', batch(seq));
  await waitForAck(acks, 2);
  await ingest.stop();
  const again = open();
  for (const seq of [2, 3]) again.ingest.receive(origin, 'up', batch(seq));
  await waitForAck(acks, 3);
  assert.equal(again.fleet.view('acme', 'nas-1')?.mailIn.count, 3);
});

const poison: readonly (readonly [what: string, payload: Buffer])[] = [
  ['no JSON', Buffer.from('\u0000')],
  ['no points, but a number', Buffer.from(`{"v":1,"outbox":"${outbox}","seq":2,"oldest":1,"at":1,"points":"x"}`)],
  ['a future version with a number', Buffer.from(`{"v":9,"outbox":"${outbox}","seq":2,"oldest":1,"at":1,"points":[]}`)],
];
for (const [what, payload] of poison) {
  test('a message with ' + what + ' is kept aside and blocks nothing', async (t) => {
    const { ingest, acks, db } = setup(t);
    ingest.receive(origin, 'up', batch(1));
    ingest.receive(origin, 'up', payload);
    const readable = payload.includes('"seq":2');
    ingest.receive(origin, 'up', batch(readable ? 3 : 2));
    await waitForAck(acks, readable ? 3 : 2);
    assert.equal(db.prepare('SELECT count(*) AS n FROM dead_letter').get()?.['n'], 1);
    assert.equal(ingest.counts().deadLetters, 1);
  });
}

test('a flood of unreadable messages stays bounded', (t) => {
  const { ingest, db } = setup(t);
  const say = (agent: string, times: number): void => {
    for (let n = 0; n < times; n += 1) ingest.receive({ tenant: 'acme', agent }, 'up', Buffer.from('nonsense ' + n));
  };
  say('nas-0', 3);
  say('nas-1', 300);
  const kept = (agent: string): unknown =>
    db.prepare('SELECT count(*) AS n FROM dead_letter WHERE agent = ?').get(agent)?.['n'];
  assert.deepEqual([kept('nas-0'), kept('nas-1')], [3, 100]);
  for (let n = 2; n < 13; n += 1) say('nas-' + n, 100);
  assert.equal(db.prepare('SELECT count(*) AS n FROM dead_letter').get()?.['n'], 1_000);
  assert.equal(ingest.counts().deadLetters, 1_403);
});

test('an agent that reports is alive, also while the store is away', async (t) => {
  const { ingest, fleet, store } = setup(t);
  store.failing = true;
  ingest.receive(origin, 'up', batch(1));
  await waitFor('a try', () => store.writes > 0);
  assert.equal(fleet.view('acme', 'nas-1')?.state, 'online');
  await ingest.stop();
});

test('a report that the broker kept is not taken: it comes from nowhere', async (t) => {
  const { ingest, fleet, acks } = setup(t);
  ingest.receive(origin, 'up', batch(1), true);
  ingest.receive(origin, 'up', batch(1));
  await waitForAck(acks, 1);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 1);
  assert.equal(ingest.counts().duplicates, 0);
});

test('times and numbers that no database holds do not block what follows', async (t) => {
  const { ingest, acks } = setup(t);
  const strange = [
    `"seq":1,"oldest":1,"at":1,"points":[["queue",1e300,{},{"depth":1}]]`,
    `"seq":2,"oldest":1,"at":1e300,"points":[]`,
  ];
  for (const rest of strange) ingest.receive(origin, 'up', Buffer.from(`{"v":1,"outbox":"${outbox}",${rest}}`));
  ingest.receive(
    origin,
    'up',
    Buffer.from(`{"v":1,"outbox":"${outbox}","seq":1e300,"oldest":1e300,"at":1,"points":[]}`),
  );
  ingest.receive(origin, 'up', batch(3));
  await waitForAck(acks, 3);
  assert.equal(ingest.counts().deadLetters, 3);
});

test('a store that is away holds only so much of what comes in', async (t) => {
  const { ingest, store, acks } = setup(t);
  store.failing = true;
  ingest.receive(origin, 'up', batch(1));
  await waitFor('a try', () => store.writes > 0);
  for (let seq = 2; seq <= 100; seq += 1) ingest.receive(origin, 'up', batch(seq));
  store.failing = false;
  await waitForAck(acks, 17);
  ingest.receive(origin, 'up', batch(18));
  await waitForAck(acks, 18);
});

test('what many agents say at the same time is one write, and each is acknowledged', async (t) => {
  const { ingest, store, acks, fleet } = setup(t);
  for (let n = 0; n < 200; n += 1) {
    ingest.receive({ tenant: 'acme', agent: 'nas-' + n }, 'up', batch(1));
    ingest.receive({ tenant: 'acme', agent: 'nas-' + n }, 'up', batch(2));
  }
  await waitFor('all acknowledgements', () => acks.length === 200);
  assert.equal(store.writes, 1);
  assert.equal(store.points.size, 400);
  assert.ok(fleet.views().every(({ mailIn }) => mailIn.count === 2));
});

test('who reports the present is not held up by agents that are hours behind', async (t) => {
  const { ingest, store } = setup(t);
  const many = (seq: number, at: number) => {
    const points = Array.from({ length: 400 }, (_, n) => mail(at + n));
    return Buffer.from(encodeBatch({ outbox, seq, oldest: 1, at, points }));
  };
  store.failing = true;
  ingest.receive({ tenant: 'acme', agent: 'first' }, 'up', batch(1));
  await waitFor('a try', () => store.writes > 0);
  for (let n = 0; n < 40; n += 1)
    for (const seq of [1, 2, 3]) ingest.receive({ tenant: 'acme', agent: 'late-' + n }, 'up', many(seq, 1));
  ingest.receive({ tenant: 'acme', agent: 'live' }, 'up', many(1, Date.now()));
  store.failing = false;
  await waitFor('the late ones too', () => ingest.counts().batches === 122);
  // Before it: the one that was on its way already. Behind it: 48,000 of the late ones.
  assert.equal(
    [...store.points.keys()].findIndex((key) => key.startsWith('live')),
    1,
  );
});

test('a tenant that has as many series as it may goes on with those it has, and others notice nothing', async (t) => {
  const { ingest, open, store, acks, db } = setup(t, { seriesPerTenant: 3 });
  const say = (into: typeof ingest, who: typeof origin, seq: number, accounts: readonly string[]): void => {
    const points = accounts.map((account, n) =>
      createPoint('mail_in', seq * 100 + n, { account, outcome: 'delivered' }, { count: 1 }),
    );
    into.receive(who, 'up', Buffer.from(encodeBatch({ outbox, seq, oldest: 1, at: 1, points })));
  };
  say(ingest, origin, 1, ['a', 'b']);
  say(ingest, { tenant: 'acme', agent: 'nas-2' }, 1, ['a', 'b']);
  say(ingest, { tenant: 'other', agent: 'nas-3' }, 1, ['a', 'b']);
  await waitFor('all three', () => acks.length === 3);
  assert.equal(store.points.size, 5);
  assert.equal(ingest.counts().refusedPoints, 1);
  await ingest.stop();
  const again = open();
  say(again.ingest, origin, 2, ['a', 'c', 'b']);
  await waitForAck(acks, 2);
  assert.equal(store.points.size, 7);
  assert.equal(again.ingest.counts().refusedPoints, 1);
  const kept = db.prepare('SELECT problem FROM dead_letter').all();
  assert.match(String(kept[0]?.['problem']), /1 points are left out .*option limits.seriesPerTenant/);
});

test('points that this version does not know are left out, and the first message with some is kept aside', async (t) => {
  const { ingest, store, acks, db } = setup(t);
  for (const seq of [1, 2, 3]) {
    const strange = encodeBatch({ outbox, seq, oldest: 1, at: 1, points: [mail(seq)] }).replace(
      '"points":[',
      '"points":[["of_tomorrow",1,{},{"x":1}],',
    );
    ingest.receive(origin, 'up', Buffer.from(strange));
  }
  await waitForAck(acks, 3);
  assert.equal(store.points.size, 3);
  assert.equal(ingest.counts().refusedPoints, 3);
  assert.equal(db.prepare('SELECT count(*) AS n FROM dead_letter').get()?.['n'], 1);
});

test('a batch that cannot be counted is not acknowledged and holds nobody else up', async (t) => {
  const { ingest, fleet, acks, db } = setup(t);
  ingest.receive(origin, 'up', batch(1));
  await waitForAck(acks, 1);
  db.exec(
    `CREATE TRIGGER full BEFORE UPDATE OF seq ON outbox_position WHEN new.seq = 2 BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`,
  );
  acks.length = 0;
  ingest.receive(origin, 'up', batch(2));
  ingest.receive({ tenant: 'acme', agent: 'nas-2' }, 'up', batch(1));
  await waitFor('both', () => acks.length === 2);
  assert.deepEqual(acks, [1, 1]);
  assert.match(ingest.problem() ?? '', /collector.db: the disk is full/);
  assert.equal(fleet.view('acme', 'nas-2')?.mailIn.count, 1);
  db.exec('DROP TRIGGER full');
  ingest.receive(origin, 'up', batch(2));
  await waitForAck(acks, 2);
  assert.equal(fleet.view('acme', 'nas-1')?.mailIn.count, 2);
  assert.equal(ingest.problem(), undefined);
});

test('stop() does not wait for a store that never answers', async (t) => {
  const { db } = setup(t);
  const fleet = createFleet({ db, clock: systemClock, staleSeconds: 60, offlineSeconds: 300, log });
  const store = { ...memoryStore(), write: () => new Promise<never>(() => {}) };
  const ingest = createIngest({ store, fleet, db, clock: systemClock, random: () => 0.5, log });
  ingest.receive(origin, 'up', batch(1));
  await ingest.stop();
  assert.equal(fleet.lastSeq(origin, outbox), 0);
});
