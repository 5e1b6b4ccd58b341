// The sessions of one relay. Promises: nothing runs, waits or is connected while no mail is for it; a session is opened
// before a mail is taken for it, used for many mails and ended by QUIT; a big mail leaves a session to small ones; while the
// relay is not known to work, one session tries.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Conversation } from '../../smtp/conversation.ts';
import type { Judgement } from '../../smtp/verdict.ts';
import type { Budget } from './budget.ts';
import { readLimits } from './gate.ts';
import { lanes } from '../queue/queue-lanes.ts';
import type { Lane } from '../queue/queue-lanes.ts';
import type { Due, Wanted } from '../queue/queue.ts';
import type { RelayHealth, Trouble } from './relay-health.ts';

/** A conversation and how often it was used. */
export type Session = { readonly conversation: Conversation; mails: number; usedAt: number };
/** A mail that is due, claimed by nobody. `relay`: whose mail it is; another one's when this relay stands in. */
export type Job = { readonly id: string; readonly relay: string; readonly standIn: boolean; readonly lane: Lane };
/** `session`: what the relay wants to be done about this one, or about how many there are. */
export type Delivered = {
  readonly usable: boolean;
  readonly session: Judgement['session'];
  /** False when nothing of the mail was for this relay now. */
  readonly tried: boolean;
};

export type LineOptions = {
  readonly id: string;
  readonly sessions: number;
  readonly mailsPerSession: number;
  readonly health: RelayHealth;
  readonly budget: Budget;
  readonly queue: {
    readonly due: (want: Wanted, limit: number) => readonly Due[];
    readonly nextDueMs: (want: Omit<Wanted, 'lane'>) => number | undefined;
  };
  readonly queueClock: { readonly now: () => number };
  /** Mails with a session, of all relays. */
  readonly claimed: Set<string>;
  /** Whose mail goes by this relay now; its own always. */
  readonly sources: () => readonly Omit<Wanted, 'lane'>[];
  /** Another secret than the refused one is there. Asked every few seconds while logins are refused. */
  readonly secretChanged: () => boolean;
  /** One more session to the relay, logged in. */
  readonly open: (signal: AbortSignal) => Promise<Conversation>;
  readonly troubleOf: (error: unknown) => Trouble;
  readonly deliver: (job: Job, session: Session, signal: AbortSignal) => Promise<Delivered>;
  /** Something changed for any of the relays. */
  readonly ring: () => void;
  /** How many are open, for whoever wants to know. */
  readonly use: { sessions: number };
  readonly clock: Clock;
  readonly log: Log;
};
export type RelayLine = {
  /** Starts what can be started. Gives the time after which to ask again; Infinity: when something changed. */
  readonly step: (stop: AbortSignal, abort: AbortSignal) => number;
  /** All sessions are over. */
  readonly settled: () => Promise<void>;
};

/** An idle session is closed by us before servers do it (RFC 5321 asks them for five minutes, many take less). */
const idleMs = 20_000;
/** Pause of an additional session that the relay does not let in while another one works. */
const surplusPauseMs = 30_000;
/** For so long a relay that wants fewer sessions has fewer. */
const fewerMs = 600_000;
/** A relay that is down is tried so often although no mail is for it, or nobody would learn that it works again. */
const probeMs = 300_000;
const lookForSecretMs = 5_000;
const nothingMs = 1_000;

