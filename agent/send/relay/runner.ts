// Sends what is queued: the one layer that retries. Each relay has its line of sessions; here they are stepped whenever
// something may have changed. Promises: a mail is with one session at a time; the trouble of one relay stops no other.
import type { Bell } from '../bell.ts';
import { chainOf, standInOf } from './route.ts';
import type { Route } from './route.ts';
import type { RelayLine } from './relay-line.ts';

export type Runner = {
  /** Until `stop`: no mail is begun after it; `abort` breaks off what is under way. */
  readonly run: (stop: AbortSignal, abort: AbortSignal) => Promise<void>;
  /** With a session now. */
  readonly busy: (id: string) => boolean;
};

export function createRunner(options: {
  readonly lines: readonly RelayLine[];
  readonly claimed: ReadonlySet<string>;
  /** Rung when something may have become due, or a relay has changed. */
  readonly bell: Bell;
}): Runner {
  const { bell, lines } = options;
  return {
    async run(stop, abort) {
      try {
        while (!stop.aborted) {
          const waitMs = Math.min(...lines.map((line) => line.step(stop, abort)));
          await bell.wait(waitMs, stop);
        }
      } finally {
        await Promise.all(lines.map((line) => line.settled()));
      }
    },
    busy: (id) => options.claimed.has(id),
  };
}

/** Whose mail goes by each relay now: its own, and that of relays for which it stands in. */
export function createSources(relays: readonly Route[], isOut: (id: string) => boolean) {
  const chains = relays.map((relay) => ({ id: relay.id, chain: chainOf(relays, relay.id) }));
  const others = new Map(
    relays.map(({ id }) => [id, chains.filter((one) => one.id !== id && one.chain.includes(id))] as const),
  );
  return (id: string): readonly { readonly relay: string; readonly standIn: boolean }[] => {
    const own = { relay: id, standIn: false };
    const served = (others.get(id) ?? []).filter((one) => isOut(one.id) && standInOf(one.chain, isOut) === id);
    return [own, ...served.map((one) => ({ relay: one.id, standIn: true }))];
  };
}
