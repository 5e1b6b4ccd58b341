// The life of one account: a round, a pause, the next round; longer pauses in trouble; never two sessions at once.
import { createBackoff } from '#shared/backoff.ts';
import type { Backoff } from '#shared/backoff.ts';
import { describe } from '#shared/failure.ts';
import type { Meter } from '#shared/meter.ts';
import type { AccountError, FieldsOf } from '#shared/metrics.ts';
import { createLoginBreaker } from '../accounts/breaker.ts';
import type { LoginMemory } from '../accounts/login-memory.ts';
import { maxRefusedInRow } from './fetching.ts';
import { createPace } from './pace.ts';
import { errorKindOf, isDiskText } from './problem.ts';
import type { TroubleKind } from './problem.ts';
import type { Answer } from './known/question.ts';
import { runRound } from './round.ts';
import type { Memory, RoundDeps, RoundResult } from './round.ts';

export type AccountStatus = {
  readonly id: string;
  /** The last round brought everything that could be had. */
  readonly up: boolean;
  /** Why not; empty when well. */
  readonly problem: string;
  readonly backlog: number;
  readonly kept: number;
  /** Wall clock, milliseconds since 1970; 0 when there was none yet. */
  readonly lastRoundAt: number;
  readonly nextRoundAt: number;
  /** Waits for a restart or for fetchNow(). */
  readonly paused: boolean;
  /** Mails above maxSizeBytes, and mails from before that are not wanted: both stay at the provider. */
  readonly oversized: number;
  readonly passedOver: number;
  /** What a person may want to know although all is well. */
  readonly hint: string;
  /** Of the wake by IMAP IDLE: ok, or why not; empty when none is configured. */
  readonly wake: string;
};
export type Account = {
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** One round that begins after this call (and after run() was called), whatever the pause; resolves when it is over or the run has ended. */
  readonly fetchNow: () => Promise<AccountStatus>;
  /**
   * A person's answer to what the account asks: a shortened keeping time is meant so; or what mails are that the ledger does
   * not know. Then a round, as fetchNow().
   */
  readonly confirm: (answer?: Answer) => Promise<AccountStatus>;
  /** New mail has come, perhaps: a round as soon as the provider allows it, unless the account is in trouble or paused. */
  readonly wakeUp: () => void;
  /** The wake has come up, or failed: told now, not with the next round, which may be far. */
  readonly wakeChanged: () => void;
  readonly status: () => AccountStatus;
};

const notYet = 'not fetched yet';
/** A round that did not come to anything. */
const nothing: RoundResult = {
  trouble: undefined,
  waiting: '',
  hint: '',
  question: '',
  counts: undefined,
  times: {},
  mailbox: undefined,
  brought: 0,
  more: false,
  loginDelaySeconds: 0,
};

/** Longest pause in trouble; that of a refused login is the breaker's. */
const maxPauseMs: Readonly<Record<Exclude<TroubleKind, 'login'>, number>> = { session: 300_000, local: 60_000 };
/** After the stop, mails that are on their way to the local server may finish for so long. */
const graceMs = 2_500;
const pausedMs = 86_400_000;

export type AccountDeps = RoundDeps & {
  readonly meter: Meter;
  readonly random: () => number;
  /** Where the account stands in the configuration: the log names what is to be mended. */
  readonly origin: string;
  /** The provider allows no two logins in a shorter time. */
  readonly minIntervalMs: number;
  /** What is known of logins of former lives. */
  readonly logins?: LoginMemory;
  /** Undefined when no wake is configured. */
  readonly wakeState?: () => { readonly up: boolean; readonly problem: string };
};

