// Mail goes out: listener -> spool -> runner -> relay, and notices to senders. Starts the parts of this room in the order
// in which they need each other, and stops them in bounded time.
import { describe } from '#shared/failure.ts';
import { createBounce } from './notice/bounce.ts';
import type { RefusalReason } from './submission/access.ts';
import type { Accepted, Submission } from './submission/accept.ts';
import { createAccounts } from './submission/accounts.ts';
import { createListener } from './submission/listener.ts';
import type { Listener, ListenerStatus } from './submission/listener.ts';
import { tendOldMail } from './notice/old-mail.ts';
import { createParts, createSendRunner } from './parts.ts';
import type { Parts, SendOptions } from './parts.ts';
import type { QueuedMail } from './queue/queue.ts';
import { rerouteQueue, rerouteReleased } from './queue/queue-routes.ts';
import type { RelaySetup, RelayState } from './relay/relays.ts';
import type { QueueEntry, QueueSummary, QueueView } from './queue/queue-view.ts';
import { createQueueDesk } from './queue/queue-desk.ts';
import type { QueueDesk } from './queue/queue-desk.ts';
import { recover } from './queue/recover.ts';
import type { Runner } from './relay/runner.ts';
import { transaction } from '#shared/sqlite.ts';

export type { QueueDesk, QueueEntry, QueueSummary, RelaySetup, RelayState, SendOptions };

export type Send = {
  /** Recovers, listens, sends. Throws UserError when it cannot listen as configured. */
  readonly start: () => Promise<void>;
  /** Idempotent; takes at most about three seconds. What is cut off is in the queue and known as such. */
  readonly stop: () => Promise<void>;
  readonly submission: () => ListenerStatus;
  /** What was refused at submission since the last call. */
  readonly refused: () => readonly { readonly reason: RefusalReason; readonly count: number }[];
  readonly queue: QueueView;
  /** Undefined until it runs. */
  readonly desk: () => QueueDesk | undefined;
  readonly relays: () => readonly RelayState[];
  /** A mail of the agent's own into the queue, as from a client; undefined when it does not run. */
  readonly submit: (submission: Submission, chunks: AsyncIterable<Uint8Array>) => Promise<Accepted> | undefined;
};

const housekeepingMs = 30_000;
/** Mails on their way in or out may come to their end so long after stop(). */
const graceMs = 1_500;

type Running = {
  readonly parts: Parts;
  readonly listener: Listener;
  tasks: readonly Promise<void>[];
  desk?: QueueDesk;
};

