// How often an account may try to log in. Promises: after three refusals in a row one try an hour, so that no provider
// locks the mailbox or the address out; another secret ends that at once; the provider's minimum interval holds always; all
// of this over restarts.
import type { Clock } from '#shared/clock.ts';
import type { LoginMemory } from './login-memory.ts';
import type { SecretSource } from './secret.ts';

/** What a round tells: `login` is a refused login. `counts` is there when the login went well. */
export type JudgedRound = {
  readonly trouble: { readonly kind: string; readonly problem: string } | undefined;
  readonly counts: unknown;
};
export type LoginBreaker = {
  /** Once, before everything else: takes up what a former life left. Gives how long no login may be tried because of refusals. */
  readonly begin: () => number;
  /** The life ends. */
  readonly end: () => void;
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
  readonly source: Pick<SecretSource, 'generation' | 'changed' | 'refused' | 'stored'>;
  /** Without it everything is forgotten at a restart. */
  readonly memory?: LoginMemory | undefined;
  /** 0 when the provider names none. */
  readonly minIntervalMs: number;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
}): LoginBreaker {
  const { source, minIntervalMs, clock, random, memory } = options;
  let refusals = 0;
  /** The secret that was refused. */
  let refused = 0;
  let triedAt: number | undefined;
  /** The secret that a former life saw refused, until a login of this life was judged. */
  let former: { readonly secret: string } | undefined;

  const isOpen = (): boolean => refusals >= refusalsToOpen;
  /** What cannot be read is no change. */
  const isOther = (): boolean =>
    former === undefined ? source.changed() : (source.stored() ?? former.secret) !== former.secret;

  function pauseMs(): number {
    if (isOpen()) return openPauseMs * (1 + 0.1 * random());
    return firstPauseMs * 2 ** Math.max(0, refusals - 1) * (0.75 + 0.25 * random());
  }

  function countRefusal(): void {
    const isSame = former === undefined ? source.generation() === refused : !isOther();
    refusals = isSame ? refusals + 1 : 1;
    refused = source.generation();
    former = undefined;
    source.refused();
    memory?.refused(refusals, source.stored());
  }

  return {
    begin() {
      const past = memory?.begin(minIntervalMs > 0);
      if (past === undefined) return 0;
      if (past.sinceTryMs !== undefined) triedAt = clock.monotonic() - past.sinceTryMs;
      const secret = source.stored();
      if (past.refusals === 0 || secret === undefined || !past.isRefused(secret)) return 0;
      refusals = past.refusals;
      former = { secret };
      return Math.max(0, pauseMs() - past.sinceRefusalMs);
    },
    end: () => memory?.end(triedAt === undefined ? undefined : clock.monotonic() - triedAt),
    trying() {
      triedAt = clock.monotonic();
    },
    judge(round) {
      if (round.trouble?.kind !== 'login') {
        // A line that broke before the login says nothing about the secret.
        if (round.trouble !== undefined && round.counts === undefined) return round;
        if (refusals > 0) memory?.well();
        refusals = 0;
        former = undefined;
        return round;
      }
      countRefusal();
      if (!isOpen()) return round;
      const text =
        '; the login was refused ' +
        refusals +
        ' times in a row, so it is tried once an hour until the secret is changed';
      // The same shape with a longer text: what else R has is kept.
      return { ...round, trouble: { ...round.trouble, problem: round.trouble.problem + text } };
    },
    pauseMs,
    restMs: () => (triedAt === undefined ? 0 : Math.max(0, triedAt + minIntervalMs - clock.monotonic())),
    async sleep(ms, signal) {
      if (refusals === 0) return clock.sleep(ms, signal);
      const dueAt = clock.monotonic() + ms;
      for (;;) {
        const left = dueAt - clock.monotonic();
        if (left <= 0 || signal.aborted || isOther()) return undefined;
        await clock.sleep(Math.min(left, lookMs), signal);
      }
    },
  };
}