export function createAccount(deps: AccountDeps): Account {
  const { account, clock, log, meter, random, origin } = deps;
  const intervalMs = account.intervalSeconds * 1_000;
  const { minIntervalMs, logins } = deps;
  const breaker = createLoginBreaker({ source: deps.secret, memory: logins, minIntervalMs, clock, random });
  const busyMs = (account.busySeconds ?? account.intervalSeconds) * 1_000;
  const pace = createPace({ intervalMs, busyMs, minIntervalMs, random });
  const memory: Memory = {
    retries: new Map(),
    owed: new Map(),
    refusedInRow: 0,
    lastRefusal: '',
    answer: undefined,
    calm: undefined,
    looked: new Map(),
  };
  const requests: (() => void)[] = [];
  let ended = false;
  let wake: AbortController | undefined;
  /** New mail came while a round was under way, or may not be fetched yet. */
  let woken = false;
  let mayWake = false;
  /** Of the last round; undefined before the first. */
  let said: FieldsOf<'account'> | undefined;
  let backoff: { readonly kind: TroubleKind; readonly waits: Backoff } | undefined;
  let status: AccountStatus = {
    id: account.id,
    up: false,
    problem: notYet,
    backlog: 0,
    kept: 0,
    lastRoundAt: 0,
    nextRoundAt: 0,
    paused: false,
    oversized: 0,
    passedOver: 0,
    hint: '',
    wake: '',
  };

  async function round(signal: AbortSignal, impatient: boolean): Promise<RoundResult> {
    const handOverEnd = new AbortController();
    let grace: NodeJS.Timeout | undefined;
    const onAbort = (): void => void (grace = setTimeout(() => handOverEnd.abort(), graceMs));
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await runRound(deps, { memory, impatient, signal, handOverSignal: handOverEnd.signal });
    } catch (error) {
      const problem = account.id + ': ' + describe(error);
      return { ...nothing, trouble: { kind: 'session', problem, error: errorKindOf(error) } };
    } finally {
      clearTimeout(grace);
      signal.removeEventListener('abort', onAbort);
    }
  }

  function note(result: RoundResult, seconds: number): void {
    const refused = memory.refusedInRow >= maxRefusedInRow;
    const paused = refused || result.question !== '';
    const asked = result.question === '' ? (result.trouble?.problem ?? result.waiting) : result.question;
    const problem = refused ? pausedProblem(account.id, memory) : asked;
    if (problem !== status.problem) {
      if (problem === '') log.info({ account: account.id }, 'account is well');
      else log.warn({ account: account.id }, origin + ': ' + problem);
    }
    const { hint } = result.counts === undefined ? status : result;
    if (hint !== status.hint && hint !== '') log.info({ account: account.id }, origin + ': ' + hint);
    const { backlog, kept, oversized, passedOver } = result.counts ?? status;
    const counts = { backlog, kept, oversized, passedOver };
    status = { ...status, ...counts, hint, up: problem === '', problem, paused };
    const kind = result.question === '' && !refused ? (result.trouble?.kind ?? '') : 'question';
    const error = refused ? 'local' : errorOf(result);
    const own = { up: status.up ? 1 : 0, backlog, kept, problem, trouble: problem === '' ? '' : kind, error };
    said = { ...own, round_seconds: seconds };
    say(measured(result));
  }

  function say(more: FieldsOf<'account'>): void {
    const wakes = deps.wakeState === undefined ? {} : { wake: deps.wakeState().up ? 1 : 0 };
    meter.say('account', { account: account.id }, { ...said, ...wakes, ...more });
  }

  function pauseAfter(result: RoundResult): number {
    if (status.paused) return pausedMs;
    const { trouble } = result;
    const loginDelayMs = result.loginDelaySeconds * 1_000;
    if (trouble === undefined) {
      backoff = undefined;
      if (result.more) return loginDelayMs;
      const isWatched = deps.wakeState?.().up === true;
      return Math.max(loginDelayMs, pace.next({ brought: result.brought, isWatched }));
    }
    if (trouble.kind === 'login') return Math.max(loginDelayMs, intervalMs, breaker.pauseMs());
    if (backoff?.kind !== trouble.kind)
      backoff = { kind: trouble.kind, waits: waitsFor(trouble.kind, intervalMs, random) };
    return Math.max(loginDelayMs, intervalMs, backoff.waits.next());
  }

  /** What a former life was refused is not tried sooner because of a restart. */
  async function resume(signal: AbortSignal): Promise<void> {
    const pauseMs = breaker.begin();
    if (pauseMs === 0) return;
    const problem =
      account.id + ': the login was refused before the restart; it is tried again later, or when the secret is changed';
    note({ ...nothing, trouble: { kind: 'login', problem, error: 'login' } }, NaN);
    status = { ...status, nextRoundAt: clock.now() + pauseMs };
    wake = new AbortController();
    if (requests.length === 0) await breaker.sleep(pauseMs, AbortSignal.any([signal, wake.signal]));
  }

  /** After a restart there may be a long wait before anything is known. */
  function sayRest(restMs: number): void {
    status = { ...status, nextRoundAt: clock.now() + restMs };
    if (status.lastRoundAt > 0 || status.problem !== notYet) return;
    const seconds = Math.ceil(restMs / 1_000);
    status = { ...status, problem: notYet + ', the provider allows the next login in ' + seconds + ' s' };
  }

  async function loop(signal: AbortSignal): Promise<void> {
    await resume(signal);
    while (!signal.aborted) {
      const asked = requests.splice(0);
      woken = false;
      if (asked.length > 0) {
        memory.refusedInRow = 0;
        backoff = undefined;
      }
      // Whatever woke us, the provider's minimum wins.
      const restMs = breaker.restMs();
      if (restMs > 0) {
        sayRest(restMs);
        await clock.sleep(restMs, signal);
      }
      if (signal.aborted) break;
      const startedAt = clock.monotonic();
      breaker.trying();
      const result = breaker.judge(await round(signal, asked.length > 0));
      if (!signal.aborted) {
        status = { ...status, lastRoundAt: clock.now() };
        note(result, (clock.monotonic() - startedAt) / 1_000);
      }
      for (const done of asked) done();
      let pauseMs = Math.max(pauseAfter(result), breaker.restMs());
      status = { ...status, nextRoundAt: status.paused ? 0 : clock.now() + pauseMs };
      wake = new AbortController();
      if (woken && isCalm(result))
        pauseMs = Math.min(pauseMs, Math.max(result.loginDelaySeconds * 1_000, breaker.restMs()));
      mayWake = isCalm(result) && !status.paused && result.loginDelaySeconds === 0;
      if (requests.length === 0) await breaker.sleep(pauseMs, AbortSignal.any([signal, wake.signal]));
    }
  }

  const current = (): AccountStatus => ({ ...status, wake: wakeText(deps.wakeState?.()) });

  async function fetchNow(): Promise<AccountStatus> {
    // Under the provider's minimum nothing can be fetched: the status as it is, and when the next round comes.
    if (!ended && breaker.restMs() === 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      requests.push(resolve);
      wake?.abort();
      await promise;
    }
    return current();
  }

  return {
    async run(signal) {
      try {
        await loop(signal);
      } finally {
        ended = true;
        breaker.end();
        for (const done of requests.splice(0)) done();
      }
    },
    fetchNow,
    confirm(answer) {
      if (answer === undefined) deps.ledger.accounts.confirmKeep(account.id, account.keep);
      else memory.answer = answer;
      return fetchNow();
    },
    wakeUp() {
      woken = true;
      if (mayWake && breaker.restMs() === 0) wake?.abort();
    },
    wakeChanged() {
      if (said !== undefined) say({});
    },
    status: current,
  };
}

