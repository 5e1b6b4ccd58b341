// What the fleet remembers over restarts, in collector.db: agents with totals, how far each outbox was stored, last readings.
import type { Point } from '#shared/meter.ts';
import { isMetricName } from '#shared/metrics.ts';
import type { Database } from '#shared/sqlite.ts';

export const fleetSchema = `
CREATE TABLE agent (
  tenant TEXT NOT NULL, agent TEXT NOT NULL, last_seen_at INTEGER NOT NULL, version TEXT NOT NULL,
  connection TEXT NOT NULL, mail_in INTEGER NOT NULL, mail_out INTEGER NOT NULL,
  PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;
CREATE TABLE outbox_position (
  tenant TEXT NOT NULL, agent TEXT NOT NULL, outbox TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (tenant, agent, outbox)
) STRICT, WITHOUT ROWID;
CREATE TABLE reading (
  tenant TEXT NOT NULL, agent TEXT NOT NULL, metric TEXT NOT NULL, tags TEXT NOT NULL, at INTEGER NOT NULL, fields TEXT NOT NULL,
  PRIMARY KEY (tenant, agent, metric, tags)
) STRICT, WITHOUT ROWID`;

/** Lives of an outbox that are remembered for one agent; a new one comes only with a lost or restored state folder. */
const maxOutboxes = 8;

export type Known = {
  readonly tenant: string;
  readonly agent: string;
  /** Wall clock of the collector, 0 when never. */
  lastSeenAt: number;
  /** Monotonic; undefined when nothing was heard in this run. */
  heardAt: number | undefined;
  version: string;
  /** Last connection that announced itself; empty when none is known. */
  connection: string;
  /** Said goodbye, or the broker did for it. */
  isGone: boolean;
  mailIn: number;
  mailOut: number;
  readings: ReadonlyMap<string, Point>;
  /** Outbox -> last stored number; the life that was heard last stands last. */
  positions: ReadonlyMap<string, number>;
};

export function newAgent(tenant: string, agent: string): Known {
  return {
    tenant,
    agent,
    lastSeenAt: 0,
    heardAt: undefined,
    version: '',
    connection: '',
    isGone: false,
    mailIn: 0,
    mailOut: 0,
    readings: new Map(),
    positions: new Map(),
  };
}

/** One key for one series: the tags in a fixed order. */
export function seriesKey(point: Pick<Point, 'name' | 'tags'>): string {
  return point.name + ' ' + tagText(point.tags);
}

function tagText(tags: Readonly<Record<string, string>>): string {
  return JSON.stringify(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1)));
}

export type Records = {
  readonly load: () => Known[];
  readonly saveAgent: (known: Known) => void;
  readonly savePosition: (known: Known, outbox: string, seq: number, at: number) => void;
  readonly saveReading: (known: Known, point: Point) => void;
  readonly removeReading: (known: Known, point: Point) => void;
};

/** The caller opens the transaction. */
export function createRecords(db: Database): Records {
  const putAgent = db.prepare(
    `INSERT INTO agent (tenant, agent, last_seen_at, version, connection, mail_in, mail_out) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (tenant, agent) DO UPDATE SET last_seen_at = excluded.last_seen_at, version = excluded.version,
       connection = excluded.connection, mail_in = excluded.mail_in, mail_out = excluded.mail_out`,
  );
  const putPosition = db.prepare(
    'INSERT OR REPLACE INTO outbox_position (tenant, agent, outbox, seq, at) VALUES (?, ?, ?, ?, ?)',
  );
  const prunePositions = db.prepare(
    `DELETE FROM outbox_position WHERE tenant = ?1 AND agent = ?2 AND outbox NOT IN
       (SELECT outbox FROM outbox_position WHERE tenant = ?1 AND agent = ?2 ORDER BY at DESC LIMIT ${maxOutboxes})`,
  );
  const putReading = db.prepare(
    'INSERT OR REPLACE INTO reading (tenant, agent, metric, tags, at, fields) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const dropReading = db.prepare('DELETE FROM reading WHERE tenant = ? AND agent = ? AND metric = ? AND tags = ?');
  return {
    load: () => loadAll(db),
    saveAgent: (known) =>
      void putAgent.run(
        known.tenant,
        known.agent,
        known.lastSeenAt,
        known.version,
        known.connection,
        known.mailIn,
        known.mailOut,
      ),
    savePosition(known, outbox, seq, at) {
      putPosition.run(known.tenant, known.agent, outbox, seq, at);
      if (!known.positions.has(outbox)) prunePositions.run(known.tenant, known.agent);
    },
    saveReading: (known, point) =>
      void putReading.run(
        known.tenant,
        known.agent,
        point.name,
        tagText(point.tags),
        point.at,
        JSON.stringify(point.fields),
      ),
    removeReading: (known, point) => void dropReading.run(known.tenant, known.agent, point.name, tagText(point.tags)),
  };
}

function loadAll(db: Database): Known[] {
  const agents = db.prepare('SELECT * FROM agent ORDER BY tenant, agent').all();
  const positions = db.prepare('SELECT outbox, seq FROM outbox_position WHERE tenant = ? AND agent = ? ORDER BY at');
  const readings = db.prepare('SELECT metric, tags, at, fields FROM reading WHERE tenant = ? AND agent = ?');
  return agents.map((row) => {
    const known = newAgent(String(row['tenant']), String(row['agent']));
    known.lastSeenAt = Number(row['last_seen_at']);
    known.version = String(row['version']);
    known.connection = String(row['connection']);
    known.mailIn = Number(row['mail_in']);
    known.mailOut = Number(row['mail_out']);
    known.positions = new Map(
      positions
        .all(known.tenant, known.agent)
        .map((position) => [String(position['outbox']), Number(position['seq'])] as const),
    );
    known.readings = new Map(
      readings
        .all(known.tenant, known.agent)
        .flatMap(readPoint)
        .map((point) => [seriesKey(point), point] as const),
    );
    return known;
  });
}

/** A measurement that a newer version wrote and this one does not know is left out. */
function readPoint(row: Record<string, unknown>): Point[] {
  const name = String(row['metric']);
  if (!isMetricName(name)) return [];
  const tags = Object.fromEntries(JSON.parse(String(row['tags'])) as [string, string][]); // written by saveReading()
  const fields = JSON.parse(String(row['fields'])) as Point['fields']; // written by saveReading()
  return [{ name, at: Number(row['at']), tags, fields }];
}
