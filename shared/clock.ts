// Time for every room. Promise: wall time is for what people read, monotonic time is for durations and deadlines.
import { setTimeout as delay } from 'node:timers/promises';

export type Clock = {
  /** Wall clock, milliseconds since 1970. May jump; never subtract two of these to get a duration. */
  readonly now: () => number;
  /** Monotonic milliseconds since an arbitrary start. */
  readonly monotonic: () => number;
  /** Resolves after `ms`, or at once (without throwing) when the signal is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>;
};

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    if (signal?.aborted) return;
    await delay(ms, undefined, signal ? { signal } : undefined).catch((error: unknown) => {
      if (!signal?.aborted) throw error;
    });
  },
};
