// The clock of the queue: milliseconds that the agent has seen pass, kept across restarts. Retries, expiry and notices
// count in it, so that a wall clock that jumps neither expires a queue nor stops it.
import type { Clock } from '#shared/clock.ts';
import type { Database } from '#shared/sqlite.ts';

/** How much of the time in which the agent did not run counts: enough for every retry, too little for a clock jump to expire a mail. */
const maxAwayMs = 3_600_000;
const saveEveryMs = 1_000;
const dayMs = 86_400_000;
/** Of `budget_use`. */
const slotMs = 60_000;

export type QueueClock = {
  readonly now: () => number;
  /** Wall time of a moment of this clock, for people. */
  readonly toWall: (ms: number) => number;
  /**
   * Something is counted in it: mail waits, or the hour and the day of a provider's limit go on. Else it need not be saved, and
   * the disk may sleep; what a kill then costs is made good by the wall clock, up to an hour.
   */
  readonly counts: () => boolean;
  /** Inside any transaction of the queue, and once in a while. */
  readonly save: () => void;
};

/** Reads where the last run stopped. */
export function openQueueClock(options: { readonly db: Database; readonly clock: Clock }): QueueClock {
  const { db, clock } = options;
  const read = (key: string): number | undefined => {
    const value = db.prepare('SELECT value FROM spool WHERE key = ?').get(key)?.['value'];
    return value === undefined ? undefined : Number(value);
  };
  const write = db.prepare(
    'INSERT INTO spool (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const awayMs = clock.now() - (read('queue-wall') ?? clock.now());
  const base = (read('queue-ms') ?? 0) + Math.min(Math.max(awayMs, 0), maxAwayMs);
  const startedAt = clock.monotonic();
  const now = (): number => Math.round(base + clock.monotonic() - startedAt);
  let savedAt = -Infinity;
  const waits = db.prepare('SELECT EXISTS (SELECT 1 FROM mail WHERE done = 0) AS n');
  const spent = db.prepare('SELECT EXISTS (SELECT 1 FROM budget_use WHERE slot >= ?) AS n');
  return {
    now,
    counts() {
      if (waits.get()?.['n'] === 1) return true;
      const isHourOver = clock.monotonic() - savedAt >= maxAwayMs;
      return isHourOver && spent.get(Math.floor((now() - dayMs) / slotMs))?.['n'] === 1;
    },
    toWall: (ms) => Math.round(clock.now() + ms - now()),
    save() {
      // Behind by a second it is made good at the next start by the wall clock; at each mail it would be a page of the log more.
      if (clock.monotonic() - savedAt < saveEveryMs) return;
      savedAt = clock.monotonic();
      write.run('queue-ms', String(now()));
      write.run('queue-wall', String(Math.round(clock.now())));
    },
  };
}
