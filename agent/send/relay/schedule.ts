// When a mail is tried again. Pure; all times are milliseconds of the queue clock.

/** So old a mail that still waits is told to its sender, once. */
export const delayedNoticeMs = 4 * 3_600_000;

export type RetryPace = { readonly firstMs: number; readonly maxMs: number };

/**
 * Wait before the next try after `attempts` tries that failed (1 or more): doubles from the first to the longest, and half
 * of it is drawn by lot so that mails which failed together do not come back together.
 */
export function retryWaitMs(pace: RetryPace, attempts: number, random: () => number): number {
  const doublings = Math.min(Math.max(attempts, 1) - 1, 30);
  const ceiling = Math.min(pace.maxMs, pace.firstMs * 2 ** doublings);
  return Math.round(ceiling * (0.5 + 0.5 * random()));
}
