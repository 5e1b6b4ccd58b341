// Time for every room. Promise: wall time is for what people read, monotonic time is for durations and deadlines.

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
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      signal?.addEventListener('abort', wake, { once: true });
    }),
};
