import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { WebSocket } from 'ws';
import { systemClock } from '#shared/clock.ts';
import { createLog } from '#shared/log.ts';
import { createFeed, feedLimits } from '../../../collector/web/feed.ts';
import type { FeedLimits, FeedSocket } from '../../../collector/web/feed.ts';
import type { RecentReader } from '../../../collector/web/recent.ts';
import { createWeb } from '../../../collector/web/web.ts';
import { waitFor } from '../../lab/wait.ts';
import { hostile } from './estate.ts';
import { createHandClock } from './hand-clock.ts';
import { alert, createHandFed, reading } from './hand-fed.ts';

const log = createLog({ level: 'silent', name: 'test' });
const noRecent: RecentReader = { of: () => undefined, refresh: async () => {} };

type Message = {
  type: string;
  at: string;
  first?: boolean;
  more?: boolean;
  items?: { id: string; mailIn: { count: number } }[];
  alerts?: { text: string }[];
  problems?: unknown[];
};

/** A client whose buffer a test fills and empties. */
function handSocket() {
  const sent: Message[] = [];
  const listeners = new Map<string, (() => void)[]>();
  const state = { bufferedAmount: 0, terminated: false, pings: 0, drains: true };
  const socket: FeedSocket = {
    get bufferedAmount() {
      return state.bufferedAmount;
    },
    readyState: 1,
    send(data: unknown, done?: unknown) {
      sent.push(JSON.parse(String(data)) as Message); // our own messages
      if (!state.drains) state.bufferedAmount += String(data).length;
      if (state.drains && typeof done === 'function') queueMicrotask(() => done());
    },
    ping: () => void (state.pings += 1),
    close: () => {},
    terminate: () => void (state.terminated = true),
    on: (event, listener) => listeners.set(event, [...(listeners.get(event) ?? []), listener]),
  };
  const emit = (event: string): void => {
    for (const listener of listeners.get(event) ?? []) listener();
  };
  return { socket, sent, state, emit };
}

function setUp(t: TestContext, limits: Partial<FeedLimits> = {}) {
  const fed = createHandFed();
  const clock = createHandClock();
  const feed = createFeed({ ...fed.sources, store: { query: async () => [] }, recent: noRecent, clock, log, limits });
  t.after(async () => {
    const stopped = feed.stop();
    await clock.advance(5_000);
    await stopped;
    assert.equal(fed.listeners(), 0, 'nothing listens after stop()');
    assert.equal(clock.sleepers(), 0, 'nothing waits after stop()');
  });
  return { fed, clock, feed };
}
const agentsOf = (messages: readonly Message[]) => messages.filter(({ type }) => type === 'agents');

test('a new client gets everything at once, then only what changed', async (t) => {
  const { fed, clock, feed } = setUp(t);
  fed.put({
    tenant: 'acme',
    id: 'nas-1',
    readings: [reading('account', 1, { account: hostile }, { up: 0, problem: hostile })],
  });
  fed.put({ tenant: 'acme', id: 'nas-2' });
  fed.alerts.push(alert({ id: 'a', text: hostile }));
  const { socket, sent } = handSocket();
  feed.add(socket);
  assert.deepEqual(
    sent.map(({ type }) => type),
    ['overview', 'agents'],
  );
  assert.equal(sent[0]?.alerts?.[0]?.text, hostile);
  assert.deepEqual([sent[1]?.first, sent[1]?.more, sent[1]?.items?.length], [true, false, 2]);
  assert.ok(JSON.stringify(sent[1]).includes(JSON.stringify(hostile).slice(1, -1)));
  await clock.advance(3_000);
  assert.equal(sent.length, 2, 'nothing changed, nothing is said');
  fed.put({ tenant: 'acme', id: 'nas-2', mailIn: { count: 5 } });
  await clock.advance(500);
  assert.deepEqual(
    sent.slice(2).map(({ first, items }) => [first, items?.map(({ id, mailIn }) => [id, mailIn.count])]),
    [[false, [['nas-2', 5]]]],
  );
});

test('a fleet without agents is told too, so that the page can say so', (t) => {
  const { feed } = setUp(t);
  const { socket, sent } = handSocket();
  feed.add(socket);
  assert.deepEqual(
    agentsOf(sent).map(({ first, more, items }) => [first, more, items]),
    [[true, false, []]],
  );
});

test('many changes are at most two messages a second, the last state wins', async (t) => {
  const { fed, clock, feed } = setUp(t);
  const { socket, sent } = handSocket();
  fed.put({ tenant: 'acme', id: 'nas-1' });
  feed.add(socket);
  const before = sent.length;
  for (let turn = 1; turn <= 500; turn += 1) {
    fed.put({ tenant: 'acme', id: 'nas-1', mailIn: { count: turn } });
    await clock.advance(10);
  }
  const news = agentsOf(sent.slice(before));
  assert.ok(news.length >= 9 && news.length <= 10, news.length + ' messages in 5 s');
  assert.equal(news.at(-1)?.items?.[0]?.mailIn.count, 500);
});

