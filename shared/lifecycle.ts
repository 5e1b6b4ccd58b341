// Starting and stopping. Every resource registers a named stop step; steps run last-in first-out, each bounded in time,
// and the same list rolls back a start that failed half-way.
import { describe } from './failure.ts';
import type { Log } from './log.ts';

export type Lifecycle = {
  /** Registers how to end what was just started. */
  readonly onStop: (name: string, stop: () => void | Promise<void>) => void;
  /** Runs all steps once; later calls wait for the same run. */
  readonly stop: () => Promise<void>;
  /** Aborted as the first thing of stop(). */
  readonly signal: AbortSignal;
};

export function createLifecycle(options: { readonly log: Log; readonly stepTimeoutMs?: number }): Lifecycle {
  const steps: { readonly name: string; readonly stop: () => void | Promise<void> }[] = [];
  const controller = new AbortController();
  const limitMs = options.stepTimeoutMs ?? 4_000;
  let running: Promise<void> | undefined;

  async function runStep(step: (typeof steps)[number]): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error('Cannot stop ' + step.name + ': still running after ' + limitMs + ' ms')),
        limitMs,
      );
    });
    try {
      await Promise.race([Promise.resolve().then(step.stop), late]);
    } catch (error) {
      options.log.error({ step: step.name, error: describe(error) }, 'stop step failed');
    } finally {
      clearTimeout(timer);
    }
  }

  async function runAll(): Promise<void> {
    controller.abort();
    for (let step = steps.pop(); step !== undefined; step = steps.pop()) await runStep(step);
  }

  return {
    onStop: (name, stop) => void steps.push({ name, stop }),
    stop: () => (running ??= runAll()),
    signal: controller.signal,
  };
}

/** First SIGINT or SIGTERM calls `stop`; a second one ends the process at once. */
export function stopOnSignals(stop: () => Promise<void>): void {
  let asked = false;
  const onSignal = (): void => {
    if (asked) process.exit(130);
    asked = true;
    void stop().then(
      () => process.exit(0),
      () => process.exit(1),
    );
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
}
