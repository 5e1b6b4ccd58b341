// Wakes whoever waits for work. Ringing without a listener is not lost: the next wait() returns at once.
import type { Clock } from '#shared/clock.ts';

export type Bell = {
  readonly ring: () => void;
  /** Resolves when the bell rings, after `ms` (Infinity: never by itself, but at least once a minute), or when the signal is aborted. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
};

/** Longest single wait: a due time may have moved meanwhile. */
const maxWaitMs = 60_000;

export function createBell(clock: Pick<Clock, 'sleep'>): Bell {
  const waiting = new Set<() => void>();
  let missed = false;
  return {
    ring() {
      if (waiting.size === 0) missed = true;
      for (const wake of waiting) wake();
    },
    async wait(ms, signal) {
      if (missed || signal.aborted) {
        missed = false;
        return;
      }
      const awake = new AbortController();
      const wake = (): void => awake.abort('rung'); // without a reason an error would be made for each
      waiting.add(wake);
      signal.addEventListener('abort', wake, { once: true });
      try {
        await clock.sleep(Math.min(ms, maxWaitMs), awake.signal);
      } finally {
        waiting.delete(wake);
        signal.removeEventListener('abort', wake);
      }
    },
  };
}
