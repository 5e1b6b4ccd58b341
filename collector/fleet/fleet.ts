// Who is alive, what was last said, how much was counted. Promise: a batch is counted once, whatever is sent again, since its
// number is stored in the transaction that counts it. Life is judged by the collector's monotonic clock alone.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Batch, Status } from '#shared/wire.ts';
import type { Origin } from '../store/store.ts';
import type { AgentState, AgentView } from './agent-view.ts';
import { createRecords, newAgent, seriesKey } from './records.ts';
import type { Known } from './records.ts';

export { fleetSchema } from './records.ts';

/** Beyond this, new agents and new series are not taken: names come from outside, memory does not grow with them. */
const maxAgents = 10_000;
const maxReadings = 2_000;
/** A series that an agent has not said for so long is gone (an account or a list that was removed); twice the longest interval. */
const readingLifeMs = 48 * 3_600_000;
const aheadMs = 300_000;

export type Fleet = {
  /** Sorted by tenant and id. `state` and `silentMs` are as of now: they change without an event. */
  readonly views: () => readonly AgentView[];
  readonly view: (tenant: string, id: string) => AgentView | undefined;
  /** 0 when nothing of this outbox was stored. */
  readonly lastSeq: (origin: Origin, outbox: string) => number;
  /** How far the current outbox of every agent was stored. */
  readonly positions: () => readonly { readonly origin: Origin; readonly outbox: string; readonly seq: number }[];
  /** Counts a stored batch: number, totals and readings in one transaction. A number that was counted does nothing. */
  readonly apply: (origin: Origin, batch: Batch) => void;
  /** A birth, a goodbye or a last will. A retained one is history: it does not count as a sign of life. */
  readonly seen: (origin: Origin, status: Status, retained: boolean) => void;
  /** Something arrived from the agent just now. */
  readonly heard: (origin: Origin) => void;
  /** Called after each change with the agent concerned. Returns how to stop listening. */
  readonly onChange: (listener: (origin: Origin) => void) => () => void;
};

