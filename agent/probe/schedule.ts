// When checks run, for how long they may, and what came of it. Promises: no check overlaps itself, also when it is late or is
// asked for by hand; none holds up another; one that fails or hangs is a result ("unknown"), never an error of the agent.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import type { Check, Finding, Kind } from './check.ts';

export type Result = {
  readonly kind: Kind;
  readonly name: string;
  /** Wall clock, milliseconds since 1970. */
  readonly at: number;
  readonly durationMs: number;
  /** False when it threw or did not end in its time. */
  readonly success: boolean;
  readonly findings: readonly Finding[];
};
export type Schedule = {
  /** Rounds of all checks until aborted; never throws. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** Runs the checks of a kind now, or waits for those under way; gives their results. */
  readonly now: (kind: Kind, signal: AbortSignal) => Promise<readonly Result[]>;
  /** Is there any check of this kind? */
  readonly has: (kind: Kind) => boolean;
  /** The last ones. */
  readonly results: (kind?: Kind) => readonly Result[];
};
export type ScheduleOptions = {
  readonly checks: readonly Check[];
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
  readonly meter: Meter;
  readonly log: Log;
  readonly onResult?: (result: Result) => void;
};

/** A round starts this share of the interval early or late, so that many sites do not ask at the same second. */
const jitter = 0.1;
/** The first round, so that a start of the agent is not a burst. */
const firstWithinMs = 20_000;

export function createSchedule(options: ScheduleOptions): Schedule {
  const { checks, clock, log, meter, random } = options;
  const results = new Map<Check, Result>();
  const underWay = new Map<Check, Promise<Result>>();

  async function once(check: Check, signal: AbortSignal): Promise<Result> {
    const startedAt = clock.monotonic();
    const { findings, problem } = await limited(check, signal);
    const durationMs = clock.monotonic() - startedAt;
    const success = problem === undefined;
    const result = { kind: check.kind, name: check.name, at: clock.now(), durationMs, success, findings };
    if (signal.aborted) return result;
    meter.say('probe', { probe: check.name }, { success: success ? 1 : 0, seconds: durationMs / 1_000 });
    tell(check, result, problem);
    results.set(check, result);
    options.onResult?.(result);
    return result;
  }

  /** Its own work under its own deadline; what it does after that is nobody's business any more. */
  async function limited(
    check: Check,
    signal: AbortSignal,
  ): Promise<{ readonly findings: readonly Finding[]; readonly problem?: string }> {
    const ending = new AbortController();
    const stop = (): void => ending.abort();
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      const late = clock.sleep(check.timeoutMs, ending.signal).then(() => 'late' as const);
      const work = check.run(ending.signal);
      const first = await Promise.race([work, late]);
      if (first !== 'late') return { findings: first };
      work.catch(() => {}); // nobody waits for it any more
      const problem = signal.aborted ? 'stopped' : 'did not end within ' + check.timeoutMs / 1_000 + ' s';
      return { findings: [unknown(check, problem)], problem };
    } catch (error) {
      return { findings: [unknown(check, describe(error))], problem: describe(error) };
    } finally {
      ending.abort();
      signal.removeEventListener('abort', stop);
    }
  }

  /** What changed is said once. */
  function tell(check: Check, result: Result, problem: string | undefined): void {
    const before = results.get(check)?.findings ?? [];
    for (const { check: what, level, remedy, target, text } of result.findings) {
      const known = before.find((one) => one.check === what && one.target === target);
      if (known?.level === level && known.text === text) continue;
      const facts = { probe: check.name, target, check: what, text, ...(remedy && { remedy }) };
      if (level === 'warning' || level === 'critical') log.warn(facts, 'probe found something');
      else if (known !== undefined && level === 'ok') log.info(facts, 'probe finds it well again');
      else log.debug(facts, 'probe');
    }
    if (problem !== undefined) log.debug({ probe: check.name, problem }, 'probe failed');
  }

  function start(check: Check, signal: AbortSignal): Promise<Result> {
    const running = underWay.get(check);
    if (running !== undefined) return running;
    const begun = once(check, signal).finally(() => underWay.delete(check));
    underWay.set(check, begun);
    return begun;
  }

  async function repeat(check: Check, signal: AbortSignal): Promise<void> {
    await clock.sleep(random() * Math.min(firstWithinMs, check.everyMs), signal);
    while (!signal.aborted) {
      await start(check, signal);
      await clock.sleep(check.everyMs * (1 + jitter * (2 * random() - 1)), signal);
    }
  }

  return {
    async run(signal) {
      await Promise.all(checks.map((check) => repeat(check, signal)));
    },
    now: (kind, signal) =>
      Promise.all(checks.filter((check) => check.kind === kind).map((check) => start(check, signal))),
    has: (kind) => checks.some((check) => check.kind === kind),
    results: (kind) => [...results.values()].filter((result) => kind === undefined || result.kind === kind),
  };
}

function unknown(check: Check, text: string): Finding {
  return { target: check.name, check: check.kind, level: 'unknown', text: 'the check itself failed: ' + text };
}
