// What cannot be read or stored is kept aside for a person, so many of it and no more.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Leaf } from '#shared/topics.ts';
import type { Origin } from '../fleet/fleet.ts';

export const deadLetterSchema = `
CREATE TABLE dead_letter (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  leaf TEXT NOT NULL,
  at INTEGER NOT NULL,
  problem TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT;
CREATE INDEX dead_letter_agent ON dead_letter (tenant, agent, id)`;

const maxOfAll = 1_000;
/** One agent that says nonsense must not drive out what the others said. */
const maxOfAgent = 100;
const maxBytes = 65_536;

export type DeadLetters = {
  /** Never throws: what cannot be kept aside is told in the log. */
  readonly keep: (origin: Origin, leaf: Leaf, payload: Uint8Array, problem: string) => void;
  /** Since the start. */
  readonly count: () => number;
};

export function createDeadLetters(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
}): DeadLetters {
  const { db, clock, log } = options;
  const insert = db.prepare(
    'INSERT INTO dead_letter (tenant, agent, leaf, at, problem, payload) VALUES (?, ?, ?, ?, ?, ?)',
  );
  const trim = db.prepare('DELETE FROM dead_letter WHERE id <= ?');
  const trimAgent = db.prepare(`DELETE FROM dead_letter WHERE id IN
    (SELECT id FROM dead_letter WHERE tenant = ? AND agent = ? ORDER BY id DESC LIMIT -1 OFFSET ${maxOfAgent})`);
  let count = 0;
  return {
    keep(origin, leaf, payload, problem) {
      count += 1;
      // A flood of nonsense must not become a flood of lines.
      if (count <= 20 || count % 100 === 0)
        log.warn({ ...origin, leaf, bytes: payload.length, problem, count }, 'a message is kept aside');
      try {
        const { tenant, agent } = origin;
        const row = insert.run(tenant, agent, leaf, clock.now(), problem, payload.subarray(0, maxBytes));
        trimAgent.run(tenant, agent);
        trim.run(Number(row.lastInsertRowid) - maxOfAll);
      } catch (error) {
        log.error({ error: describe(error) }, 'a message could not be kept aside');
      }
    },
    count: () => count,
  };
}
