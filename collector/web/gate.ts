// Questions to the store: few at once, few in the queue, and an answer or a refusal within a deadline.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import { HttpError } from './http-error.ts';

/** Rejects with HttpError: busy, store-slow or store-failed. */
export type Gate = <T>(ask: () => Promise<T>) => Promise<T>;

export function createGate(options: {
  readonly clock: Clock;
  readonly running: number;
  readonly waiting: number;
  /** From the call to the answer, time in the queue included. */
  readonly deadlineMs: number;
}): Gate {
  const { clock, deadlineMs } = options;
  const queue: (() => void)[] = [];
  let running = 0;

  function leave(): void {
    running -= 1;
    queue.shift()?.();
  }

  async function enter<T>(ask: () => Promise<T>, late: () => boolean): Promise<T | undefined> {
    if (running >= options.running) await new Promise<void>((resolve) => void queue.push(resolve));
    running += 1;
    try {
      // Nobody waits for this answer any more.
      return late() ? undefined : await ask();
    } finally {
      // A question that hangs keeps its place: the store cannot be told to stop, so this is what bounds it.
      leave();
    }
  }

  return async (ask) => {
    if (queue.length >= options.waiting) {
      throw new HttpError('busy', 'Cannot ask the store: too many questions wait for it; try again in a few seconds');
    }
    const done = new AbortController();
    let late = false;
    const work = enter(ask, () => late);
    const deadline = clock.sleep(deadlineMs, done.signal).then(() => {
      late = !done.signal.aborted;
    });
    try {
      const answer = await Promise.race([work, deadline]);
      if (!late && answer !== undefined) return answer;
    } catch (error) {
      throw new HttpError('store-failed', 'Cannot read from the store: ' + describe(error), { cause: error });
    } finally {
      done.abort();
      work.catch(() => {}); // after the deadline nobody listens; before it the error was thrown above
    }
    throw new HttpError('store-slow', 'Cannot read from the store: no answer within ' + deadlineMs / 1_000 + ' s');
  };
}
