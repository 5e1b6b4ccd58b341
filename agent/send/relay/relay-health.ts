// Whether a relay can be talked to. Its failures stop the relay, not the mail: one session probes with a back-off of the
// relay's own while all mail waits untouched. A refused login is tried rarely, from the third on once an hour, or the provider
// locks the account; another secret ends that. What a provider said about the account (a quota, a lock) outlasts a restart.
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { maskReply } from '../../smtp/reply.ts';
import type { RetryPace } from './schedule.ts';

/** `login`: credentials, or a refusal to let us in; `account`: it takes no mail of this login now; `line`: everything else. */
export type Trouble = {
  readonly text: string;
  readonly kind: 'line' | 'login' | 'account';
  /** At least so long nothing is tried. */
  readonly waitMs?: number | undefined;
  /** The secret was shown and refused. */
  readonly refused?: boolean;
  /** No session came about: one that does is the proof that it is over. */
  readonly atOpening?: boolean;
};
export type RelayStatus = {
  readonly id: string;
  readonly up: boolean;
  /** Empty when it works. */
  readonly problem: string;
};
/** A pause that outlasts a restart. */
export type Pause = { readonly untilMs: number; readonly text: string };

/** Refused logins that outlast a restart: without them each start would show a locked account the same password again. */
export type Logins = {
  /** Of the last life, when it ended refused and the secret is the same still. */
  readonly past: { readonly refusals: number; readonly sinceMs: number } | undefined;
  readonly refused: (refusals: number) => void;
  readonly well: () => void;
};

export type RelayHealth = {
  /** Milliseconds until a session may try. */
  readonly waitMs: () => number;
  /** A mail was answered since the last failure. Before, one session at a time may try. */
  readonly proven: () => boolean;
  readonly failed: (trouble: Trouble) => void;
  /** A session is open: whether mail is taken too will be seen, but what kept sessions out is over. */
  readonly reached: () => void;
  /** A mail was answered. */
  readonly succeeded: () => void;
  /** Somebody asks for a try now: the rest of the pause is forgotten. */
  readonly retry: () => void;
  /** Another secret than the refused one is there: as if no login had ever been refused. */
  readonly renewed: () => void;
  /** What is wrong, undefined when nothing is. */
  readonly kind: () => Trouble['kind'] | undefined;
  /** Out of service for so long that another relay should send. */
  readonly isOut: () => boolean;
  readonly status: () => RelayStatus;
};

const refusalsToOpen = 3;
const openPauseMs = 3_600_000;

