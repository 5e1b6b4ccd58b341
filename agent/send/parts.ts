// The parts of this room and how they are joined. No I/O but reading the queue's clock from the index.
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Journal } from '#shared/journal.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import type { Database } from '#shared/sqlite.ts';
import type { SubmissionConfig } from '../config.ts';
import type { Local } from '../local/local.ts';
import { createAccept } from './submission/accept.ts';
import { createBell } from './bell.ts';
import type { Bell } from './bell.ts';
import { createGroupCommit } from './queue/group-commit.ts';
import { createDurableCommit } from '#shared/durable-commit.ts';
import type { DurableCommit } from '#shared/durable-commit.ts';
import { createGuards } from './guards.ts';
import type { Guards } from './guards.ts';
import type { LocalLoginSetup } from './submission/local-login.ts';
import type { Tls } from './submission/own-certificate.ts';
import { createQueue } from './queue/queue.ts';
import type { Queue } from './queue/queue.ts';
import { openQueueClock } from './queue/queue-clock.ts';
import type { QueueClock } from './queue/queue-clock.ts';
import { createQuota } from './submission/quota.ts';
import type { Quota } from './submission/quota.ts';
import { createQueueView } from './queue/queue-view.ts';
import type { QueueView } from './queue/queue-view.ts';
import { troubleOfOpening } from './relay/attempt.ts';
import { createBandwidth } from './relay/bandwidth.ts';
import { createDelivery } from './relay/delivery.ts';
import type { Outcome } from './relay/outcome.ts';
import { createRelayLine } from './relay/relay-line.ts';
import type { RelayLine } from './relay/relay-line.ts';
import { openRelaySession } from './relay/relay-session.ts';
import { openRelays } from './relay/relays.ts';
import type { Relay, Relays, RelaySetup } from './relay/relays.ts';
import { createRunner } from './relay/runner.ts';
import type { Runner } from './relay/runner.ts';
import { createSpool } from './queue/spool.ts';
import type { Spool } from './queue/spool.ts';

export type SendOptions = {
  readonly submission: SubmissionConfig;
  /** User name to password. */
  readonly passwords: ReadonlyMap<string, string>;
  /** `users.json`. */
  readonly usersFile?: string;
  readonly localLogin?: LocalLoginSetup;
  readonly tls?: Tls;
  /** A newer key and certificate; undefined when they are the same. */
  readonly renewTls?: () => Promise<Tls | undefined>;
  /** At least one. */
  readonly relays: readonly RelaySetup[];
  readonly db: Database;
  readonly journal: Journal;
  /** Absent: nobody can be told of a failure, failed mail is held. */
  readonly local: Local | undefined;
  readonly isLocal: (address: string) => boolean;
  /** Mail of this envelope sender was handed to the local server lately. */
  readonly handedOver?: (sender: string) => boolean;
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
  /** Hears of each mail; must not throw, and returns at once. */
  readonly watch?: MailWatch;
};
export type MailWatch = {
  /** It is in the queue, with the header as it goes out. */
  readonly stored: (id: string, header: Uint8Array) => void;
  /** What a try made of it, for each recipient that was tried. */
  readonly tried: (id: string, outcomes: readonly Outcome[], relaySeconds: number) => void;
};

export type Parts = {
  readonly spool: Spool;
  readonly queue: Queue;
  readonly queueClock: QueueClock;
  readonly quota: Quota;
  readonly guards: Guards;
  readonly accept: ReturnType<typeof createAccept>;
  readonly relays: Relays;
  readonly view: QueueView;
  /** Rung when mail may have become due. */
  readonly work: Bell;
  /** Rung when a notice waits. */
  readonly notices: Bell;
  /** The outcome is recorded: the file goes, and the row after it. */
  readonly onGone: (id: string) => void;
  /** As part of addresses and headers. */
  readonly hostname: string;
  /** Changes of the index; resolves when they are on disk. */
  readonly durably: DurableCommit['run'];
  /** The same, but on disk only with what is asked for later. */
  readonly written: DurableCommit['write'];
  readonly close: () => Promise<void>;
};

