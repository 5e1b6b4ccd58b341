// Time that passes only when nothing else happens any more: a round of many minutes takes no time, and one that never ends is
// seen at once. Works with mock.timers of node:test, enabled for setTimeout by the caller.
import { setImmediate as turn } from 'node:timers/promises';
import { mock } from 'node:test';
import type { Clock } from '#shared/clock.ts';

/** A round that takes longer than this, all its time limits included, hangs. */
const hangMs = 3_600_000;
const stepMs = 15_000;
export type Time = { readonly clock: Clock; readonly until: <T>(work: Promise<T>) => Promise<T | undefined> };

/** Virtual time; `until` gives undefined when the work is not done after `hangMs` of it. */
export function createTime(): Time {
  let nowMs = 1_790_000_000_000;
  let busy = 0;
  return {
    clock: {
      now: () => nowMs,
      monotonic: () => {
        busy += 1;
        return nowMs;
      },
      sleep: (ms, signal) =>
        new Promise((resolve) => {
          if (ms <= 0 || signal?.aborted === true) return resolve();
          signal?.addEventListener('abort', () => resolve(), { once: true });
        }),
    },
    async until<T>(work: Promise<T>) {
      let result: { readonly value: T } | undefined;
      let failure: { readonly error: unknown } | undefined;
      work.then(
        (value) => void (result = { value }),
        (error: unknown) => void (failure = { error }),
      );
      const endMs = nowMs + hangMs;
      for (let quiet = 0; nowMs < endMs;) {
        const before = busy;
        await turn();
        if (failure !== undefined) throw failure.error;
        if (result !== undefined) return result.value;
        quiet = busy === before ? quiet + 1 : 0;
        // Files are written in real time.
        if (quiet < 2 || process.getActiveResourcesInfo().some((name) => /FSReq|CloseReq/.test(name))) continue;
        nowMs += stepMs;
        mock.timers.tick(stepMs);
      }
      return undefined;
    },
  };
}
