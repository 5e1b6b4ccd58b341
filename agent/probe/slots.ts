// At most so many at once; the others wait in order. An aborted signal lets everybody through, so that nobody waits for ever.

export type Slots = { readonly run: <T>(work: () => Promise<T>, signal: AbortSignal) => Promise<T> };

export function createSlots(limit: number): Slots {
  let free = limit;
  /** In order; a set, since an array of thousands is moved at each step. */
  const waiting = new Set<() => void>();

  async function take(signal: AbortSignal): Promise<void> {
    if (free > 0) {
      free -= 1;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    waiting.add(resolve);
    signal.addEventListener('abort', onAbort, { once: true });
    function onAbort(): void {
      if (!waiting.delete(resolve)) return;
      free -= 1; // given back by run(), so that the count stays right
      resolve();
    }
    await promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  function give(): void {
    const [next] = free < 0 ? [] : waiting;
    if (next === undefined) {
      free += 1;
      return;
    }
    waiting.delete(next);
    next();
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
