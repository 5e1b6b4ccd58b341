// Tests wait for a condition, never for an amount of time.

/**
 * Asks `condition` until it gives something truthy, and returns that. Throws after `timeoutMs`, naming `what` and the last
 * error of the condition, if it threw.
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  options: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<T> {
  const { timeoutMs = 15_000, everyMs = 25 } = options;
  const end = performance.now() + timeoutMs;
  for (;;) {
    const failure: { error?: unknown } = {};
    try {
      const value = await condition();
      if (value) return value;
    } catch (error) {
      failure.error = error;
    }
    if (performance.now() >= end) {
      throw new Error('Cannot go on: ' + what + ' not reached within ' + timeoutMs + ' ms', { cause: failure.error });
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}
