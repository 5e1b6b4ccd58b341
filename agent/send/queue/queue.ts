// The index of the queue: which mail waits for which try, and what became of each recipient.
// Promise: every change is one transaction, and what is to be reported about it (`mail_accepted`, `mail_out`) is in the same
// one. When it is on disk is the business of who calls (`shared/durable-commit.ts`). Synchronous throughout: no two changes can
// mix.
import type { Clock } from '#shared/clock.ts';
import type { Journal } from '#shared/journal.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Envelope } from './envelope.ts';
import {
  expiredReport,
  heldReport,
  lostReport,
  maxReply,
  nextState,
  problemOf,
  reportOf,
  wants,
} from '../relay/outcome.ts';
import type { Outcome, OutcomeRules, Recipient } from '../relay/outcome.ts';
import { decodeWishes, encodeDsn, encodeReason, encodeWishes } from './queue-statements.ts';
import { prepareQueue, readHead, readRecipient } from './queue-statements.ts';
import { laneOf, lanes } from './queue-lanes.ts';
import type { Lane } from './queue-lanes.ts';
import { createQueuePoints } from './queue-points.ts';
import type { Seconds, TryAbout } from './queue-points.ts';
import { noRoute } from './queue-routes.ts';
import type { NoticeKind, Report, Warning } from '../notice/report.ts';
import type { Wishes } from './queue-statements.ts';
import type { QueueClock } from './queue-clock.ts';
import type { Place } from './spool.ts';

export type QueuedMail = Place & {
  readonly sender: string;
  /** Wall clock, for people. */
  readonly acceptedAt: number;
  /** Queue clock. */
  readonly acceptedMs: number;
  /** What the client asked for, beside delivery. */
  readonly wishes: Wishes;
  /** Those whose time for a try has come. */
  readonly recipients: readonly Recipient[];
};

/** `gone`: nothing is left to do, the file may go. `noticed`: a notice waits to be delivered. */
export type Recorded = { readonly gone: boolean; readonly noticed: boolean };

export type { Seconds };

/** `standIn`: the mail of another relay, of which what may have arrived is left to that one. */
export type Wanted = { readonly relay: string; readonly standIn: boolean };
/** `dueMs`: by the queue clock. */
export type Head = { readonly id: string; readonly dueMs: number; readonly lane: Lane };

export type QueueOptions = Pick<OutcomeRules, 'tells'> & {
  readonly db: Database;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly queueClock: QueueClock;
  /** Undefined: no relay sends for this sender. */
  readonly routeOf: (sender: string) => string | undefined;
  readonly paceOf: (relay: string) => Pick<OutcomeRules, 'retryWaitMs' | 'unknownRetryMs'>;
  /** Hears what each try made of a mail; must not throw. */
  readonly watch?:
    | { readonly tried: (id: string, outcomes: readonly Outcome[], relaySeconds: number) => void }
    | undefined;
};

export type Queue = {
  /** Inside a transaction of the caller. `held`: why nobody may send it yet; the envelope may say so too. */
  readonly add: (envelope: Envelope, place: Place, held?: string) => void;
  /** Inside a transaction of the caller: the file is gone, for good. */
  readonly forget: (id: string) => void;
  /** The first that is due in each lane, or will be, of those that are not among `claimed`. */
  readonly heads: (want: Wanted, claimed: ReadonlySet<string>) => readonly Head[];
  readonly load: (id: string) => QueuedMail | undefined;
  /** "About to send the final dot by this relay" becomes durable, with what `also` does. */
  readonly markDot: (id: string, recipients: readonly Recipient[], relay: string, also: () => void) => void;
  readonly record: (mail: QueuedMail, outcomes: readonly Outcome[], about: TryAbout) => Recorded;
  /** Mails of a relay older than `ageMs` that still wait. */
  readonly olderThan: (ageMs: number, relay: string) => readonly string[];
  /** The same of all relays, without those whose sender was told already. */
  readonly lateSince: (ageMs: number) => readonly string[];
  readonly expire: (id: string, reason: string) => Recorded;
  /** Inside a transaction of the caller: the sender is warned of what the relay is known to refuse. True when a notice waits now. */
  readonly warn: (mail: { readonly id: string; readonly sender: string }, warnings: readonly Warning[]) => boolean;
  /** Once per mail. True when a notice waits now. */
  readonly tellDelay: (id: string) => boolean;
  /** Tries that a dead process left at the dot become unknown. Gives how many recipients. */
  readonly settleInterrupted: () => number;
  /** The file is gone: recipients without an outcome are held and count as failed, and the sender is told. */
  readonly lose: (id: string) => Recorded;
  /** A person gives the mail up: done, whatever it waited for. Nobody is told. */
  readonly drop: (id: string) => void;
  readonly ids: () => ReadonlyMap<string, { readonly done: boolean }>;
  /** Marks the mail as done when no recipient and no notice of failure is open. */
  readonly finish: (id: string) => boolean;
};

