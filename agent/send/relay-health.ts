// Whether the relay can be talked to. Its failures stop the relay, not the mail: one session probes with a back-off of the
// relay's own while all mail waits untouched. A wrong password is tried rarely, or the provider locks the account.
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { RetryPace } from './schedule.ts';

export type RelayHealth = {
  /** Milliseconds until a session may try. While the relay is not proven only the prober may. */
  readonly waitMs: (prober: boolean) => number;
  /** `login`: credentials or a refusal to let us in; `line`: everything else. */
  readonly failed: (problem: string, kind: 'line' | 'login') => void;
  /** Somebody asks for a try now: the rest of the pause is forgotten. */
  readonly retry: () => void;
  /** A mail was answered. */
  readonly succeeded: () => void;
  readonly status: () => { readonly id: string; readonly up: boolean; readonly problem: string };
};

export function createRelayHealth(options: {
  readonly id: string;
  /** Where the relay stands in the configuration: the log names what is to be mended. */
  readonly origin: string;
  readonly linePace: RetryPace;
  readonly loginPace: RetryPace;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly random: () => number;
  readonly log: Log;
  readonly onChange: () => void;
}): RelayHealth {
  const { clock, log, random } = options;
  const pauses = {
    line: createBackoff({ ...options.linePace, random, floor: 0.5 }),
    login: createBackoff({ ...options.loginPace, random, floor: 0.5 }),
  };
  let proven = false;
  let problem = '';
  let notBefore = 0;

  return {
    waitMs: (prober) => (proven || prober ? Math.max(0, notBefore - clock.monotonic()) : Infinity),
    failed(text, kind) {
      const pauseMs = pauses[kind].next();
      notBefore = clock.monotonic() + pauseMs;
      if (text !== problem) log.warn({ relay: options.id, pauseMs }, options.origin + ': ' + text + '; mail waits');
      proven = false;
      problem = text;
      options.onChange();
    },
    retry() {
      notBefore = 0;
      options.onChange();
    },
    succeeded() {
      if (proven) return;
      if (problem !== '') log.info({ relay: options.id }, 'relay works again');
      pauses.line.reset();
      pauses.login.reset();
      proven = true;
      problem = '';
      options.onChange();
    },
    status: () => ({ id: options.id, up: problem === '', problem }),
  };
}
