// An outcome that is known must reach the disk: when the index cannot be written (a full disk) the work is done again until
// it can. Nothing else of the caller's goes on meanwhile, so nothing is sent whose outcome could not be kept.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';

const pauseMs = 1_000;

/** Throws the last failure when aborted. */
export async function persist<T>(options: {
  readonly work: () => T | Promise<T>;
  readonly clock: Pick<Clock, 'sleep'>;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<T> {
  let told = '';
  for (;;) {
    try {
      return await options.work();
    } catch (error) {
      if (options.signal.aborted) throw error;
      const text = describe(error);
      if (text !== told) options.log.error({ error: text }, 'the index of the queue cannot be written, trying on');
      told = text;
    }
    await options.clock.sleep(pauseMs, options.signal);
  }
}
