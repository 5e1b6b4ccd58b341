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
import type { Head, Wanted } from '../queue/queue.ts';
import type { RelayHealth, Trouble } from './relay-health.ts';

/** A conversation and how often it was used. */
export type Session = { readonly conversation: Conversation; mails: number; usedAt: number };
/** A mail that is due, claimed by nobody. `relay`: whose mail it is; another one's when this relay stands in. */
export type Job = { readonly id: string; readonly relay: string; readonly standIn: boolean; readonly lane: Lane };
type Waiting = Job & { readonly dueMs: number };
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
    readonly heads: (want: Wanted, claimed: ReadonlySet<string>) => readonly Head[];
  };
  readonly queueClock: { readonly now: () => number };
  /** Mails with a session, of all relays. */
  readonly claimed: Set<string>;
  /** Whose mail goes by this relay now; its own always. */
  readonly sources: () => readonly Wanted[];
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

function earliest(waiting: readonly Waiting[], now: number): Waiting | undefined {
  let found: Waiting | undefined;
  for (const one of waiting) if (one.dueMs <= now && (found === undefined || one.dueMs < found.dueMs)) found = one;
  return found;
}

export function createRelayLine(options: LineOptions): RelayLine {
  const { budget, claimed, clock, health, log, queue, use } = options;
  const running = new Set<Promise<void>>();
  const idle: ((job: Job) => void)[] = [];
  let failure: { readonly error: unknown } | undefined;
  let carried = 0;
  let bigs = 0;
  let surplusUntil = 0;
  let fewer = { sessions: options.sessions, until: 0 };
  let triedAt = -Infinity;

  const most = (): number => (clock.monotonic() < fewer.until ? fewer.sessions : options.sessions);

  /** The first of each lane, that nobody has, of all whose mail goes by this relay. */
  const look = (): readonly Waiting[] =>
    options.sources().flatMap((source) => queue.heads(source, claimed).map((head) => ({ ...source, ...head })));

  function choose(waiting: readonly Waiting[]): Job | undefined {
    if (budget.room(false) < 1) return undefined;
    const now = options.queueClock.now();
    const first = (lane: Lane): Waiting | undefined =>
      earliest(
        waiting.filter((one) => one.lane === lane),
        now,
      );
    const small = first(lanes.ordinary);
    const big = bigs < Math.max(1, most() - 1) ? first(lanes.big) : undefined;
    if (small !== undefined && big !== undefined) return big.dueMs < small.dueMs ? big : small;
    return small ?? big ?? (budget.room(true) < 1 ? undefined : first(lanes.low));
  }

  function take(waiting = look()): Job | undefined {
    if (health.waitMs() > 0 || (!health.proven() && carried > 0)) return undefined;
    const job = choose(waiting);
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
    /** Handed over while the session rested. */
    let next: Job | undefined;
    try {
      while (!stop.aborted) {
        if (session !== undefined && isUsedUp(session)) session = await leave(session, abort);
        if (session === undefined) {
          if (next !== undefined) give(next);
          next = undefined;
          if (!mustOpen && (health.waitMs() > 0 || choose(look()) === undefined)) return;
          mustOpen = false;
          session = await enter(stop);
          if (session === undefined) return;
        }
        const job = next ?? take();
        next = undefined;
        if (job === undefined) {
          next = await rest(session, stop);
          if (next === undefined) return;
          continue;
        }
        options.ring();
        session = await carry(job, session, abort);
      }
    } finally {
      if (next !== undefined) give(next);
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

  /** Until there is something to do. Undefined when the session has rested for long enough. */
  async function rest(session: Session, stop: AbortSignal): Promise<Job | undefined> {
    const leftMs = session.usedAt + idleMs - clock.monotonic();
    if (leftMs <= 0 || stop.aborted) return undefined;
    const awake = new AbortController();
    let given: Job | undefined;
    const end = (): void => awake.abort('called'); // without a reason an error would be made for each
    const call = (job: Job): void => {
      given = job;
      end();
    };
    idle.push(call);
    stop.addEventListener('abort', end, { once: true });
    await clock.sleep(leftMs, awake.signal);
    stop.removeEventListener('abort', end);
    if (idle.includes(call)) idle.splice(idle.indexOf(call), 1);
    return given;
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
      const waiting = look();
      // Of the first one; Infinity when none waits for a time.
      const dueMs = Math.max(0, Math.min(...waiting.map((one) => one.dueMs)) - options.queueClock.now());
      if (dueMs === Infinity) return stepIdle(stop, abort);
      if (health.kind() === 'login' && health.waitMs() > 0 && options.secretChanged()) health.renewed();
      const pauseMs = health.waitMs();
      if (pauseMs > 0) return health.kind() === 'login' ? Math.min(pauseMs, lookForSecretMs) : pauseMs;
      if (dueMs > 0) return dueMs;
      if (choose(waiting) === undefined) return budget.waitMs(false) || budget.waitMs(true) || Infinity;
      const call = idle.at(-1);
      if (call !== undefined) {
        const job = take(waiting);
        if (job === undefined) return Infinity;
        idle.pop();
        call(job);
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