export function createRelayHealth(options: {
  readonly id: string;
  /** Where the relay stands in the configuration: the log names what is to be mended. */
  readonly origin: string;
  readonly linePace: RetryPace;
  readonly loginPace: RetryPace;
  readonly fallbackAfterMs: number;
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly queueClock: { readonly now: () => number };
  readonly random: () => number;
  readonly log: Log;
  /** What the last run left, and where such a pause is kept; undefined: it is over. */
  readonly pause: Pause | undefined;
  readonly keepPause: (pause: Pause | undefined) => void;
  readonly logins: Logins;
  readonly onChange: () => void;
}): RelayHealth {
  const { clock, log, queueClock, random } = options;
  const pauses = {
    line: createBackoff({ ...options.linePace, random, floor: 0.5 }),
    login: createBackoff({ ...options.loginPace, random, floor: 0.5 }),
    account: createBackoff({ ...options.loginPace, random, floor: 0.5 }),
  };
  const rareMs = (): number => openPauseMs * (1 + 0.1 * random());
  const before = begin(options, rareMs);
  const { leftMs } = before;
  let proven = false;
  /** A session is open although nothing was answered since the failure. */
  let trial = false;
  let atOpening = leftMs > 0 && before.kind === 'login';
  let kind: Trouble['kind'] | undefined = leftMs > 0 ? before.kind : undefined;
  let problem = leftMs > 0 ? before.text : '';
  let notBefore = clock.monotonic() + Math.max(0, leftMs);
  let downSince = clock.monotonic();
  /** A pause began that is longer than the patience: out of service from its start to a session that opens. */
  let isLong = leftMs > options.fallbackAfterMs;
  let refusals = options.logins.past?.refusals ?? 0;
  let kept = options.pause !== undefined;

  function keep(pause: Pause | undefined): void {
    if (pause === undefined && !kept) return;
    kept = pause !== undefined;
    options.keepPause(pause);
  }

  function textOf(trouble: Trouble): string {
    if (refusals < refusalsToOpen || trouble.kind !== 'login') return trouble.text;
    return trouble.text + '; refused ' + refusals + ' times in a row, tried once an hour until the secret is changed';
  }

  return {
    waitMs: () => Math.max(0, notBefore - clock.monotonic()),
    proven: () => proven,
    kind: () => kind,
    failed(trouble) {
      if (trouble.refused === true) {
        refusals += 1;
        options.logins.refused(refusals);
      }
      const isRare = trouble.kind === 'login' && refusals >= refusalsToOpen;
      const pauseMs = Math.max(pauses[trouble.kind].next(), isRare ? rareMs() : 0, trouble.waitMs ?? 0);
      const text = textOf(trouble);
      if (text !== problem)
        log.warn({ relay: options.id, pauseMs }, options.origin + ': ' + maskReply(text, 800) + '; mail waits');
      if (problem === '') downSince = clock.monotonic();
      isLong = (isLong && problem !== '') || pauseMs > options.fallbackAfterMs;
      notBefore = clock.monotonic() + pauseMs;
      proven = false;
      trial = false;
      kind = trouble.kind;
      atOpening = trouble.atOpening === true;
      problem = text;
      if (kind === 'account') keep({ untilMs: queueClock.now() + pauseMs, text });
      options.onChange();
    },
    reached() {
      if (refusals > 0) options.logins.well();
      refusals = 0;
      if (problem === '' || trial) return;
      if (atOpening) {
        log.info({ relay: options.id }, 'relay lets us in again');
        kind = undefined;
        problem = '';
        isLong = false;
      } else trial = true;
      options.onChange();
    },
    succeeded() {
      if (proven) return;
      if (problem !== '') log.info({ relay: options.id }, 'relay works again');
      for (const pause of Object.values(pauses)) pause.reset();
      proven = true;
      trial = false;
      kind = undefined;
      problem = '';
      isLong = false;
      keep(undefined);
      options.onChange();
    },
    retry() {
      notBefore = 0;
      options.onChange();
    },
    renewed() {
      refusals = 0;
      pauses.login.reset();
      notBefore = 0;
      options.onChange();
    },
    isOut() {
      if (problem === '' || trial) return false;
      return isLong || clock.monotonic() - downSince >= options.fallbackAfterMs;
    },
    status: () => ({ id: options.id, up: problem === '', problem }),
  };
}

/** What the last life left: a pause of the account, or refused logins. */
function begin(
  options: {
    readonly pause: Pause | undefined;
    readonly queueClock: { readonly now: () => number };
    readonly logins: Logins;
  },
  rareMs: () => number,
): { readonly kind: 'account' | 'login'; readonly leftMs: number; readonly text: string } {
  const { logins, pause, queueClock } = options;
  const pauseMs = pause === undefined ? 0 : pause.untilMs - queueClock.now();
  if (pause !== undefined && pauseMs > 0) return { kind: 'account', leftMs: pauseMs, text: pause.text };
  const { past } = logins;
  if (past === undefined) return { kind: 'login', leftMs: 0, text: '' };
  const waitMs = past.refusals >= refusalsToOpen ? rareMs() : 60_000 * 2 ** (past.refusals - 1);
  const text = 'Before the last start the login was refused ' + past.refusals + ' times in a row, with the same secret';
  return { kind: 'login', leftMs: waitMs - past.sinceMs, text };
}