test('a state that changes by time alone is told within the sweep', async (t) => {
  const { fed, clock, feed } = setUp(t);
  const view = { tenant: 'acme', id: 'nas-1' };
  fed.put(view);
  const { socket, sent } = handSocket();
  feed.add(socket);
  const views = fed.sources.fleet.views();
  Object.assign(views[0] ?? {}, { state: 'stale' }); // no listener is told
  await clock.advance(feedLimits.sweepMs + 500);
  assert.deepEqual(agentsOf(sent).length, 2);
});

test('alerts and problems of the collector are told to every client', async (t) => {
  const { fed, clock, feed } = setUp(t);
  const clients = [handSocket(), handSocket()];
  for (const { socket } of clients) feed.add(socket);
  fed.alerts.push(alert({ id: 'a' }));
  fed.parts['store'] = 'down';
  // One that comes in between must not swallow the news of the others.
  clients.push(handSocket());
  feed.add(clients[2]?.socket ?? handSocket().socket);
  await clock.advance(500);
  for (const { sent } of clients) {
    const last = sent.filter(({ type }) => type === 'overview').at(-1);
    assert.deepEqual([last?.alerts?.length, last?.problems], [1, [{ part: 'store', problem: 'down' }]]);
  }
});

test('a large fleet comes in parts, as fast as the client takes them', async (t) => {
  const { fed, clock, feed } = setUp(t);
  for (let id = 0; id < 350; id += 1) fed.put({ tenant: 'acme', id: 'nas-' + id });
  const { socket, sent } = handSocket();
  feed.add(socket);
  await clock.advance(0);
  const parts = agentsOf(sent);
  assert.deepEqual(
    parts.map(({ first, more, items }) => [first, more, items?.length]),
    [
      [true, true, 100],
      [false, true, 100],
      [false, true, 100],
      [false, false, 50],
    ],
  );
});

test('a client that does not read is sent little, catches up when it reads again, and costs no growing memory', async (t) => {
  const { fed, clock, feed } = setUp(t, { heartbeatMs: 1e9 });
  for (let id = 0; id < 1_000; id += 1) fed.put({ tenant: 'acme', id: 'nas-' + id });
  const { socket, sent, state } = handSocket();
  state.drains = false;
  feed.add(socket);
  for (let turn = 1; turn <= 200; turn += 1) {
    for (let id = 0; id < 1_000; id += 1) fed.put({ tenant: 'acme', id: 'nas-' + id, mailIn: { count: turn } });
    await clock.advance(500);
  }
  assert.ok(state.bufferedAmount < feedLimits.fullBytes + 100_000, state.bufferedAmount + ' bytes wait');
  assert.equal(state.terminated, false);
  const before = sent.length;
  state.drains = true;
  state.bufferedAmount = 0;
  await clock.advance(1_000 * 10);
  const seen = new Map(
    agentsOf(sent.slice(before))
      .flatMap(({ items }) => items ?? [])
      .map((item) => [item.id, item.mailIn.count]),
  );
  assert.equal(seen.size, 1_000);
  assert.ok([...seen.values()].every((value) => value === 200));
});

test('a client whose buffer is over the limit is cut off', async (t) => {
  const { fed, clock, feed } = setUp(t);
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const { socket, state } = handSocket();
  feed.add(socket);
  state.bufferedAmount = feedLimits.maxBufferedBytes + 1;
  await clock.advance(500);
  assert.equal(state.terminated, true);
  assert.equal(feed.size(), 0);
});

test('a client without a sign of life is cut off at the second heartbeat, one that answers stays', async (t) => {
  const { clock, feed } = setUp(t);
  const silent = handSocket();
  const alive = handSocket();
  feed.add(silent.socket);
  feed.add(alive.socket);
  for (let beat = 0; beat < 4; beat += 1) {
    await clock.advance(feedLimits.heartbeatMs);
    alive.emit('pong');
  }
  assert.deepEqual([silent.state.terminated, alive.state.terminated, feed.size()], [true, false, 1]);
  assert.equal(alive.sent.filter(({ type }) => type === 'beat').length, 4);
});

test('the feed rests when nobody looks and wakes for the next one', async (t) => {
  const { fed, clock, feed } = setUp(t);
  const first = handSocket();
  feed.add(first.socket);
  await clock.advance(0);
  assert.equal(fed.listeners(), 1);
  first.emit('close');
  await clock.advance(0);
  assert.deepEqual([fed.listeners(), clock.sleepers()], [0, 0]);
  fed.put({ tenant: 'acme', id: 'nas-1' });
  const second = handSocket();
  feed.add(second.socket);
  assert.equal(agentsOf(second.sent)[0]?.items?.length, 1);
});

