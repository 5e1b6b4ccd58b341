// Full-jitter exponential back-off: the wait is drawn evenly from 0 to the current ceiling, so that many clients spread out.

export type Backoff = {
  /** Milliseconds to wait before the next try; each call raises the ceiling. */
  readonly next: () => number;
  /** Call after a success that lasted. */
  readonly reset: () => void;
  readonly attempts: () => number;
};

export function createBackoff(options: {
  readonly firstMs: number;
  readonly maxMs: number;
  /** Even chance in [0, 1). */
  readonly random: () => number;
  /** Share of the ceiling that is always waited, 0 (full jitter) to 1 (no jitter). Default 0. */
  readonly floor?: number;
}): Backoff {
  const floor = options.floor ?? 0;
  let attempts = 0;
  return {
    next() {
      const ceiling = Math.min(options.maxMs, options.firstMs * 2 ** Math.min(attempts, 30));
      attempts += 1;
      return Math.round(ceiling * (floor + (1 - floor) * options.random()));
    },
    reset() {
      attempts = 0;
    },
    attempts: () => attempts,
  };
}
