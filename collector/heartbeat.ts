// Who watches the watcher: while all is well, an address elsewhere is asked for; whoever answers there raises the alarm when
// the questions stop.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';

const timeoutMs = 20_000;

export type Heartbeat = { readonly stop: () => Promise<void> };

export function startHeartbeat(options: {
  readonly url: string;
  readonly everySeconds: number;
  /** Undefined: all is well. */
  readonly problem: () => string | undefined;
  readonly clock: Clock;
  readonly log: Log;
}): Heartbeat {
  const { url, clock, log } = options;
  const stopping = new AbortController();
  let told = '';

  async function beat(): Promise<string> {
    const problem = options.problem();
    if (problem !== undefined) return 'not sent: ' + problem;
    try {
      const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(timeoutMs)]);
      const response = await fetch(url, { signal, redirect: 'follow' });
      await response.body?.cancel();
      return response.ok ? '' : 'the address answers ' + response.status + ', expected 200; check option heartbeat.url';
    } catch (error) {
      return stopping.signal.aborted ? told : 'the address does not answer: ' + describe(error);
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const trouble = await beat();
      if (trouble !== told) {
        if (trouble === '') log.info('the heartbeat is heard again');
        else log.warn({ trouble }, 'no heartbeat');
      }
      told = trouble;
      await clock.sleep(options.everySeconds * 1_000, stopping.signal);
    }
  }

  const running = run();
  return {
    async stop() {
      stopping.abort();
      await running;
    },
  };
}
