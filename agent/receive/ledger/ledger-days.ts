// The days that the agent saw pass. Keeping times count these, not the wall clock (rule of safety 2).
// Promise: written once a day at most; a clock jump adds one day and puts it in doubt.
import type { Database } from '#shared/sqlite.ts';

export type Days = {
  /**
   * Notes that the agent sees this calendar day; gives the ordinal of the latest day seen. `now` is the wall clock,
   * `monotonic` the other one; when they disagree, somebody has set the clock.
   */
  readonly sawDay: (now: number, monotonic?: number) => number;
  /** The clock jumped on the latest day seen: nothing may be deleted because days have passed. */
  readonly isDayInDoubt: () => boolean;
};

const dayMs = 86_400_000;
/** An agent that was switched off for longer cannot be told from a clock that jumped. */
const longestGapDays = 7;
const mostDriftMs = 3_600_000;

export function createDays(db: Database): Days {
  const latest = db.prepare('SELECT ordinal, day, doubtful FROM seen_day ORDER BY ordinal DESC LIMIT 1');
  const find = db.prepare('SELECT ordinal FROM seen_day WHERE day = ?');
  const insert = db.prepare('INSERT INTO seen_day (day, doubtful) VALUES (?, ?)');
  const doubt = db.prepare('UPDATE seen_day SET doubtful = 1 WHERE ordinal = ?');
  let before: { readonly now: number; readonly monotonic: number } | undefined;
  let known: { readonly ordinal: number; readonly day: number; readonly inDoubt: boolean } | undefined;

  function read(): typeof known {
    const row = latest.get();
    if (row === undefined) return undefined;
    return { ordinal: Number(row['ordinal']), day: Number(row['day']), inDoubt: row['doubtful'] === 1 };
  }

  function hasJumped(now: number, monotonic: number | undefined): boolean {
    if (monotonic === undefined) return false;
    const driftMs = before === undefined ? 0 : now - before.now - (monotonic - before.monotonic);
    before = { now, monotonic };
    return Math.abs(driftMs) > mostDriftMs;
  }

  return {
    sawDay(now, monotonic) {
      const day = Math.floor(now / dayMs);
      known ??= read();
      const gap = known === undefined ? 0 : day - known.day;
      const inDoubt = hasJumped(now, monotonic) || gap < 0 || gap > longestGapDays;
      if (gap !== 0 || known === undefined) {
        if (find.get(day) === undefined) insert.run(day, inDoubt ? 1 : 0);
        known = read();
      }
      if (inDoubt && known !== undefined && !known.inDoubt) {
        doubt.run(known.ordinal);
        known = { ...known, inDoubt: true };
      }
      return known?.ordinal ?? 0;
    },
    isDayInDoubt: () => known?.inDoubt ?? false,
  };
}
