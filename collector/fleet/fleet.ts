// What is known of every agent: last readings, totals, who is alive. Promise: a batch is counted once, whatever dies when,
// because its number is written in the transaction that counts it; liveness is judged by the collector's monotonic clock.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import { seriesOf } from '#shared/series.ts';
import type { Database } from '#shared/sqlite.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Batch, Status } from '#shared/wire.ts';
import { createClockSkews } from './clock-skew.ts';
import type { AgentState, AgentView } from './agent-view.ts';
import { createMember, keyOf, loadMembers, prepare } from './members.ts';
import type { Member, Origin } from './members.ts';

export { fleetSchema } from './members.ts';
export { seriesOf } from '#shared/series.ts';
export type { Origin } from './members.ts';

export type Fleet = {
  readonly views: () => readonly AgentView[];
  readonly view: (tenant: string, id: string) => AgentView | undefined;
  /** Number of the last batch of this outbox that was counted; 0 when none. */
  readonly lastSeq: (origin: Origin, outbox: string) => number;
  /** Counts a batch and remembers its readings; resolves nothing, throws when the disk fails. A batch counted before changes nothing. */
  readonly apply: (origin: Origin, batch: Batch) => void;
  /** The same for many in one transaction; when it fails, for each alone. `failed`: why some could not be counted. */
  readonly applyAll: (entries: readonly Entry[]) => { readonly counted: number; readonly failed?: unknown };
  /**
   * A birth, or a last will: the latter only when it belongs to the connection of the last birth. `retained`: the broker kept
   * it from earlier, so it is no sign of life.
   */
  readonly seen: (origin: Origin, status: Status, retained?: boolean) => void;
  /** Something came from the agent just now, whether it can be stored or not. */
  readonly heard: (origin: Origin) => void;
  /** Called after anything of an agent changed; returns how to end that. */
  readonly onChange: (listener: (origin: Origin) => void) => () => void;
  /** Called after an agent has connected. */
  readonly onBirth: (listener: (origin: Origin) => void) => void;
};

export type Entry = { readonly origin: Origin; readonly batch: Batch };

/** Names come from outside: memory must not grow with them. */
const maxAgents = 10_000;
const maxReadings = 2_000;
/** A series that was not said for so long is no more: an account or a block list was removed. Twice the longest interval. */
const readingLifeMs = 48 * 3_600_000;
const keepAgainMs = 3_600_000;
/** Outboxes of one agent: it has one, and a few when it was put back from backups. */
const maxPositions = 16;
/** More than any batch can hold. */
const maxMailsAPoint = 1_000_000;

