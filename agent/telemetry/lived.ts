// How long an outbox has been in use, over restarts. Ages are counted by it and not by the wall clock: a clock that jumps by a
// year must neither drop what has not been told yet, nor call an operator.
import type { Clock } from '#shared/clock.ts';
import type { Meta } from './outbox-file.ts';

export type Lived = {
  /** Milliseconds; stands still while no process runs. */
  readonly now: () => number;
  /** Inside a transaction that writes anyway. */
  readonly save: () => void;
  /** The collector has acknowledged something. */
  readonly heard: () => void;
  /** Since then, or since the outbox was made. */
  readonly unheardMs: () => number;
};

export function createLived(meta: Meta, clock: Clock): Lived {
  const openedAt = clock.monotonic();
  const before = meta.number('lived');
  let heardAt = meta.number('heard');
  const now = (): number => Math.round(before + clock.monotonic() - openedAt);
  return {
    now,
    save() {
      meta.set('lived', String(now()));
      meta.set('heard', String(heardAt));
    },
    heard: () => void (heardAt = now()),
    unheardMs: () => Math.max(0, now() - heardAt),
  };
}