export function createSend(options: SendOptions): Send {
  const { log, submission } = options;
  const stopping = new AbortController();
  const aborting = new AbortController();
  let running: Running | undefined;
  let stopped: Promise<void> | undefined;

  const refusals = new Map<RefusalReason, number>();
  const onRefused = (reason: RefusalReason): void => void refusals.set(reason, (refusals.get(reason) ?? 0) + 1);

  async function start(): Promise<void> {
    const parts = createParts(options);
    const { accept, queue, quota, relays, spool } = parts;
    const accounts = createAccounts(options);
    const { decidesLater } = parts.guards.loops;
    const { freeBytes } = spool;
    const listener = createListener({ ...options, accounts, accept, quota, decidesLater, freeBytes, onRefused });
    running = { parts, listener, tasks: [] };
    const { done, ...recovered } = await recover({ db: options.db, queue, spool, log });
    for (const id of done) parts.onGone(id);
    const { db } = options;
    rerouteQueue({ db, relays: relays.all.map((relay) => relay.id), routeOf: relays.routeOf, log });
    await listener.start();
    const runner = createSendRunner(options, parts);
    running.desk = createSendDesk(parts, runner);
    running.tasks = startTasks(parts, runner);
    log.info({ ...listener.status(), ...recovered }, 'submission is open');
  }

  function createSendDesk(parts: Parts, runner: Runner): QueueDesk {
    const { onGone, queue, queueClock, relays, spool, work } = parts;
    const onDue = (): void => {
      relays.retry();
      work.ring();
    };
    const routes = { db: options.db, relays: relays.all.map((relay) => relay.id), routeOf: relays.routeOf };
    const reroute = (mail: QueuedMail, numbers: readonly number[]): string | undefined =>
      rerouteReleased({ ...routes, mail, numbers });
    return createQueueDesk({
      reroute,
      db: options.db,
      queue,
      queueClock,
      spool,
      busy: runner.busy,
      onDue,
      onGone,
      log,
    });
  }

  function startTasks(parts: Parts, runner: Runner): readonly Promise<void>[] {
    const { bounce } = createSendBounce(parts);
    const tasks = [
      runner.run(stopping.signal, aborting.signal),
      keepHouse(parts, runner),
      bounce(stopping.signal, aborting.signal),
      parts.guards.operator.run(stopping.signal, aborting.signal),
    ];
    for (const task of tasks) {
      // A broken invariant ends the process, the state on disk is safe by design; while stopping it is only told.
      task.catch((error: unknown) => {
        if (!stopping.signal.aborted) throw error;
        log.error({ error: describe(error) }, 'a part of sending ended with an error');
      });
    }
    return tasks;
  }

  function createSendBounce(parts: Parts) {
    const { local } = options;
    if (local === undefined) return { bounce: () => Promise.resolve() };
    const { notices: bell, onGone, queue, queueClock, spool, relays, hostname } = parts;
    const [first] = relays.all;
    if (first === undefined) return { bounce: () => Promise.resolve() };
    const { db, clock, isLocal, operator, random, traceId } = options;
    // The local server is on this machine or next to it: ten minutes are the longest pause.
    const pace = { firstMs: first.pace.firstMs, maxMs: Math.min(first.pace.maxMs, 600_000) };
    const relayHost = first.setup.endpoint.host;
    const expireMs = (relay: string): number => (relays.find(relay) ?? first).setup.config.expireHours * 3_600_000;
    const own = { db, clock, random, log, local, bell, onGone, queue, queueClock, spool, pace, hostname, relayHost };
    return { bounce: createBounce({ ...own, isLocal, operator, traceId, expireMs }).run };
  }

  /** Saves the queue's clock, gives up what is too old, tells senders that their mail is late. */
  async function keepHouse(parts: Parts, runner: Runner): Promise<void> {
    const { queue } = parts;
    const { busy } = runner;
    const relays = parts.relays.all.map(({ id, setup }) => ({ id, expireHours: setup.config.expireHours }));
    while (!stopping.signal.aborted) {
      try {
        if (parts.queueClock.counts()) transaction(options.db, () => parts.queueClock.save());
        await tendOldMail({ db: options.db, queue, busy, relays, log, signal: stopping.signal });
        parts.notices.ring();
        parts.guards.report();
      } catch (error) {
        log.error({ error: describe(error) }, 'housekeeping of the queue failed, it is done again later');
      }
      await options.clock.sleep(housekeepingMs, stopping.signal);
    }
  }

  async function stop(): Promise<void> {
    stopping.abort();
    if (running === undefined) return;
    const late = setTimeout(() => aborting.abort(), graceMs);
    await Promise.allSettled([running.listener.stop(graceMs), ...running.tasks]);
    clearTimeout(late);
    saveClock(running.parts);
    await running.parts.close();
  }

  /** While nothing waits it is saved here alone. */
  function saveClock({ queueClock }: Parts): void {
    try {
      transaction(options.db, () => queueClock.save());
    } catch (error) {
      log.warn({ error: describe(error) }, "the queue's clock cannot be saved: it goes on from its last saving");
    }
  }

  const nothing: QueueSummary = { depth: 0, oldestSeconds: 0, held: 0, unknown: 0 };
  return {
    start,
    stop: () => (stopped ??= stop()),
    submission: () => running?.listener.status() ?? { host: submission.host, port: submission.port, problem: '' },
    refused() {
      const taken = [...refusals].map(([reason, count]) => ({ reason, count }));
      refusals.clear();
      return taken;
    },
    queue: {
      list: () => running?.parts.view.list() ?? [],
      show: (id) => running?.parts.view.show(id),
      summary: () => running?.parts.view.summary() ?? nothing,
      states: () => running?.parts.view.states() ?? [],
    },
    desk: () => running?.desk,
    relays: () => running?.parts.relays.states() ?? [],
    submit: (submission, chunks) => running?.parts.accept(submission, chunks),
  };
}