export function createFleet(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly staleSeconds: number;
  readonly offlineSeconds: number;
  readonly clockSkewSeconds?: number;
  /** Agents that are configured no more are not shown; what is known of them stays in the database. All are when absent. */
  readonly isExpected?: (origin: Origin) => boolean;
  readonly log: Log;
}): Fleet {
  const { db, clock, log } = options;
  const members = loadMembers(db, clock.monotonic());
  const listeners = new Set<(origin: Origin) => void>();
  const births = new Set<(origin: Origin) => void>();
  const statements = prepare(db);
  const skews = createClockSkews({ db, clock, limitMs: (options.clockSkewSeconds ?? 300) * 1_000, log });

  function memberOf(origin: Origin): Member {
    const key = keyOf(origin);
    const known = members.get(key);
    if (known !== undefined) return known;
    if (members.size >= maxAgents)
      throw new Error('Cannot take agent ' + key + ': there are ' + members.size + ' already');
    addAgent(origin);
    const rowId = Number(statements.findAgent.get(origin.tenant, origin.agent)?.['id']);
    const member = createMember(rowId, origin, clock.monotonic());
    members.set(key, member);
    log.info({ tenant: origin.tenant, agent: origin.agent }, 'a new agent');
    return member;
  }

  /**
   * Without waiting for the disk: thousands may come at once, after a restore; the commit that counts something of the agent
   * brings its row to the disk too, since the log is written in order. Not within a transaction.
   */
  function addAgent(origin: Origin): void {
    db.exec('PRAGMA synchronous=NORMAL');
    try {
      statements.addAgent.run(origin.tenant, origin.agent);
    } finally {
      db.exec('PRAGMA synchronous=FULL');
    }
  }

  function heard(member: Member): void {
    member.heardAt = clock.monotonic();
    member.heard = true;
    member.connected = true;
    member.lastSeenAt = clock.now();
    setPlannedOff(member, false);
  }

  function changed(origin: Origin, told: ReadonlySet<(origin: Origin) => void> = listeners): void {
    for (const listener of told) {
      try {
        listener(origin);
      } catch (error) {
        log.error({ ...origin, error: describe(error) }, 'a listener failed');
      }
    }
  }

  function lastSeq(member: Member, outbox: string): number {
    const known = member.positions.get(outbox);
    if (known !== undefined) return known;
    const seq = Number(statements.position.get(member.rowId, outbox)?.['seq'] ?? 0);
    if (member.positions.size >= maxPositions) member.positions.clear();
    member.positions.set(outbox, seq);
    return seq;
  }

  /** Writes to the database; what it gives back is to be done in memory when the transaction is through. */
  function count({ origin, batch }: Entry): () => void {
    const member = memberOf(origin);
    const counts = countMails(batch.points);
    const fresh = lastReadings(batch.points, member.readings);
    const gone = [...member.readings].filter(([series, { at }]) => !fresh.has(series) && isOver(at, batch.at));
    statements.setPosition.run(member.rowId, batch.outbox, batch.seq, clock.now());
    statements.count.run(counts.mailIn, counts.mailOut, clock.now(), member.rowId);
    for (const [series, point] of fresh)
      if (isNews(member.kept.get(series), point))
        statements.setReading.run(member.rowId, series, point.at, JSON.stringify(point));
    for (const [series] of gone) statements.dropReading.run(member.rowId, series);
    return () => {
      member.positions.set(batch.outbox, batch.seq);
      member.mailIn += counts.mailIn;
      member.mailOut += counts.mailOut;
      for (const [series, point] of fresh) {
        if (isNews(member.kept.get(series), point)) member.kept.set(series, point);
        member.readings.set(series, point);
      }
      for (const [series] of gone) {
        member.readings.delete(series);
        member.kept.delete(series);
      }
    };
  }

  function applyGroup(entries: readonly Entry[]): void {
    const done: (() => void)[] = [];
    const before = new Map<string, number>();
    for (const { origin } of entries) memberOf(origin); // a new one cannot be added within the transaction
    transaction(db, () => {
      for (const entry of entries) {
        const key = keyOf(entry.origin) + ' ' + entry.batch.outbox;
        if (entry.batch.seq <= (before.get(key) ?? lastSeq(memberOf(entry.origin), entry.batch.outbox))) continue;
        before.set(key, entry.batch.seq);
        done.push(count(entry));
      }
    });
    for (const work of done) work();
    for (const { origin } of new Map(entries.map((entry) => [keyOf(entry.origin), entry])).values()) changed(origin);
  }

  function applyAll(entries: readonly Entry[]): { readonly counted: number; readonly failed?: unknown } {
    if (entries.length === 0) return { counted: 0 };
    try {
      applyGroup(entries);
      return { counted: entries.length };
    } catch (error) {
      if (entries.length === 1) return { counted: 0, failed: error };
    }
    return entries
      .map((entry) => applyAll([entry]))
      .reduce((all, one) => ({ ...all, ...one, counted: all.counted + one.counted }));
  }

  function apply(origin: Origin, batch: Batch): void {
    applyGroup([{ origin, batch }]);
  }

  function setPlannedOff(member: Member, planned: boolean): void {
    if (member.plannedOff === planned) return;
    statements.setPlannedOff.run(planned ? 1 : 0, member.rowId);
    member.plannedOff = planned;
  }

  function seen(origin: Origin, status: Status, retained = false): void {
    const member = memberOf(origin);
    // A last will that comes late belongs to a connection that is no more.
    if (status.state === 'offline' && member.connection !== '' && status.connection !== member.connection) return;
    if (status.state === 'offline') {
      member.connected = false;
      // A last will that follows says nothing about why.
      if (status.reason === 'power-off') setPlannedOff(member, true);
    } else {
      member.connection = status.connection;
      member.version = status.version ?? member.version;
      if (!retained) {
        heard(member);
        member.clockAheadMs = skews.said(origin, status.at);
      }
      statements.setSeen.run(member.lastSeenAt, member.version, member.rowId);
    }
    changed(origin);
    if (status.state === 'online' && !retained) changed(origin, births);
  }

  const view = (member: Member): AgentView => viewOf(member, clock.monotonic(), options);
  const isShown = ({ origin }: Member): boolean => options.isExpected?.(origin) ?? true;
  return {
    views: () => [...members.values()].filter(isShown).map(view),
    view(tenant, id) {
      const member = members.get(keyOf({ tenant, agent: id }));
      return member === undefined || !isShown(member) ? undefined : view(member);
    },
    lastSeq(origin, outbox) {
      const member = members.get(keyOf(origin));
      return member === undefined ? 0 : lastSeq(member, outbox);
    },
    apply,
    applyAll,
    seen,
    heard(origin) {
      const member = memberOf(origin);
      const isNews = !member.heard || member.connected !== true;
      heard(member);
      if (isNews) changed(origin);
    },
    onBirth: (listener) => void births.add(listener),
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

function countMails(points: readonly Point[]): { readonly mailIn: number; readonly mailOut: number } {
  const sum = (name: Point['name'], outcome: string): number =>
    points
      .filter((point) => point.name === name && point.tags['outcome'] === outcome)
      .map((point) => Math.round(Number(point.fields['count'] ?? 0)))
      // What comes from outside must not become a total that no database takes.
      .reduce((total, count) => total + Math.min(Math.max(count, 0), maxMailsAPoint), 0);
  return { mailIn: sum('mail_in', 'delivered'), mailOut: sum('mail_out', 'sent') };
}

/**
 * Of each gauge series the point that was said last. Batches are counted in the order in which they were made, so this is the
 * present as the agent knows it; by their times it would not be, when the agent's clock was ahead and was set right.
 */
function lastReadings(points: readonly Point[], known: ReadonlyMap<string, Point>): ReadonlyMap<string, Point> {
  const fresh = new Map<string, Point>();
  for (const point of points) {
    if (metrics[point.name].kind !== 'gauge') continue;
    const series = seriesOf(point);
    if (known.has(series) || known.size + fresh.size < maxReadings) fresh.set(series, point);
  }
  return fresh;
}

function isOver(at: number, now: number): boolean {
  return Math.abs(now - at) > readingLifeMs;
}

/**
 * Is it worth a write? What a gauge says again and again is not; but its age is, when it grows old: a reading that was not
 * said for `readingLifeMs` is dropped, also by the process after this one.
 */
function isNews(kept: Point | undefined, point: Point): boolean {
  if (kept === undefined || Math.abs(point.at - kept.at) > keepAgainMs) return true;
  const names = Object.keys(point.fields);
  return (
    names.length !== Object.keys(kept.fields).length || names.some((name) => point.fields[name] !== kept.fields[name])
  );
}

function viewOf(
  member: Member,
  now: number,
  limits: { readonly staleSeconds: number; readonly offlineSeconds: number },
): AgentView {
  const silentMs = Math.max(0, now - member.heardAt);
  const readings = [...member.readings.values()];
  const queue = readings.find((point) => point.name === 'queue')?.fields;
  return {
    tenant: member.origin.tenant,
    id: member.origin.agent,
    state: stateOf(member, silentMs, limits),
    lastSeenAt: member.lastSeenAt,
    silentMs,
    plannedOff: member.plannedOff,
    version: member.version,
    ...(member.clockAheadMs !== 0 && { clockAheadMs: member.clockAheadMs }),
    mailIn: { count: member.mailIn },
    mailOut: { count: member.mailOut },
    queue: { count: Number(queue?.['depth'] ?? 0), oldestSeconds: Number(queue?.['oldest_seconds'] ?? 0) },
    readings,
  };
}

function stateOf(
  member: Member,
  silentMs: number,
  limits: { readonly staleSeconds: number; readonly offlineSeconds: number },
): AgentState {
  if (member.connected === false) return 'offline';
  if (silentMs >= limits.offlineSeconds * 1_000) return 'offline';
  // After a restart of the collector nobody has been heard yet: that is no news, not bad news.
  return member.heard && silentMs < limits.staleSeconds * 1_000 ? 'online' : 'stale';
}
