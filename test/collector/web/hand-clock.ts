// A clock that a test turns by hand. Sleepers wake in order of their time, each before the clock goes on.
import type { Clock } from '#shared/clock.ts';

export type HandClock = Clock & {
  readonly advance: (ms: number) => Promise<void>;
  readonly sleepers: () => number;
};

export function createHandClock(start = Date.parse('2030-01-31T12:00:00Z')): HandClock {
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  let elapsed = 0;

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  return {
    now: () => start + elapsed,
    monotonic: () => 1_000 + elapsed,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper = { at: elapsed + ms, wake };
        function wake(): void {
          sleepers.delete(sleeper);
          resolve();
        }
        sleepers.add(sleeper);
        signal?.addEventListener('abort', sleeper.wake, { once: true });
      }),
    async advance(ms) {
      const end = elapsed + ms;
      await settle();
      for (;;) {
        const [next] = [...sleepers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
        if (next === undefined) break;
        elapsed = Math.max(elapsed, next.at);
        next.wake();
        await settle();
      }
      elapsed = end;
    },
    sleepers: () => sleepers.size,
  };
}