export function createRelayLine(options: LineOptions): RelayLine {
  const { budget, claimed, clock, health, log, queue, use } = options;
  const running = new Set<Promise<void>>();
  const idle: (() => void)[] = [];
  let failure: { readonly error: unknown } | undefined;
  let carried = 0;
  let bigs = 0;
  let surplusUntil = 0;
  let fewer = { sessions: options.sessions, until: 0 };
  let triedAt = -Infinity;

  const most = (): number => (clock.monotonic() < fewer.until ? fewer.sessions : options.sessions);

  /** The mail that is longest due in a lane. */
  function findIn(lane: Lane): (Job & Due) | undefined {
    let found: (Job & Due) | undefined;
    for (const source of options.sources()) {
      const due = firstFree({ ...source, lane });
      if (due !== undefined && (found === undefined || due.dueMs < found.dueMs)) found = { ...source, ...due, lane };
    }
    return found;
  }

  /** Those that sessions have are among the first: few, but they may have thousands of recipients. */
  function firstFree(want: Wanted): Due | undefined {
    for (let limit = claimed.size + 1; ; limit *= 8) {
      const rows = queue.due(want, limit);
      const free = rows.find((row) => !claimed.has(row.id));
      if (free !== undefined || rows.length < limit) return free;
    }
  }

  function find(): Job | undefined {
    if (budget.room(false) < 1) return undefined;
    const small = findIn(lanes.ordinary);
    const big = bigs < Math.max(1, most() - 1) ? findIn(lanes.big) : undefined;
    if (small !== undefined && big !== undefined) return big.dueMs < small.dueMs ? big : small;
    return small ?? big ?? (budget.room(true) < 1 ? undefined : findIn(lanes.low));
  }

  function take(): Job | undefined {
    if (health.waitMs() > 0 || (!health.proven() && carried > 0)) return undefined;
    const job = find();
    if (job === undefined) return undefined;
    claimed.add(job.id);
    carried += 1;
    if (job.lane === lanes.big) bigs += 1;
    return job;
  }

  function give(job: Job): void {
    claimed.delete(job.id);
    carried -= 1;
    if (job.lane === lanes.big) bigs -= 1;
    options.ring();
  }

  async function work(probing: boolean, stop: AbortSignal, abort: AbortSignal): Promise<void> {
    let session: Session | undefined;
    let mustOpen = probing;
    try {
      while (!stop.aborted) {
        if (session !== undefined && isUsedUp(session)) session = await leave(session, abort);
        if (session === undefined) {
          if (!mustOpen && (health.waitMs() > 0 || find() === undefined)) return;
          mustOpen = false;
          session = await enter(stop);
          if (session === undefined) return;
        }
        const job = take();
        if (job === undefined) {
          if (!(await rest(session, stop))) return;
          continue;
        }
        options.ring();
        session = await carry(job, session, abort);
      }
    } finally {
      if (session !== undefined) await leave(session, abort);
    }
  }

  /** Undefined when the session cannot be used again. */
  async function carry(job: Job, session: Session, abort: AbortSignal): Promise<Session | undefined> {
    try {
      const done = await options.deliver(job, session, abort);
      // What was found due and is not to be sent after all must not be found again at once.
      if (done.tried) session.usedAt = clock.monotonic();
      else await clock.sleep(nothingMs, abort);
      if (done.session === 'fewer') {
        fewer = { sessions: Math.max(1, use.sessions - 1), until: clock.monotonic() + fewerMs };
        log.info({ relay: options.id, sessions: fewer.sessions }, 'the relay wants fewer sessions');
      }
      return done.usable && done.session === 'keep' ? session : await leave(session, abort);
    } finally {
      give(job);
    }
  }

  function isUsedUp({ conversation, mails }: Session): boolean {
    const limit = Math.min(options.mailsPerSession, readLimits(conversation.capabilities).mails);
    return mails >= limit || !conversation.usable();
  }

  /** Undefined when the relay lets none in; its health knows then. */
  async function enter(stop: AbortSignal): Promise<Session | undefined> {
    triedAt = clock.monotonic();
    try {
      const conversation = await options.open(stop);
      use.sessions += 1;
      health.reached();
      return { conversation, mails: 0, usedAt: clock.monotonic() };
    } catch (error) {
      if (stop.aborted) return undefined;
      // One session works: the relay limits their number, and is not down.
      if (use.sessions > 0) {
        surplusUntil = clock.monotonic() + surplusPauseMs;
        log.info({ relay: options.id, problem: describe(error) }, 'the relay lets no further session in');
      } else health.failed(options.troubleOf(error));
      return undefined;
    }
  }

  async function leave(session: Session, abort: AbortSignal): Promise<undefined> {
    use.sessions -= 1;
    const { close, quit } = session.conversation;
    abort.addEventListener('abort', close, { once: true });
    if (abort.aborted) close();
    await quit();
    abort.removeEventListener('abort', close);
    return undefined;
  }

  /** Until there may be something to do. False when the session has rested for long enough. */
  async function rest(session: Session, stop: AbortSignal): Promise<boolean> {
    const leftMs = session.usedAt + idleMs - clock.monotonic();
    if (leftMs <= 0 || stop.aborted) return false;
    const awake = new AbortController();
    let called = false;
    const end = (): void => awake.abort('called'); // without a reason an error would be made for each
    const call = (): void => {
      called = true;
      end();
    };
    idle.push(call);
    stop.addEventListener('abort', end, { once: true });
    await clock.sleep(leftMs, awake.signal);
    stop.removeEventListener('abort', end);
    if (idle.includes(call)) idle.splice(idle.indexOf(call), 1);
    return called;
  }

  function start(probing: boolean, stop: AbortSignal, abort: AbortSignal): void {
    const run = work(probing, stop, abort)
      .catch((error: unknown) => {
        failure ??= { error };
      })
      .finally(() => {
        running.delete(run);
        options.ring();
      });
    running.add(run);
  }

  /** Until the first mail is due, 0 when one is; Infinity when none waits for a time. */
  function untilDueMs(): number {
    const dues = options.sources().map((source) => queue.nextDueMs(source) ?? Infinity);
    return Math.max(0, Math.min(...dues) - options.queueClock.now());
  }

  /** Nothing waits: the only thing to find out is whether a relay that failed works again. */
  function stepIdle(stop: AbortSignal, abort: AbortSignal): number {
    if (health.kind() === undefined || running.size > 0) return Infinity;
    const leftMs = Math.max(health.waitMs(), triedAt + probeMs - clock.monotonic());
    if (leftMs > 0) return leftMs;
    start(true, stop, abort);
    return Infinity;
  }

  return {
    step(stop, abort) {
      if (failure !== undefined) throw failure.error;
      if (stop.aborted) return Infinity;
      // All are at work: who is done looks for the next mail itself.
      if (idle.length === 0 && running.size >= most()) return Infinity;
      const dueMs = untilDueMs();
      if (dueMs === Infinity) return stepIdle(stop, abort);
      if (health.kind() === 'login' && health.waitMs() > 0 && options.secretChanged()) health.renewed();
      const pauseMs = health.waitMs();
      if (pauseMs > 0) return health.kind() === 'login' ? Math.min(pauseMs, lookForSecretMs) : pauseMs;
      if (dueMs > 0) return dueMs;
      if (find() === undefined) return budget.waitMs(false) || budget.waitMs(true) || Infinity;
      const call = idle.pop();
      if (call !== undefined) {
        call();
        return Infinity;
      }
      if (running.size >= most() || (running.size > 0 && !health.proven())) return Infinity;
      const surplusMs = running.size > 0 ? surplusUntil - clock.monotonic() : 0;
      if (surplusMs > 0) return surplusMs;
      start(false, stop, abort);
      return Infinity;
    },
    async settled() {
      await Promise.all(running);
      if (failure !== undefined) throw failure.error;
    },
  };
}
