// Brings notices out: the one layer that retries. Each channel works on its own, in order, so that "resolved" never comes
// before its "raised". Promise: a notice is recorded as sent right after the channel took it; only a crash in between, or an
// answer that did not arrive, repeats it, under the same reference.
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
      readonly problem: string;
      /** Not before so many milliseconds: the server asks for it, or a person has to mend something first. */
      readonly afterMs?: number;
    };
export type Channel = {
  /** Under this the delivery log knows it. */
  readonly name: string;
  /** For logs: without a whole address. */
  readonly label: string;
  /** Never throws; bounded in time. An abort ends it at once. */
  readonly send: (message: Message, signal: AbortSignal) => Promise<Sent>;
};
export type Notifier = {
  /** There may be a new notice. */
  readonly wake: () => void;
  /** Lets what is under way end, for a short time. */
  readonly stop: () => Promise<void>;
};

const idleMs = 60_000;
const lastWordMs = 2_500;

export function startNotifier(options: {
  readonly store: AlertStore;
  readonly channels: readonly Channel[];
  /** For their words: every rule that ever raised something. */
  readonly rules: readonly AlertRule[];
  readonly link: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Notifier {
  const { store, channels, rules, clock, log } = options;
  const stopping = new AbortController();
  const cutting = new AbortController();
  const problems = new Map<string, string>();
  const idlers = new Set<AbortController>();

  /** Counts wakes: one that comes between the look into the store and the sleep must not be lost. */
  let wakes = 0;

  async function idle(known: number): Promise<void> {
    if (known !== wakes) return;
    const woken = new AbortController();
    idlers.add(woken);
    await clock.sleep(idleMs, AbortSignal.any([woken.signal, stopping.signal]));
    idlers.delete(woken);
  }

  /** Logs a trouble when it changes. */
  function tell(channel: Channel, problem: string): void {
    if (problems.get(channel.name) !== problem) log.error({ channel: channel.label }, problem);
    problems.set(channel.name, problem);
  }

  /** One notice; gives how long to wait before the next step, 0 when it is through, undefined when there is none. */
  async function deliver(channel: Channel, nextPause: () => number): Promise<number | undefined> {
    const notice = store.next(channel.name);
    if (notice === undefined) return undefined;
    const { kind, alert } = notice.transition;
    const rule = rules.find(({ id }) => id === alert.rule);
    if (rule === undefined) {
      store.tried(notice, channel.name, { state: 'failed', at: clock.now(), problem: 'the rule is no more' });
      return 0;
    }
    const sent = await channel.send(messageOf(notice, rule, options.link), cutting.signal);
    if (sent.ok) {
      store.tried(notice, channel.name, { state: 'sent', at: clock.now(), problem: '' });
      problems.delete(channel.name);
      log.info({ channel: channel.label, kind, rule: rule.id }, 'alert sent');
      return 0;
    }
    if (cutting.signal.aborted) return 0;
    store.tried(notice, channel.name, { state: 'waiting', at: clock.now(), problem: sent.problem });
    tell(channel, sent.problem);
    return Math.max(sent.afterMs ?? 0, nextPause());
  }

  async function run(channel: Channel): Promise<void> {
    const backoff = createBackoff({ firstMs: 5_000, maxMs: 300_000, random: options.random, floor: 0.5 });
    while (!stopping.signal.aborted) {
      try {
        const known = wakes;
        const waitMs = await deliver(channel, backoff.next);
        if (waitMs === undefined) await idle(known);
        else if (waitMs === 0) backoff.reset();
        else await clock.sleep(waitMs, stopping.signal);
      } catch (error) {
        tell(channel, 'A notice could not be worked on: ' + describe(error));
        await clock.sleep(backoff.next(), stopping.signal);
      }
    }
  }

  const running = channels.map(run);
  return {
    wake() {
      wakes += 1;
      for (const idler of idlers) idler.abort();
    },
    async stop() {
      stopping.abort();
      const timer = setTimeout(() => cutting.abort(), lastWordMs);
      await Promise.all(running);
      clearTimeout(timer);
    },
  };
}
