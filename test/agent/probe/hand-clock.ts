// A clock that stands still until it is moved; whoever sleeps wakes when his time has come.
import type { Clock } from '#shared/clock.ts';

export type HandClock = Clock & { readonly move: (ms: number) => Promise<void>; readonly jump: (ms: number) => void };

export function createHandClock(): HandClock {
  let monotonic = 1_000_000;
  let offset = 1_750_000_000_000;
  const sleepers = new Set<{ readonly at: number; readonly wake: () => void }>();
  return {
    now: () => monotonic + offset,
    monotonic: () => monotonic,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) return resolve();
        const sleeper = { at: monotonic + ms, wake: resolve };
        sleepers.add(sleeper);
        signal?.addEventListener('abort', () => {
          sleepers.delete(sleeper);
          resolve();
        });
      }),
    async move(ms) {
      const until = monotonic + ms;
      for (;;) {
        await settle();
        const next = [...sleepers].filter(({ at }) => at <= until).toSorted((a, b) => a.at - b.at)[0];
        if (next === undefined) break;
        monotonic = Math.max(monotonic, next.at);
        sleepers.delete(next);
        next.wake();
      }
      monotonic = until;
      await settle();
    },
    jump: (ms) => void (offset += ms),
  };
}

/** What was woken runs to where it waits again. */
async function settle(): Promise<void> {
  for (let n = 0; n < 5; n += 1) await new Promise((resolve) => setImmediate(resolve));
}
