// How often an account may try to log in. Promises: after three refusals in a row one try an hour, so that no provider
// locks the mailbox or the address out; another secret ends that at once; the provider's minimum interval holds always.
import type { Clock } from '#shared/clock.ts';
import type { SecretSource } from './secret.ts';

/** What a round tells: `login` is a refused login. `counts` is there when the login went well. */
export type JudgedRound = {
  readonly trouble: { readonly kind: string; readonly problem: string } | undefined;
  readonly counts: unknown;
};
export type LoginBreaker = {
  /** A login is about to be tried. */
  readonly trying: () => void;
  /** Counts the outcome; while the breaker is open its text is added to the problem. */
  readonly judge: <R extends JudgedRound>(round: R) => R;
  /** Pause after a refused login, in milliseconds. */
  readonly pauseMs: () => number;
  /** So long no login may be tried, by the provider's minimum interval. */
  readonly restMs: () => number;
  /** Sleeps, but no longer than until file or environment hold another secret than the refused one. */
  readonly sleep: (ms: number, signal: AbortSignal) => Promise<void>;
};

export const refusalsToOpen = 3;
const firstPauseMs = 60_000;
const openPauseMs = 3_600_000;
const lookMs = 5_000;

export function createLoginBreaker(options: {
  readonly source: Pick<SecretSource, 'generation' | 'changed' | 'refused'>;
  /** 0 when the provider names none. */
  readonly minIntervalMs: number;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
}): LoginBreaker {
  const { source, minIntervalMs, clock, random } = options;
  let refusals = 0;
  /** The secret that was refused. */
  let refused = 0;
  let triedAt: number | undefined;

  const isOpen = (): boolean => refusals >= refusalsToOpen;

  return {
    trying() {
      triedAt = clock.monotonic();
    },
    judge(round) {
      if (round.trouble?.kind !== 'login') {
        // A line that broke before the login says nothing about the secret.
        if (round.trouble === undefined || round.counts !== undefined) refusals = 0;
        return round;
      }
      refusals = source.generation() === refused ? refusals + 1 : 1;
      refused = source.generation();
      source.refused();
      if (!isOpen()) return round;
      const text =
        '; the login was refused ' +
        refusals +
        ' times in a row, so it is tried once an hour until the secret is changed';
      // The same shape with a longer text: what else R has is kept.
      return { ...round, trouble: { ...round.trouble, problem: round.trouble.problem + text } };
    },
    pauseMs() {
      if (isOpen()) return openPauseMs * (1 + 0.1 * random());
      return firstPauseMs * 2 ** Math.max(0, refusals - 1) * (0.75 + 0.25 * random());
    },
    restMs: () => (triedAt === undefined ? 0 : Math.max(0, triedAt + minIntervalMs - clock.monotonic())),
    async sleep(ms, signal) {
      if (refusals === 0) return clock.sleep(ms, signal);
      const dueAt = clock.monotonic() + ms;
      for (;;) {
        const left = dueAt - clock.monotonic();
        if (left <= 0 || signal.aborted || source.changed()) return undefined;
        await clock.sleep(Math.min(left, lookMs), signal);
      }
    },
  };
}
