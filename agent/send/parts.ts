// The parts of this room and how they are joined. No I/O but reading the queue's clock from the index.
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Journal } from '#shared/journal.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { SecretSource } from '../accounts/secret.ts';
import type { SendLimits } from '../accounts/presets.ts';
import type { RelayConfig, SubmissionConfig } from '../config.ts';
import type { Local } from '../local/local.ts';
import type { Endpoint } from '../net/socket.ts';
import { openConversation } from '../smtp/conversation.ts';
import { createAccept } from './accept.ts';
import { createBell } from './bell.ts';
import type { Bell } from './bell.ts';
import { createGroupCommit } from './group-commit.ts';
import { createQueue } from './queue.ts';
import type { Queue } from './queue.ts';
import { openQueueClock } from './queue-clock.ts';
import type { QueueClock } from './queue-clock.ts';
import { createQueueView } from './queue-view.ts';
import type { QueueView } from './queue-view.ts';
import { createRelayHealth } from './relay-health.ts';
import type { RelayHealth } from './relay-health.ts';
import { createRunner } from './runner.ts';
import type { Runner } from './runner.ts';
import { retryWaitMs } from './schedule.ts';
import type { RetryPace } from './schedule.ts';
import { createSpool } from './spool.ts';
import type { Spool } from './spool.ts';

/** One of the provider's relays, with all that its sessions need. */
export type RelaySetup = {
  readonly config: RelayConfig;
  readonly endpoint: Endpoint;
  readonly secret: SecretSource;
  /** What the provider allows. */
  readonly limits: SendLimits;
  /** File and option, for the log. */
  readonly origin: string;
};

export type SendOptions = {
  readonly submission: SubmissionConfig;
  /** User name to password. */
  readonly passwords: ReadonlyMap<string, string>;
  /** PEM texts for STARTTLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** At least one. */
  readonly relays: readonly RelaySetup[];
  readonly db: Database;
  readonly journal: Journal;
  /** Absent: nobody can be told of a failure, failed mail is held. */
  readonly local: Local | undefined;
  readonly isLocal: (address: string) => boolean;
  /** A local mailbox that is told what no sender can be told. */
  readonly operator?: string | undefined;
  readonly meter: Meter;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly reached: Reached;
  readonly traceId: string;
  /** This machine, for Received, Message-ID and notices. */
  readonly hostname: string;
  /** The spool. */
  readonly folder: string;
};

export type Parts = {
  readonly spool: Spool;
  readonly queue: Queue;
  readonly queueClock: QueueClock;
  readonly accept: ReturnType<typeof createAccept>;
  readonly health: RelayHealth;
  readonly view: QueueView;
  /** Rung when mail may have become due. */
  readonly work: Bell;
  /** Rung when a notice waits. */
  readonly notices: Bell;
  /** The outcome is recorded: the file goes, and the row after it. */
  readonly onGone: (id: string) => void;
  readonly retryPace: RetryPace;
  /** As part of addresses and headers. */
  readonly hostname: string;
  readonly close: () => Promise<void>;
};

export function createParts(options: SendOptions): Parts {
  const { clock, db, isLocal, local, log, random, reached } = options;
  const setup = firstRelay(options);
  const relay = setup.config;
  const hostname = options.hostname.replaceAll(/[^A-Za-z0-9.-]/g, '-') || 'localhost';
  const retryPace = { firstMs: relay.retryFirstSeconds * 1_000, maxMs: relay.retryMaxSeconds * 1_000 };
  const spool = createSpool({ folder: options.folder, reached });
  const queueClock = openQueueClock({ db, clock });
  const queue = createQueue({
    db,
    clock,
    queueClock,
    journal: options.journal,
    relayId: relay.id,
    retryWaitMs: (attempts) => retryWaitMs(retryPace, attempts, random),
    unknownRetryMs: relay.unknownRetrySeconds * 1_000,
    tells: (sender) => sender !== '' && local !== undefined && (isLocal(sender) || options.operator !== undefined),
  });
  const work = createBell(clock);
  const health = createRelayHealth({
    id: relay.id,
    origin: setup.origin,
    clock,
    random,
    log,
    onChange: work.ring,
    // A relay is probed every minute at least; a login at most four times an hour, or the provider locks the account.
    linePace: { firstMs: Math.min(retryPace.firstMs, 5_000), maxMs: Math.min(retryPace.maxMs, 60_000) },
    loginPace: { firstMs: Math.min(retryPace.firstMs, 60_000), maxMs: Math.min(retryPace.maxMs, 900_000) },
  });
  const group = createGroupCommit({
    syncFolder: spool.syncFolder,
    commit: (all) => transaction(db, all),
    onLazyFailure: (error) => log.error({ error: describe(error) }, 'rows of sent mails stay until the next start'),
  });
  const { onGone, settled } = createRemoval({ spool, log, forget: (id) => group.joinLater(() => queue.forget(id)) });
  const accept = createAccept({
    spool,
    queue,
    group,
    clock,
    reached,
    hostname,
    log,
    traceId: options.traceId,
    maxSizeBytes: options.submission.maxSizeBytes,
    onAccepted: work.ring,
  });
  const view = createQueueView({ db, queueClock, relayProblem: () => health.status().problem });
  return {
    spool,
    queue,
    queueClock,
    accept,
    health,
    view,
    work,
    onGone,
    retryPace,
    hostname,
    notices: createBell(clock),
    async close() {
      await settled();
      await group.flush();
      await spool.close();
    },
  };
}

export function createSendRunner(options: SendOptions, parts: Parts): Runner {
  const { clock, log, reached } = options;
  const { config: relay, endpoint, secret } = firstRelay(options);
  const { health, hostname, notices, onGone, queue, queueClock, spool, work } = parts;
  return createRunner({
    queue,
    queueClock,
    spool,
    health,
    clock,
    log,
    reached,
    onGone,
    sessions: relay.sessions,
    open: async (signal) => {
      const { user, auth, name = hostname } = relay;
      const login = { user, auth, ...(await secret.read(signal)) };
      return openConversation({ endpoint, protocol: 'smtp', name, signal, clock, log, login });
    },
    bell: work,
    onNotice: notices.ring,
  });
}

export function firstRelay(options: Pick<SendOptions, 'relays'>): RelaySetup {
  const [first] = options.relays;
  if (first === undefined) throw new Error('Cannot send: no relay, expected at least one');
  return first;
}

/**
 * Removes the files of mails that are done. The row goes only after a folder fsync that follows the removal: a power cut
 * that brings the file back must find the row that says it was sent.
 */
function createRemoval(options: {
  readonly spool: Pick<Spool, 'remove'>;
  readonly forget: (id: string) => void;
  readonly log: Log;
}): { readonly onGone: (id: string) => void; readonly settled: () => Promise<void> } {
  const removals = new Set<Promise<void>>();
  async function remove(id: string): Promise<void> {
    try {
      await options.spool.remove(id);
      options.forget(id);
    } catch (error) {
      options.log.error({ mail: id, error: describe(error) }, 'the file of a sent mail stays until the next start');
    }
  }
  return {
    onGone(id) {
      const removal = remove(id);
      removals.add(removal);
      void removal.finally(() => removals.delete(removal));
    },
    settled: async () => void (await Promise.all(removals)),
  };
}