test('a fault of the sources does not end the feed', async (t) => {
  const fed = createHandFed();
  let fails = false;
  const health = () => {
    if (fails) throw new Error('a part cannot say');
    return fed.parts;
  };
  const clock = createHandClock();
  const feed = createFeed({ ...fed.sources, health, store: { query: async () => [] }, recent: noRecent, clock, log });
  t.after(async () => {
    const stopped = feed.stop();
    await clock.advance(5_000);
    await stopped;
  });
  const { socket, sent } = handSocket();
  feed.add(socket);
  fails = true;
  await clock.advance(2_000);
  fails = false;
  fed.put({ tenant: 'acme', id: 'nas-1' });
  await clock.advance(500);
  assert.equal(agentsOf(sent).at(-1)?.items?.[0]?.id, 'nas-1');
});

async function startWeb(t: TestContext, limits: Partial<FeedLimits>) {
  const fed = createHandFed();
  const web = createWeb({
    config: { host: '127.0.0.1', port: 0 },
    ...fed.sources,
    store: { query: async () => [] },
    clock: systemClock,
    log,
    feedLimits: limits,
  });
  await web.start();
  t.after(web.stop);
  return { fed, web, port: web.address().port };
}

test('over a real socket: a paused client costs bounded memory, is cut off, and the others go on', async (t) => {
  const { fed, port, web } = await startWeb(t, { tickMs: 5, heartbeatMs: 400 });
  const problem = 'x'.repeat(190);
  const accounts = Array.from({ length: 5 }, (_, index) =>
    reading('account', 1, { account: problem + index }, { up: 0, problem }),
  );
  const feedAll = (turn: number): void => {
    for (let id = 0; id < 300; id += 1)
      fed.put({ tenant: 'acme', id: 'nas-' + id, mailIn: { count: turn }, readings: accounts });
  };
  feedAll(0);
  // Speaks just enough HTTP to be upgraded, then never reads again.
  const paused = connect(port, '127.0.0.1');
  t.after(() => paused.destroy());
  await once(paused, 'connect');
  paused.pause();
  paused.write(
    'GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ' +
      Buffer.alloc(16, 1).toString('base64') +
      '\r\n\r\n',
  );
  const reader = new WebSocket('ws://127.0.0.1:' + port + '/live');
  t.after(() => reader.terminate());
  let received = 0;
  let latest = 0;
  reader.on('message', (data) => {
    const text = Buffer.isBuffer(data) ? data.toString() : '';
    received += text.length;
    const message = JSON.parse(text) as Message; // our own message
    for (const item of message.items ?? []) latest = Math.max(latest, item.mailIn.count);
  });
  await once(reader, 'open');
  await waitFor('the first picture', () => received > 300_000);
  const before = process.memoryUsage().external + process.memoryUsage().heapUsed;
  let turn = 0;
  await waitFor(
    '30 MB of news for the one that reads',
    () => {
      turn += 1;
      feedAll(turn);
      return received > 30_000_000;
    },
    { everyMs: 5 },
  );
  const grown = process.memoryUsage().external + process.memoryUsage().heapUsed - before;
  assert.ok(grown < 60_000_000, 'grew by ' + grown);
  await waitFor('the paused client to be cut off', async () => {
    feedAll((turn += 1));
    paused.resume(); // to see the end of the line one has to read
    return paused.closed;
  });
  assert.equal(reader.readyState, WebSocket.OPEN);
  assert.ok(latest > 0);
  const begun = performance.now();
  await web.stop();
  assert.ok(performance.now() - begun < 4_000);
});

test('stop() does not wait for a client that does not answer', async (t) => {
  const { port, web } = await startWeb(t, { goodbyeMs: 100 });
  const mute = connect(port, '127.0.0.1');
  t.after(() => mute.destroy());
  mute.write(
    'GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ' +
      Buffer.alloc(16, 1).toString('base64') +
      '\r\n\r\n',
  );
  await once(mute, 'data');
  const begun = performance.now();
  await web.stop();
  assert.ok(performance.now() - begun < 2_000, 'stopped in ' + (performance.now() - begun) + ' ms');
});

test('more clients than allowed are refused, a message that is too long ends its sender', async (t) => {
  const { port } = await startWeb(t, { maxClients: 1 });
  const first = new WebSocket('ws://127.0.0.1:' + port + '/live');
  await once(first, 'open');
  const second = new WebSocket('ws://127.0.0.1:' + port + '/live');
  const refused = await new Promise<number>((resolve) => {
    second.on('unexpected-response', (_request, response) => resolve(response.statusCode ?? 0));
    second.on('error', () => {});
  });
  assert.equal(refused, 503);
  second.terminate();
  const closed = once(first, 'close');
  first.send('x'.repeat(5_000));
  await closed;
});
