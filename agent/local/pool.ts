// Sessions that are kept open between mails: at most `size` at once, the latest used first, closed after a time of rest.
// Waiting callers are served in their order.

/** What the pool must know of a session. */
export type Pooled = {
  readonly usable: () => boolean;
  readonly quit: () => Promise<void>;
  readonly close: () => void;
};
export type Lease<S> = { readonly session: S; readonly reused: boolean };

export type Pool<S> = {
  /**
   * Runs `use` with a session: an idle one, else one from `open`. Afterwards a session that is still usable rests in the
   * pool. `fresh` passes idle sessions by. Throws what `open` and `use` throw, and `signal.reason` when aborted while waiting.
   */
  readonly withSession: <T>(
    options: { readonly fresh: boolean; readonly open: () => Promise<S>; readonly signal: AbortSignal },
    use: (lease: Lease<S>) => Promise<T>,
  ) => Promise<T>;
  /** Quits idle sessions, and those in use when they are given back; resolves when all are gone. Idempotent. */
  readonly close: () => Promise<void>;
};

export function createPool<S extends Pooled>(options: { readonly size: number; readonly idleMs: number }): Pool<S> {
  const idle: { readonly session: S; readonly timer: NodeJS.Timeout }[] = [];
  const waiting: (() => void)[] = [];
  const leaving = new Set<Promise<void>>();
  let emptied: (() => void) | undefined;
  let taken = 0;
  let closed = false;

  async function enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (taken < options.size) {
      taken += 1;
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = (): void => {
      const at = waiting.indexOf(resolve);
      if (at < 0) return; // its turn has come in the same breath: the place is its own, and is given back as ever
      waiting.splice(at, 1);
      reject(signal.reason);
    };
    waiting.push(resolve);
    signal.addEventListener('abort', onAbort, { once: true });
    await promise.finally(() => signal.removeEventListener('abort', onAbort));
  }

  function leave(): void {
    const next = waiting.shift();
    if (next !== undefined) return next(); // our place goes to the next caller
    taken -= 1;
    if (taken === 0) emptied?.();
  }

  function takeIdle(): S | undefined {
    for (let entry = idle.pop(); entry !== undefined; entry = idle.pop()) {
      clearTimeout(entry.timer);
      if (entry.session.usable()) return entry.session;
      entry.session.close();
    }
    return undefined;
  }

  function dismiss(session: S): void {
    const gone = session.quit().finally(() => leaving.delete(gone));
    leaving.add(gone);
  }

  function rest(session: S): void {
    if (!session.usable()) return session.close();
    if (closed) return dismiss(session);
    const timer = setTimeout(() => {
      const at = idle.findIndex((entry) => entry.session === session);
      if (at >= 0) idle.splice(at, 1);
      dismiss(session);
    }, options.idleMs);
    timer.unref();
    idle.push({ session, timer });
  }

  return {
    async withSession({ fresh, open, signal }, use) {
      await enter(signal);
      try {
        const resting = fresh ? undefined : takeIdle();
        const session = resting ?? (await open());
        try {
          return await use({ session, reused: resting !== undefined });
        } finally {
          rest(session);
        }
      } finally {
        leave();
      }
    },
    async close() {
      closed = true;
      for (const entry of idle.splice(0)) {
        clearTimeout(entry.timer);
        dismiss(entry.session);
      }
      if (taken > 0) await new Promise<void>((resolve) => (emptied = resolve));
      await Promise.all(leaving);
    },
  };
}
