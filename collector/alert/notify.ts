// Brings notices out: the one layer that retries. Each channel works on its own, in order, so that "resolved" never comes
// before its "raised". Promise: a notice is recorded as sent right after the channel took it; only a crash in between
// repeats it, under the same reference.
import { createBackoff } from '#shared/backoff.ts';
import type { AlertRule } from '#shared/alert-rules.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { messageOf } from './message.ts';
import type { Message } from './message.ts';
import type { AlertStore } from './state.ts';

export type Sent =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly again: boolean;
      readonly problem: string;
      /** Not before so many milliseconds. */ readonly afterMs?: number;
    };
export type Channel = {
  readonly name: string;
  /** Never throws; bounded in time. */
  readonly send: (message: Message) => Promise<Sent>;
  readonly close: () => void;
};
export type Notifier = {
  /** There may be a new notice. */
  readonly wake: () => void;
  readonly stop: () => Promise<void>;
};

const idleMs = 60_000;

export function startNotifier(options: {
  readonly store: AlertStore;
  readonly channels: readonly Channel[];
  readonly rules: readonly AlertRule[];
  readonly link: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Notifier {
  const { store, channels, rules, clock, log } = options;
  const stopping = new AbortController();
  const problems = new Map<string, string>();
  let wakers: (() => void)[] = [];

  async function pause(ms: number, wakeable: boolean): Promise<void> {
    const woken = new AbortController();
    if (wakeable) wakers.push(() => woken.abort());
    await clock.sleep(ms, AbortSignal.any([woken.signal, stopping.signal]));
  }

  /** One notice; gives how long to wait before the next step, 0 when it is through, undefined when there is none. */
  async function deliver(channel: Channel, nextPause: () => number): Promise<number | undefined> {
    const notice = store.next(channel.name);
    if (notice === undefined) return undefined;
    const rule = rules.find(({ id }) => id === notice.transition.alert.rule);
    if (rule === undefined) {
      store.tried(notice, channel.name, { state: 'failed', at: clock.now(), problem: 'the rule is no more' });
      return 0;
    }
    const sent = await channel.send(messageOf(notice, rule, options.link));
    if (sent.ok) {
      store.tried(notice, channel.name, { state: 'sent', at: clock.now(), problem: '' });
      problems.delete(channel.name);
      log.info({ channel: channel.name, kind: notice.transition.kind, rule: rule.id }, 'alert sent');
      return 0;
    }
    store.tried(notice, channel.name, {
      state: sent.again ? 'waiting' : 'failed',
      at: clock.now(),
      problem: sent.problem,
    });
    if (problems.get(channel.name) !== sent.problem) log.error(sent.problem);
    problems.set(channel.name, sent.problem);
    return sent.again ? Math.max(sent.afterMs ?? 0, nextPause()) : 0;
  }

  async function run(channel: Channel): Promise<void> {
    const backoff = createBackoff({ firstMs: 5_000, maxMs: 300_000, random: options.random, floor: 0.5 });
    while (!stopping.signal.aborted) {
      try {
        const wait = await deliver(channel, backoff.next);
        if (wait === 0) backoff.reset();
        else await pause(wait ?? idleMs, wait === undefined);
      } catch (error) {
        problems.set(channel.name, describe(error));
        log.error({ channel: channel.name, error: describe(error) }, 'a notice could not be worked on');
        await pause(backoff.next(), false);
      }
    }
    channel.close();
  }

  const running = channels.map(run);
  return {
    wake() {
      const woken = wakers;
      wakers = [];
      for (const wake of woken) wake();
    },
    async stop() {
      stopping.abort();
      await Promise.all(running);
    },
  };
}