function errorOf({ question, trouble, waiting }: RoundResult): AccountError {
  if (question !== '') return 'question';
  if (trouble !== undefined) return trouble.error ?? 'local';
  if (waiting === '') return 'none';
  return isDiskText(waiting) ? 'disk' : 'waiting';
}

function isCalm(result: RoundResult): boolean {
  return result.trouble === undefined && result.question === '';
}

function wakeText(state: { readonly up: boolean; readonly problem: string } | undefined): string {
  if (state === undefined) return '';
  return state.up ? 'ok' : state.problem;
}

/** What a round did not come to is left out. */
function measured({ times, mailbox }: RoundResult) {
  const seconds = (ms: number | undefined): number => (ms === undefined ? NaN : ms / 1_000);
  return {
    connect_seconds: seconds(times.connectMs),
    tls_seconds: seconds(times.tlsMs),
    login_seconds: seconds(times.loginMs),
    list_seconds: seconds(times.listMs),
    first_byte_seconds: seconds(times.firstByteMs),
    mailbox_mails: mailbox?.count ?? NaN,
    mailbox_bytes: mailbox?.sizeBytes ?? NaN,
  };
}

function waitsFor(kind: keyof typeof maxPauseMs, intervalMs: number, random: () => number): Backoff {
  return createBackoff({ firstMs: intervalMs, maxMs: Math.max(intervalMs, maxPauseMs[kind]), random, floor: 0.75 });
}

function pausedProblem(id: string, memory: Memory): string {
  const said = memory.lastRefusal.split('\n').at(-1) ?? '';
  return (
    id +
    ': paused, the local server refused ' +
    memory.refusedInRow +
    ' mails in a row ("' +
    said.slice(0, 80) +
    '"); mend it, then fetch or restart'
  );
}
