// Agents whose clock is wrong. Points keep the agent's own times; here stands, for each connection of such an agent, what its
// clock and ours said at the same moment, so that the one can be told from the other afterwards.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Origin } from './members.ts';

export const clockSkewSchema = `
CREATE TABLE clock_skew (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  said_at INTEGER NOT NULL
) STRICT`;

const maxRows = 10_000;

export type ClockSkews = {
  /** The agent has said its time just now. Gives by how many milliseconds it is ahead when that is too much, else 0. */
  readonly said: (origin: Origin, at: number) => number;
};

export function createClockSkews(options: {
  readonly db: Database;
  readonly clock: Pick<Clock, 'now'>;
  readonly limitMs: number;
  readonly log: Log;
}): ClockSkews {
  const { db, clock, limitMs, log } = options;
  const add = db.prepare('INSERT INTO clock_skew (tenant, agent, received_at, said_at) VALUES (?, ?, ?, ?)');
  const trim = db.prepare('DELETE FROM clock_skew WHERE id <= ?');
  return {
    said(origin, at) {
      const ahead = at - clock.now();
      if (Math.abs(ahead) <= limitMs) return 0;
      const row = add.run(origin.tenant, origin.agent, Math.round(clock.now()), at);
      trim.run(Number(row.lastInsertRowid) - maxRows);
      log.warn({ ...origin, aheadSeconds: Math.round(ahead / 1_000) }, 'the clock of an agent is wrong');
      return ahead;
    },
  };
}

/** For people: `1 d ahead`, `12 min behind`. */
export function skewText(aheadMs: number): string {
  const seconds = Math.abs(aheadMs) / 1_000;
  const [amount, unit] =
    seconds >= 86_400 ? [seconds / 86_400, 'd'] : seconds >= 3_600 ? [seconds / 3_600, 'h'] : [seconds / 60, 'min'];
  return Math.round(amount) + ' ' + unit + (aheadMs > 0 ? ' ahead' : ' behind');
}
