// What is known of every agent: last readings, totals, who is alive. Promise: a batch is counted once, whatever dies when,
// because its number is written in the transaction that counts it; liveness is judged by the collector's monotonic clock.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import type { Database } from '#shared/sqlite.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Batch, Status } from '#shared/wire.ts';
import type { AgentState, AgentView } from './agent-view.ts';

export type Origin = { readonly tenant: string; readonly agent: string };

export const fleetSchema = `
CREATE TABLE agent (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  last_seen_at INTEGER NOT NULL DEFAULT 0,
  version TEXT NOT NULL DEFAULT '',
  mail_in INTEGER NOT NULL DEFAULT 0,
  mail_out INTEGER NOT NULL DEFAULT 0,
  UNIQUE (tenant, agent)
) STRICT;
CREATE TABLE outbox_position (
  agent INTEGER NOT NULL REFERENCES agent (id) ON DELETE CASCADE,
  outbox TEXT NOT NULL,
  seq INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  PRIMARY KEY (agent, outbox)
) STRICT, WITHOUT ROWID;
CREATE TABLE reading (
  agent INTEGER NOT NULL REFERENCES agent (id) ON DELETE CASCADE,
  series TEXT NOT NULL,
  at INTEGER NOT NULL,
  point TEXT NOT NULL,
  PRIMARY KEY (agent, series)
) STRICT, WITHOUT ROWID`;

export type Fleet = {
  readonly views: () => readonly AgentView[];
  readonly view: (tenant: string, id: string) => AgentView | undefined;
  /** Number of the last batch of this outbox that was counted; 0 when none. */
  readonly lastSeq: (origin: Origin, outbox: string) => number;
  /** Counts a batch and remembers its readings; resolves nothing, throws when the disk fails. A batch counted before changes nothing. */
  readonly apply: (origin: Origin, batch: Batch) => void;
  /** A birth, or a last will: the latter only when it belongs to the connection of the last birth. */
  readonly seen: (origin: Origin, status: Status) => void;
  /** Called after anything of an agent changed; returns how to end that. */
  readonly onChange: (listener: (origin: Origin) => void) => () => void;
};

/** One agent in memory; the database holds the same but for `heardAt`, `connection` and `connected`. */
type Member = {
  readonly rowId: number;
  readonly origin: Origin;
  lastSeenAt: number;
  version: string;
  mailIn: number;
  mailOut: number;
  readonly readings: Map<string, Point>;
  /** Monotonic; the start of this process until it is heard. */
  heardAt: number;
  heard: boolean;
  connection: string;
  /** Undefined until this process has been told. */
  connected: boolean | undefined;
};

const maxReadings = 2_000;