export function createFleet(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly staleSeconds: number;
  readonly offlineSeconds: number;
  readonly log: Log;
}): Fleet {
  const { db, clock, log } = options;
  const records = createRecords(db);
  const startedAt = clock.monotonic();
  const agents = new Map<string, Known>(records.load().map((known) => [keyOf(known), known] as const));
  const listeners = new Set<(origin: Origin) => void>();
  const aheadOfUs = new Set<string>();

  function find(origin: Origin): Known | undefined {
    const key = keyOf(origin);
    const known = agents.get(key);
    if (known !== undefined) return known;
    if (agents.size >= maxAgents) {
      log.error({ ...origin, agents: agents.size }, 'too many agents: this one is ignored');
      return undefined;
    }
    const fresh = newAgent(origin.tenant, origin.agent);
    agents.set(key, fresh);
    log.info({ ...origin }, 'new agent');
    return fresh;
  }

  function changed(origin: Origin): void {
    for (const listener of listeners) listener({ tenant: origin.tenant, agent: origin.agent });
  }

  function markHeard(known: Known): void {
    known.heardAt = clock.monotonic();
    known.lastSeenAt = clock.now();
    known.isGone = false;
  }

  function checkClock(known: Known, batch: Batch): void {
    const key = keyOf(known);
    const isAhead = batch.at > clock.now() + aheadMs;
    if (isAhead === aheadOfUs.has(key)) return;
    if (isAhead) aheadOfUs.add(key);
    else aheadOfUs.delete(key);
    const seconds = Math.round((batch.at - clock.now()) / 1_000);
    const { tenant, agent } = known;
    if (isAhead) log.warn({ tenant, agent, seconds }, "the agent's clock is ahead of ours: check the time of both");
    else log.info({ tenant, agent }, "the agent's clock is right again");
  }

  function stateOf(known: Known, silentMs: number): AgentState {
    if (known.isGone || silentMs >= options.offlineSeconds * 1_000) return 'offline';
    // After a start nothing is known of an agent until it says something.
    return known.heardAt === undefined || silentMs >= options.staleSeconds * 1_000 ? 'stale' : 'online';
  }

  function viewOf(known: Known): AgentView {
    const silentMs = clock.monotonic() - (known.heardAt ?? startedAt);
    const queue = known.readings.get(seriesKey({ name: 'queue', tags: {} }))?.fields;
    return {
      tenant: known.tenant,
      id: known.agent,
      state: stateOf(known, silentMs),
      lastSeenAt: known.lastSeenAt,
      silentMs,
      version: known.version,
      mailIn: { count: known.mailIn },
      mailOut: { count: known.mailOut },
      queue: { count: numberOf(queue?.['depth']), oldestSeconds: numberOf(queue?.['oldest_seconds']) },
      readings: [...known.readings.values()],
    };
  }

  return {
    views: () => [...agents.values()].sort(byName).map(viewOf),
    view(tenant, id) {
      const known = agents.get(keyOf({ tenant, agent: id }));
      return known === undefined ? undefined : viewOf(known);
    },
    lastSeq: (origin, outbox) => agents.get(keyOf(origin))?.positions.get(outbox) ?? 0,
    positions: () =>
      [...agents.values()].flatMap((known) => {
        const last = [...known.positions].at(-1);
        if (last === undefined) return [];
        return [{ origin: { tenant: known.tenant, agent: known.agent }, outbox: last[0], seq: last[1] }];
      }),
    apply(origin, batch) {
      const known = find(origin);
      if (known === undefined || batch.seq <= (known.positions.get(batch.outbox) ?? 0)) return;
      const mailIn = known.mailIn + countMails(batch.points, 'mail_in', 'delivered');
      const mailOut = known.mailOut + countMails(batch.points, 'mail_out', 'sent');
      const { readings, said, gone } = mergeReadings(known.readings, batch);
      transaction(db, () => {
        records.saveAgent({ ...known, mailIn, mailOut });
        records.savePosition(known, batch.outbox, batch.seq, clock.now());
        for (const point of said) records.saveReading(known, point);
        for (const point of gone) records.removeReading(known, point);
      });
      // Memory follows only what is on disk.
      const positions = new Map(known.positions);
      positions.delete(batch.outbox);
      positions.set(batch.outbox, batch.seq);
      Object.assign(known, { mailIn, mailOut, readings, positions });
      checkClock(known, batch);
      changed(origin);
    },
    seen(origin, status, retained) {
      const known = find(origin);
      if (known === undefined) return;
      const isOther = known.connection !== '' && known.connection !== status.connection;
      if (status.state === 'offline') {
        if (isOther) return; // the last will of an older connection, late: the agent is back already
        known.isGone = true;
      } else {
        known.connection = status.connection;
        known.version = status.version ?? known.version;
        if (!retained) markHeard(known);
      }
      records.saveAgent(known);
      changed(origin);
    },
    heard(origin) {
      const known = find(origin);
      if (known === undefined) return;
      const wasGone = known.isGone || known.heardAt === undefined;
      markHeard(known);
      if (wasGone) changed(origin);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function keyOf(origin: Origin): string {
  return origin.tenant + '/' + origin.agent;
}

function byName(a: Known, b: Known): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

function numberOf(value: number | string | undefined): number {
  return typeof value === 'number' ? value : 0;
}

/** What arrives is not trusted to be a sane count. */
function countMails(points: readonly Point[], name: 'mail_in' | 'mail_out', outcome: string): number {
  return points
    .filter((point) => point.name === name && point.tags['outcome'] === outcome)
    .map((point) => numberOf(point.fields['count']))
    .reduce((sum, count) => (Number.isSafeInteger(sum + count) && count > 0 ? sum + count : sum), 0);
}

/** Batches come in the order in which they were said, so the later one wins, whatever the agent's clock did. */
function mergeReadings(
  before: ReadonlyMap<string, Point>,
  batch: Batch,
): { readonly readings: Map<string, Point>; readonly said: readonly Point[]; readonly gone: readonly Point[] } {
  const readings = new Map(before);
  const said = new Map<string, Point>();
  for (const point of batch.points) {
    const key = seriesKey(point);
    if (metrics[point.name].kind !== 'gauge' || (!readings.has(key) && readings.size >= maxReadings)) continue;
    readings.set(key, point);
    said.set(key, point);
  }
  const gone = [...readings].filter(([key, point]) => !said.has(key) && point.at < batch.at - readingLifeMs);
  for (const [key] of gone) readings.delete(key);
  return { readings, said: [...said.values()], gone: gone.map(([, point]) => point) };
}