const fileLost = 'Its spool file is missing';
export const heldByHand = 'Held by hand';

export function createQueue(options: QueueOptions): Queue {
  const { db, queueClock } = options;
  const statements = prepareQueue(db);
  const points = createQueuePoints(options);
  const rulesOf = (relay: string): OutcomeRules => ({ queueClock, tells: options.tells, ...options.paceOf(relay) });
  const atomic = <T>(work: () => T): T =>
    transaction(db, () => {
      queueClock.save();
      return work();
    });

  const wallNow = (): number => Math.round(options.clock.now());
  const wanted = (outcomes: readonly Outcome[], what: 'FAILURE' | 'SUCCESS'): readonly Outcome[] =>
    outcomes.filter((outcome) => wants(outcome.recipient, what) && !(what === 'SUCCESS' && outcome.passedDsn === true));

  function load(id: string): QueuedMail | undefined {
    const row = statements.mail.get(id);
    if (row === undefined) return undefined;
    return {
      id,
      sender: String(row['sender']),
      sizeBytes: Number(row['size_bytes']),
      offsetBytes: Number(row['offset_bytes']),
      acceptedAt: Number(row['accepted_at']),
      acceptedMs: Number(row['accepted_ms']),
      ...(row['eight_bit'] === null ? {} : { eightBit: row['eight_bit'] === 1 }),
      wishes: decodeWishes(row['wishes']),
      recipients: statements.waiting.all(id, queueClock.now()).map(readRecipient),
    };
  }

  function finish(id: string): boolean {
    if (Number(statements.open.get(id, id)?.['open']) > 0) return false;
    statements.done.run(id);
    statements.dropNotices.run(id);
    return true;
  }

  function recordOne(mail: QueuedMail, outcome: Outcome, relay: string): void {
    const next = nextState(rulesOf(relay), mail.sender, outcome);
    const { attempts, dueMs, state, unknowns } = next;
    const reply = outcome.reply.slice(0, maxReply);
    const { number, triedAt = 0 } = outcome.recipient;
    const tried = outcome.result === 'untouched' ? triedAt : wallNow();
    const reason = encodeReason(outcome.reason);
    // Once it may have arrived it stays where it may have; else it is its own relay's again, whoever stood in.
    const nextRelay = unknowns > 0 ? relayOf(outcome, relay) : (options.routeOf(mail.sender) ?? relay);
    statements.recipient.run(state, dueMs, attempts, unknowns, reply, tried, reason, nextRelay, mail.id, number);
  }

  function recordAll(mail: QueuedMail, outcomes: readonly Outcome[], about: TryAbout): Recorded {
    for (const outcome of outcomes) recordOne(mail, outcome, about.relay);
    options.watch?.tried(mail.id, outcomes, about.seconds?.relay ?? 0);
    const failed = outcomes.filter((outcome) => outcome.result === 'refused');
    const unclear = outcomes.filter((outcome) => outcome.result === 'unknown' && outcome.recipient.unknowns > 0);
    const sent = outcomes.filter((outcome) => outcome.result === 'sent');
    points.out(mail, sent.length, 'sent', about);
    points.out(mail, failed.length, 'failed', about);
    points.tried(mail, outcomes, about);
    const last = outcomes.findLast((outcome) => outcome.result !== 'sent' && outcome.result !== 'untouched');
    if (last !== undefined)
      statements.problem.run(problemOf(rulesOf(about.relay), mail.sender, last).slice(0, maxReply), mail.id);
    const notices = [
      addNotice(
        'failed',
        mail,
        wanted(failed, 'FAILURE').map((outcome) => reportOf(outcome, 'failed', wallNow())),
      ),
      addNotice(
        'delayed',
        mail,
        wanted(unclear, 'FAILURE').map((outcome) => heldReport(outcome, wallNow())),
      ),
      // A relay that was not given the client's wish will say nothing: that it took the mail is all that can be told.
      addNotice(
        'relayed',
        mail,
        wanted(sent, 'SUCCESS').map((outcome) => reportOf(outcome, 'relayed', wallNow())),
      ),
    ];
    return { gone: finish(mail.id), noticed: notices.includes(true) };
  }

  /** What still waits is held and counts as failed; without a sender nobody will ever ask for it, and it is over. */
  function giveUp(id: string, reason: string, report: (recipient: Recipient) => Report): Recorded {
    const mail = load(id);
    if (mail === undefined) return { gone: false, noticed: false };
    const waiting = statements.anyWaiting.all(id).map(readRecipient);
    (mail.sender === '' ? statements.fail : statements.hold).run(id);
    statements.problem.run(reason, id);
    points.out(mail, waiting.length, 'failed', { relay: waiting[0]?.relay ?? '' });
    const told = waiting.filter((recipient) => wants(recipient, 'FAILURE'));
    const noticed = addNotice('failed', mail, told.map(report));
    return { gone: mail.sender === '' && finish(id), noticed };
  }

  return {
    add(envelope, place, held = envelope.held) {
      queueClock.save();
      const { id, from, user, recipients, acceptedAt } = envelope;
      const relay = options.routeOf(from);
      const why = held ?? (relay === undefined ? noRoute : undefined);
      const now = queueClock.now();
      const wishes = encodeWishes(envelope);
      const eightBit = place.eightBit === undefined ? null : Number(place.eightBit);
      statements.addMail.run(
        id,
        from,
        user,
        place.sizeBytes,
        place.offsetBytes,
        acceptedAt,
        now,
        why ?? '',
        wishes,
        eightBit,
      );
      const state = why === undefined ? 'queued' : 'held';
      const lane = laneOf({ sender: from, sizeBytes: place.sizeBytes, user });
      for (const [number, address] of recipients.entries())
        statements.addRecipient.run(
          id,
          number,
          address,
          state,
          now,
          encodeDsn(envelope.recipientDsn?.[number]),
          relay ?? '',
          lane,
        );
      points.accepted({ user, sizeBytes: place.sizeBytes });
    },
    forget: (id) => void statements.forget.run(id),
    heads({ relay, standIn }, claimed) {
      const statement = standIn ? statements.headsElsewhere : statements.heads;
      const asked = [relay, JSON.stringify([...claimed])];
      return statement.all(...Object.keys(lanes).flatMap(() => asked)).map(readHead);
    },
    load,
    markDot: (id, recipients, relay, also) =>
      atomic(() => {
        for (const recipient of recipients) statements.dot.run(relay, id, recipient.number);
        also();
      }),
    record: (mail, outcomes, about) => atomic(() => recordAll(mail, outcomes, about)),
    olderThan: (ageMs, relay) => statements.old.all(queueClock.now() - ageMs, relay).map((row) => String(row['id'])),
    lateSince: (ageMs) => statements.late.all(queueClock.now() - ageMs).map((row) => String(row['id'])),
    expire: (id, reason) => atomic(() => giveUp(id, reason, (recipient) => expiredReport(recipient, reason))),
    warn: (mail, warnings) => addNotice('warned', mail, warnings),
    tellDelay: (id) =>
      atomic(() => {
        const mail = load(id);
        statements.delayed.run(id);
        if (mail === undefined) return false;
        const waiting = statements.anyWaiting.all(id).map(readRecipient);
        const told = waiting.filter((recipient) => wants(recipient, 'DELAY'));
        const delayed = (recipient: Recipient): Report => ({
          ...expiredReport(recipient, 'No try succeeded yet'),
          action: 'delayed',
        });
        return addNotice('delayed', mail, told.map(delayed));
      }),
    settleInterrupted: () =>
      atomic(() => {
        const interrupted = statements.interrupted.all();
        const reply = 'The agent ended while it waited for the answer';
        for (const id of new Set(interrupted.map((row) => String(row['mail'])))) {
          const mail = load(id);
          const recipients = interrupted.filter((row) => row['mail'] === id).map(readRecipient);
          if (mail === undefined) continue;
          recordAll(
            mail,
            recipients.map((recipient) => ({ recipient, result: 'unknown', reply })),
            { relay: recipients[0]?.relay ?? '' },
          );
        }
        return interrupted.length;
      }),
    lose: (id) => atomic(() => giveUp(id, fileLost, (recipient) => lostReport(recipient, fileLost))),
    drop: (id) =>
      atomic(() => {
        const mail = load(id);
        if (mail === undefined) return;
        // What was given up before was counted then, and what may have been sent is no failure.
        const byHand = statements.mail.get(id)?.['problem'] === heldByHand;
        const failing = (byHand ? statements.anyOpen : statements.anyWaiting).all(id);
        points.out(mail, failing.length, 'failed', { relay: String(failing[0]?.['relay'] ?? '') });
        statements.fail.run(id);
        statements.done.run(id);
        statements.dropNotices.run(id);
      }),
    ids: () => new Map(statements.ids.all().map((row) => [String(row['id']), { done: Number(row['done']) === 1 }])),
    finish: (id) => atomic(() => finish(id)),
  };

  /** False when there is nothing to tell, or nobody who can be told. */
  function addNotice(
    kind: NoticeKind,
    mail: Pick<QueuedMail, 'id' | 'sender'>,
    report: readonly Report[] | readonly Warning[],
  ): boolean {
    if (report.length === 0 || !options.tells(mail.sender)) return false;
    statements.addNotice.run(mail.id, kind, JSON.stringify(report), Math.round(options.clock.now()), queueClock.now());
    return true;
  }
}

/** Where it may have arrived: at the relay of this try, or of the one before when this one told nothing new. */
function relayOf(outcome: Outcome, relay: string): string {
  return outcome.result === 'unknown' ? relay : outcome.recipient.relay;
}
