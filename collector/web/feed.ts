// The live feed: everything once, then what changed, at most twice a second. Promise: a client that does not read costs a
// bounded buffer (what it missed is a set of names, not a queue of messages) and is cut off when it does not answer.
import type { WebSocket } from 'ws';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { alertItem, liveItem, problemsOf } from './items.ts';
import type { RecentReader } from './recent.ts';
import type { Sources } from './sources.ts';

export type FeedSocket = Pick<WebSocket, 'send' | 'ping' | 'close' | 'terminate' | 'bufferedAmount' | 'readyState'> & {
  readonly on: (event: 'pong' | 'close' | 'message', listener: () => void) => unknown;
};
export type Feed = {
  /** False when there are too many clients. */
  readonly hasRoom: () => boolean;
  readonly add: (socket: FeedSocket) => void;
  readonly size: () => number;
  readonly stop: () => Promise<void>;
};
export type FeedLimits = {
  readonly tickMs: number;
  /** How often a client is asked for a sign of life; without an answer it is cut off at the next one. */
  readonly heartbeatMs: number;
  /** States grow old by time alone. */
  readonly sweepMs: number;
  readonly maxClients: number;
  /** More than this not yet sent: wait before sending more. */
  readonly fullBytes: number;
  /** More than this not yet sent: cut off. */
  readonly maxBufferedBytes: number;
  readonly agentsPerMessage: number;
  readonly maxAlerts: number;
  /** Time to answer a closing handshake when the collector stops. */
  readonly goodbyeMs: number;
};
export const feedLimits: FeedLimits = {
  tickMs: 500,
  heartbeatMs: 15_000,
  sweepMs: 5_000,
  maxClients: 200,
  fullBytes: 256 * 1_024,
  maxBufferedBytes: 1_024 * 1_024,
  agentsPerMessage: 100,
  maxAlerts: 200,
  goodbyeMs: 1_000,
};

type Client = {
  readonly socket: FeedSocket;
  /** Agents whose present state it has not been sent, as TENANT/AGENT. */
  readonly pending: Set<string>;
  overviewPending: boolean;
  /** Until the first whole picture is sent. */
  starting: boolean;
  first: boolean;
  alive: boolean;
};

