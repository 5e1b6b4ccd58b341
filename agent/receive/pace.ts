// How long an account rests after a round that went well. Promise: never longer than its interval and a tenth; never shorter
// than it, but for `busySeconds` after mail has come; never under the provider's minimum.

export type Pace = {
  /** `brought`: mails of the round just done. `isWatched`: new mail wakes the account, so that it need not look often. */
  readonly next: (round: { readonly brought: number; readonly isWatched: boolean }) => number;
};

/** Each round that brings nothing makes the pause longer by this, up to the interval. */
const slower = 1.5;

export function createPace(options: {
  readonly intervalMs: number;
  /** Pause after a round that brought mail: mail comes in runs, and answers follow answers. */
  readonly busyMs: number;
  /** Between the begins of two rounds. */
  readonly minIntervalMs: number;
  /** Even chance in [0, 1). */
  readonly random: () => number;
}): Pace {
  const { intervalMs, minIntervalMs, random } = options;
  const busyMs = Math.min(intervalMs, Math.max(options.busyMs, minIntervalMs));
  let currentMs = intervalMs;
  return {
    next({ brought, isWatched }) {
      if (isWatched) currentMs = intervalMs;
      else currentMs = brought > 0 ? busyMs : Math.min(intervalMs, currentMs * slower);
      // Up to a tenth later, so that many accounts do not keep step.
      return currentMs * (1 + 0.1 * random());
    },
  };
}