export function createFleet(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly staleSeconds: number;
  readonly offlineSeconds: number;
  readonly log: Log;
}): Fleet {
  const { db, clock, log } = options;
  const members = loadMembers(db, clock.monotonic());
  const listeners = new Set<(origin: Origin) => void>();
  const statements = prepare(db);

  function memberOf(origin: Origin): Member {
    const key = keyOf(origin);
    const known = members.get(key);
    if (known !== undefined) return known;
    statements.addAgent.run(origin.tenant, origin.agent);
    const rowId = Number(statements.findAgent.get(origin.tenant, origin.agent)?.['id']);
    const member = createMember(rowId, origin, clock.monotonic());
    members.set(key, member);
    log.info({ tenant: origin.tenant, agent: origin.agent }, 'a new agent');
    return member;
  }

  function heard(member: Member): void {
    member.heardAt = clock.monotonic();
    member.heard = true;
    member.lastSeenAt = clock.now();
  }

  function changed(origin: Origin): void {
    for (const listener of listeners) listener(origin);
  }

  function lastSeq(member: Member, outbox: string): number {
    return Number(statements.position.get(member.rowId, outbox)?.['seq'] ?? 0);
  }

  function apply(origin: Origin, batch: Batch): void {
    const member = memberOf(origin);
    if (batch.seq <= lastSeq(member, batch.outbox)) {
      heard(member);
      return;
    }
    const counts = countMails(batch.points);
    const fresh = newestReadings(batch.points, member.readings);
    transaction(db, () => {
      statements.setPosition.run(member.rowId, batch.outbox, batch.seq, clock.now());
      statements.count.run(counts.mailIn, counts.mailOut, clock.now(), member.rowId);
      for (const [series, point] of fresh)
        statements.setReading.run(member.rowId, series, point.at, JSON.stringify(point));
    });
    member.mailIn += counts.mailIn;
    member.mailOut += counts.mailOut;
    for (const [series, point] of fresh) {
      if (member.readings.has(series) || member.readings.size < maxReadings) member.readings.set(series, point);
    }
    member.connected = true;
    heard(member);
    changed(origin);
  }

  function seen(origin: Origin, status: Status): void {
    const member = memberOf(origin);
    // A last will that comes late belongs to a connection that is no more.
    if (status.state === 'offline' && member.connection !== '' && status.connection !== member.connection) return;
    member.connected = status.state === 'online';
    if (status.state === 'online') {
      member.connection = status.connection;
      member.version = status.version ?? member.version;
      heard(member);
      statements.setSeen.run(member.lastSeenAt, member.version, member.rowId);
    }
    changed(origin);
  }

  const view = (member: Member): AgentView => viewOf(member, clock.monotonic(), options);
  return {
    views: () => [...members.values()].map(view),
    view(tenant, id) {
      const member = members.get(keyOf({ tenant, agent: id }));
      return member === undefined ? undefined : view(member);
    },
    lastSeq(origin, outbox) {
      const member = members.get(keyOf(origin));
      return member === undefined ? 0 : lastSeq(member, outbox);
    },
    apply,
    seen,
    onChange(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}

const keyOf = (origin: Origin): string => origin.tenant + '/' + origin.agent;

function createMember(rowId: number, origin: Origin, now: number): Member {
  return {
    rowId,
    origin,
    lastSeenAt: 0,
    version: '',
    mailIn: 0,
    mailOut: 0,
    readings: new Map(),
    heardAt: now,
    heard: false,
    connection: '',
    connected: undefined,
  };
}

function loadMembers(db: Database, now: number): Map<string, Member> {
  const members = new Map<string, Member>();
  const byRow = new Map<number, Member>();
  for (const row of db.prepare('SELECT * FROM agent ORDER BY tenant, agent').all()) {
    const origin = { tenant: String(row['tenant']), agent: String(row['agent']) };
    const member = createMember(Number(row['id']), origin, now);
    member.lastSeenAt = Number(row['last_seen_at']);
    member.version = String(row['version']);
    member.mailIn = Number(row['mail_in']);
    member.mailOut = Number(row['mail_out']);
    members.set(keyOf(origin), member);
    byRow.set(member.rowId, member);
  }
  for (const row of db.prepare('SELECT agent, series, point FROM reading').all()) {
    const point = JSON.parse(String(row['point'])) as Point; // written by apply()
    byRow.get(Number(row['agent']))?.readings.set(String(row['series']), point);
  }
  return members;
}

function prepare(db: Database) {
  return {
    addAgent: db.prepare('INSERT INTO agent (tenant, agent) VALUES (?, ?) ON CONFLICT DO NOTHING'),
    findAgent: db.prepare('SELECT id FROM agent WHERE tenant = ? AND agent = ?'),
    position: db.prepare('SELECT seq FROM outbox_position WHERE agent = ? AND outbox = ?'),
    setPosition: db.prepare(`INSERT INTO outbox_position (agent, outbox, seq, used_at) VALUES (?, ?, ?, ?)
      ON CONFLICT (agent, outbox) DO UPDATE SET seq = excluded.seq, used_at = excluded.used_at`),
    count: db.prepare('UPDATE agent SET mail_in = mail_in + ?, mail_out = mail_out + ?, last_seen_at = ? WHERE id = ?'),
    setSeen: db.prepare('UPDATE agent SET last_seen_at = ?, version = ? WHERE id = ?'),
    setReading: db.prepare(`INSERT INTO reading (agent, series, at, point) VALUES (?, ?, ?, ?)
      ON CONFLICT (agent, series) DO UPDATE SET at = excluded.at, point = excluded.point`),
  };
}

function countMails(points: readonly Point[]): { readonly mailIn: number; readonly mailOut: number } {
  const sum = (name: Point['name'], outcome: string): number =>
    points
      .filter((point) => point.name === name && point.tags['outcome'] === outcome)
      .reduce((total, point) => total + Number(point.fields['count'] ?? 0), 0);
  return { mailIn: Math.round(sum('mail_in', 'delivered')), mailOut: Math.round(sum('mail_out', 'sent')) };
}

/** Of each gauge series the newest point, when it is newer than what is known: a back-fill must not undo the present. */
function newestReadings(points: readonly Point[], known: ReadonlyMap<string, Point>): ReadonlyMap<string, Point> {
  const fresh = new Map<string, Point>();
  for (const point of points) {
    if (metrics[point.name].kind !== 'gauge') continue;
    const series = seriesOf(point);
    const latest = fresh.get(series) ?? known.get(series);
    if (latest === undefined || point.at >= latest.at) fresh.set(series, point);
  }
  return fresh;
}

export function seriesOf(point: Pick<Point, 'name' | 'tags'>): string {
  const tags = Object.entries(point.tags).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([point.name, ...tags]);
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
    version: member.version,
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