export function createFeed(
  options: Sources & {
    readonly recent: RecentReader;
    readonly clock: Clock;
    readonly log: Log;
    readonly limits?: Partial<FeedLimits>;
  },
): Feed {
  const { fleet, recent, clock, log } = options;
  const limits = { ...feedLimits, ...options.limits };
  const clients = new Set<Client>();
  const dirty = new Set<string>();
  const states = new Map<string, string>();
  let overview = '';
  let running: { readonly stop: AbortController; readonly done: Promise<void> } | undefined;

  const now = (): string => new Date(clock.now()).toISOString();

  function drop(client: Client, why: string): void {
    if (!clients.delete(client)) return;
    // No closing handshake: it would wait behind what the client does not read.
    client.socket.terminate();
    log.info({ why, buffered: client.socket.bufferedAmount }, 'live client cut off');
  }

  function readOverview(): string {
    const alerts = options.alert.active();
    return JSON.stringify({
      alerts: alerts.slice(0, limits.maxAlerts).map(alertItem),
      alertCount: alerts.length,
      problems: problemsOf(options.health),
    });
  }

  function sendAgents(client: Client): void {
    const keys = [...client.pending].slice(0, limits.agentsPerMessage);
    for (const key of keys) client.pending.delete(key);
    const items = keys.flatMap((key) => {
      const [tenant = '', id = ''] = key.split('/');
      const view = fleet.view(tenant, id);
      return view === undefined ? [] : [liveItem(view, recent.of(tenant, id))];
    });
    const more = client.pending.size > 0;
    const message = { type: 'agents', at: now(), first: client.first, more, items };
    client.first = false;
    if (!more) client.starting = false;
    // A large fleet's first picture goes out as fast as the client takes it; everything later waits for the next tick.
    client.socket.send(JSON.stringify(message), (error) => {
      if (error === undefined || error === null) {
        if (client.starting) flush(client);
      } else drop(client, describe(error));
    });
  }

  function flush(client: Client): void {
    if (!clients.has(client)) return;
    if (client.socket.bufferedAmount > limits.maxBufferedBytes) return drop(client, 'it does not read');
    if (client.overviewPending && client.socket.bufferedAmount < limits.fullBytes) {
      client.overviewPending = false;
      client.socket.send('{"type":"overview","at":"' + now() + '",' + overview.slice(1));
    }
    if ((client.first || client.pending.size > 0) && client.socket.bufferedAmount < limits.fullBytes)
      sendAgents(client);
  }

  function sweep(): void {
    for (const view of fleet.views()) {
      const key = view.tenant + '/' + view.id;
      if (states.get(key) !== view.state) dirty.add(key);
      states.set(key, view.state);
    }
  }

  function heartbeat(): void {
    const beat = JSON.stringify({ type: 'beat', at: now() });
    for (const client of clients) {
      if (!client.alive) {
        drop(client, 'no sign of life');
        continue;
      }
      client.alive = false;
      client.socket.ping();
      if (client.socket.bufferedAmount < limits.fullBytes) client.socket.send(beat);
    }
  }

  function tick(): void {
    const latest = readOverview();
    const news = latest !== overview;
    overview = latest;
    for (const client of clients) {
      for (const key of dirty) client.pending.add(key);
      client.overviewPending ||= news;
      flush(client);
    }
    dirty.clear();
  }

  /** Calls `work` every `everyMs` until aborted. A fault of one turn must not end the feed. */
  async function every(everyMs: number, signal: AbortSignal, work: () => void | Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal);
      if (signal.aborted) return;
      try {
        await work();
      } catch (error) {
        log.error({ error: describe(error) }, 'live feed failed');
      }
    }
  }

  async function run(signal: AbortSignal): Promise<void> {
    const end = fleet.onChange((origin) => void dirty.add(origin.tenant + '/' + origin.agent));
    const readRecent = (): Promise<void> =>
      recent.refresh(fleet.views(), (origin) => void dirty.add(origin.tenant + '/' + origin.agent), signal);
    try {
      await Promise.all([
        every(limits.tickMs, signal, tick),
        every(limits.sweepMs, signal, sweep),
        every(limits.heartbeatMs, signal, heartbeat),
        every(limits.tickMs, signal, readRecent),
      ]);
    } finally {
      end();
    }
  }

  /** Runs only while somebody looks. */
  function wake(): void {
    if (running !== undefined) return;
    overview = readOverview();
    sweep();
    dirty.clear();
    const stop = new AbortController();
    running = { stop, done: run(stop.signal) };
  }

  async function rest(): Promise<void> {
    const ended = running;
    running = undefined;
    ended?.stop.abort();
    await ended?.done;
  }

  return {
    hasRoom: () => clients.size < limits.maxClients,
    size: () => clients.size,
    add(socket) {
      const client: Client = {
        socket,
        pending: new Set(),
        overviewPending: true,
        starting: true,
        first: true,
        alive: true,
      };
      clients.add(client);
      socket.on('pong', () => {
        client.alive = true;
      });
      socket.on('close', () => {
        clients.delete(client);
        if (clients.size === 0) void rest();
      });
      wake();
      for (const view of fleet.views()) client.pending.add(view.tenant + '/' + view.id);
      flush(client);
    },
    async stop() {
      const gone = Promise.all(
        [...clients].map(({ socket }) => new Promise<void>((resolve) => void socket.on('close', resolve))),
      );
      for (const { socket } of clients) socket.close(1001, 'the collector stops');
      const early = new AbortController();
      await Promise.race([gone.then(() => early.abort()), clock.sleep(limits.goodbyeMs, early.signal)]);
      for (const { socket } of clients) socket.terminate();
      await rest();
    },
  };
}