export function createParts(options: SendOptions): Parts {
  const { clock, db, isLocal, local, log, random, reached } = options;
  const hostname = options.hostname.replaceAll(/[^A-Za-z0-9.-]/g, '-') || 'localhost';
  const spool = createSpool({ folder: options.folder, reached });
  const queueClock = openQueueClock({ db, clock });
  const work = createBell(clock);
  const notices = createBell(clock);
  const relays = openRelays({ setups: options.relays, db, queueClock, clock, random, log, onChange: work.ring });
  const queue = createQueue({
    db,
    clock,
    queueClock,
    journal: options.journal,
    routeOf: relays.routeOf,
    paceOf: relays.paceOf,
    watch: options.watch,
    tells: (sender) => sender !== '' && local !== undefined && (isLocal(sender) || options.operator !== undefined),
  });
  const index = createDurableCommit({ db });
  const group = createGroupCommit({
    syncFolder: spool.syncFolder,
    commit: index.write,
    onLazyFailure: (error) => log.error({ error: describe(error) }, 'rows of sent mails stay until the next start'),
  });
  const { onGone, settled } = createRemoval({
    spool,
    log,
    isRecorded: index.settled,
    forget: (id) => group.joinLater(() => queue.forget(id)),
  });
  const quota = createQuota({ db, clock });
  const guards = createGuards({ ...options, queue, queueClock, relays, hostname });
  const accept = createAccept({
    guards,
    spool,
    queue,
    group,
    quota,
    clock,
    reached,
    hostname,
    log,
    traceId: options.traceId,
    ...(options.watch && { onStored: options.watch.stored }),
    maxSizeBytes: options.submission.maxSizeBytes,
    onAccepted() {
      work.ring();
      notices.ring();
    },
  });
  const view = createQueueView({
    db,
    queueClock,
    relays: relays.all.map((relay) => relay.id),
    monotonic: clock.monotonic,
    problemOf: relays.problemOf,
  });
  return {
    spool,
    queue,
    queueClock,
    quota,
    guards,
    accept,
    relays,
    durably: index.run,
    written: index.write,
    view,
    work,
    onGone,
    hostname,
    notices,
    async close() {
      await index.flush();
      await settled();
      await group.flush();
      await index.flush();
      await index.close();
      await spool.close();
    },
  };
}

export function createSendRunner(options: SendOptions, parts: Parts): Runner {
  const claimed = new Set<string>();
  const lines = parts.relays.all.map((relay) => createLine(options, parts, relay, claimed));
  return createRunner({ lines, claimed, bell: parts.work });
}

/** Servers limit the mails of a session; so few that a limit is seldom met, so many that the login costs nothing. */
const mailsPerSession = 100;

function createLine(options: SendOptions, parts: Parts, relay: Relay, claimed: Set<string>): RelayLine {
  const { clock, log, reached } = options;
  const { hostname, notices, onGone, queue, queueClock, relays, spool, work } = parts;
  const { budget, health, id, setup, use } = relay;
  const { config, limits } = setup;
  const about = () => ({ preset: config.preset, now: clock.now(), host: setup.endpoint.host });
  const bandwidth = createBandwidth({ bytesPerSecond: config.maxBytesPerSecond, clock });
  const own = { budget, clock, health, log, queue };
  const onNotice = notices.ring;
  return createRelayLine({
    ...own,
    id,
    use,
    claimed,
    queueClock,
    sessions: config.sessions,
    mailsPerSession: limits.messagesPerConnection ?? mailsPerSession,
    sources: () => relays.sourcesOf(id),
    secretChanged: relay.secretChanged,
    open: (signal) => openRelaySession({ setup, hostname, clock, log, signal }),
    troubleOf: (error) => troubleOfOpening(error, about()),
    deliver: createDelivery({
      ...own,
      durably: parts.durably,
      written: parts.written,
      relay: id,
      about,
      limits,
      bandwidth,
      spool,
      reached,
      onGone,
      onNotice,
    }),
    ring: work.ring,
  });
}

/**
 * Removes the files of mails that are done, once that is on disk. The row goes only after a folder fsync that follows the
 * removal: a power cut that brings the file back must find the row that says it was sent.
 */
function createRemoval(options: {
  readonly isRecorded: () => Promise<void>;
  readonly spool: Pick<Spool, 'remove'>;
  readonly forget: (id: string) => void;
  readonly log: Log;
}): { readonly onGone: (id: string) => void; readonly settled: () => Promise<void> } {
  const removals = new Set<Promise<void>>();
  async function remove(id: string): Promise<void> {
    try {
      await options.isRecorded();
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
