// At most so many at once; the others wait in order. An aborted signal lets everybody through, so that nobody waits for ever.

export type Slots = { readonly run: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T> };

export function createSlots(limit: number): Slots {
  let free = limit;
  const waiting: (() => void)[] = [];

  async function take(signal: AbortSignal): Promise<void> {
    if (free > 0) {
      free -= 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.push(resolve);
    signal.addEventListener('abort', onAbort, { once: true });
    function onAbort(): void {
      const index = waiting.indexOf(resolve);
      if (index < 0) return;
      waiting.splice(index, 1);
      free -= 1; // given back by run(), so that the count stays right
      resolve();
    }
    await promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  function give(): void {
    const next = free < 0 ? undefined : waiting.shift();
    if (next === undefined) free += 1;
    else next();
  }

  return {
    async run(work, signal) {
      await take(signal);
      try {
        return await work();
      } finally {
        give();
      }
    },
  };
}
