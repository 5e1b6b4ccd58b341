// The agents as the fleet remembers them over restarts, in collector.db, and in memory.
import type { Point } from '#shared/meter.ts';
import { clockSkewSchema } from './clock-skew.ts';
import type { Database } from '#shared/sqlite.ts';

export type Origin = { readonly tenant: string; readonly agent: string };

export const fleetSchema =
  clockSkewSchema +
  `;
CREATE TABLE agent (
  id INTEGER PRIMARY KEY,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  last_seen_at INTEGER NOT NULL DEFAULT 0,
  version TEXT NOT NULL DEFAULT '',
  mail_in INTEGER NOT NULL DEFAULT 0,
  mail_out INTEGER NOT NULL DEFAULT 0,
  planned_off INTEGER NOT NULL DEFAULT 0,
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

/** One agent in memory; the database holds the same but for `heardAt`, `connection` and `connected`. */
export type Member = {
  readonly rowId: number;
  readonly origin: Origin;
  lastSeenAt: number;
  version: string;
  mailIn: number;
  mailOut: number;
  readonly readings: Map<string, Point>;
  /** Of the readings, what the database has. */
  readonly kept: Map<string, Point>;
  /** By outbox: a copy of what the database has. */
  readonly positions: Map<string, number>;
  /** Monotonic; the start of this process until it is heard. */
  heardAt: number;
  heard: boolean;
  connection: string;
  /** 0 when its clock is right. */
  clockAheadMs: number;
  /** Its machine was switched off as planned, and has not been heard since. */
  plannedOff: boolean;
  /** Undefined until this process has been told. */
  connected: boolean | undefined;
};

export const keyOf = (origin: Origin): string => origin.tenant + '/' + origin.agent;

export function createMember(rowId: number, origin: Origin, now: number): Member {
  return {
    rowId,
    origin,
    lastSeenAt: 0,
    version: '',
    mailIn: 0,
    mailOut: 0,
    readings: new Map(),
    kept: new Map(),
    positions: new Map(),
    heardAt: now,
    heard: false,
    connection: '',
    clockAheadMs: 0,
    plannedOff: false,
    connected: undefined,
  };
}

export function loadMembers(db: Database, now: number): Map<string, Member> {
  const members = new Map<string, Member>();
  const byRow = new Map<number, Member>();
  for (const row of db.prepare('SELECT * FROM agent ORDER BY tenant, agent').all()) {
    const origin = { tenant: String(row['tenant']), agent: String(row['agent']) };
    const member = createMember(Number(row['id']), origin, now);
    member.lastSeenAt = Number(row['last_seen_at']);
    member.version = String(row['version']);
    member.mailIn = Number(row['mail_in']);
    member.mailOut = Number(row['mail_out']);
    member.plannedOff = Number(row['planned_off']) === 1;
    members.set(keyOf(origin), member);
    byRow.set(member.rowId, member);
  }
  for (const row of db.prepare('SELECT agent, series, point FROM reading').all()) {
    const point = JSON.parse(String(row['point'])) as Point; // written by apply()
    const member = byRow.get(Number(row['agent']));
    member?.readings.set(String(row['series']), point);
    member?.kept.set(String(row['series']), point);
  }
  return members;
}

/** Statements are made once. */
export function prepare(db: Database) {
  return {
    addAgent: db.prepare('INSERT INTO agent (tenant, agent) VALUES (?, ?) ON CONFLICT DO NOTHING'),
    findAgent: db.prepare('SELECT id FROM agent WHERE tenant = ? AND agent = ?'),
    position: db.prepare('SELECT seq FROM outbox_position WHERE agent = ? AND outbox = ?'),
    setPosition: db.prepare(`INSERT INTO outbox_position (agent, outbox, seq, used_at) VALUES (?, ?, ?, ?)
      ON CONFLICT (agent, outbox) DO UPDATE SET seq = excluded.seq, used_at = excluded.used_at`),
    count: db.prepare('UPDATE agent SET mail_in = mail_in + ?, mail_out = mail_out + ?, last_seen_at = ? WHERE id = ?'),
    setSeen: db.prepare('UPDATE agent SET last_seen_at = ?, version = ? WHERE id = ?'),
    setPlannedOff: db.prepare('UPDATE agent SET planned_off = ? WHERE id = ?'),
    dropReading: db.prepare('DELETE FROM reading WHERE agent = ? AND series = ?'),
    setReading: db.prepare(`INSERT INTO reading (agent, series, at, point) VALUES (?, ?, ?, ?)
      ON CONFLICT (agent, series) DO UPDATE SET at = excluded.at, point = excluded.point`),
  };
}
