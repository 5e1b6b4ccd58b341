// A deadline that follows progress (rule of safety 7): a large mail may take long to travel, but not without moving.

export type Deadline = {
  /** Begins anew. */
  readonly progress: () => void;
  readonly end: () => void;
};

/** `fail` is called once, when nothing moved for `timeoutMs` or the signal says stop; not after end(). */
export function startDeadline(options: {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly fail: (why: Error) => void;
}): Deadline {
  const { timeoutMs, signal, fail } = options;
  const onAbort = (): void => {
    end();
    fail(new Error('stopped'));
  };
  const timer = setTimeout(() => {
    end();
    fail(new Error('nothing moved for ' + timeoutMs / 1_000 + ' s'));
  }, timeoutMs);
  function end(): void {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  return { progress: () => void timer.refresh(), end };
}
