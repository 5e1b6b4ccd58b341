// The index of the queue: which mail waits for which try, and what became of each recipient.
// Promise: every change is one durable transaction, and what is to be reported about it (`mail_accepted`, `mail_out`) is in
// the same one. Synchronous throughout: no two changes can mix.
import type { Clock } from '#shared/clock.ts';
import type { Journal } from '#shared/journal.ts';
import { createPoint } from '#shared/meter.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Envelope } from './envelope.ts';
import type { NoticeKind, Report } from './notice.ts';
import { expiredReport, heldReport, lostReport, maxReply, nextState, problemOf, reportOf } from './outcome.ts';
import type { Outcome, OutcomeRules, Recipient } from './outcome.ts';
import { decodeWishes, encodeDsn, encodeWishes, prepareQueue, readRecipient } from './queue-statements.ts';
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

export type QueueOptions = OutcomeRules & {
  readonly db: Database;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly queueClock: QueueClock;
  /** Tag of `mail_out`. */
  readonly relayId: string;
};

export type Queue = {
  /** Inside a transaction of the caller. `held`: why nobody may send it yet; the envelope may say so too. */
  readonly add: (envelope: Envelope, place: Place, held?: string) => void;
  /** Inside a transaction of the caller: the file is gone, for good. */
  readonly forget: (id: string) => void;
  /** Ids of mails whose time has come, the longest due first. */
  readonly due: (limit: number) => readonly string[];
  /** Queue clock; undefined when nothing waits for a time. */
  readonly nextDueMs: () => number | undefined;
  readonly load: (id: string) => QueuedMail | undefined;
  /** "About to send the final dot" becomes durable. */
  readonly markDot: (mail: QueuedMail) => void;
  readonly record: (mail: QueuedMail, outcomes: readonly Outcome[], relaySeconds: number) => Recorded;
  /** Mails older than `ageMs` that still wait; `late`: only those whose sender was not told yet. */
  readonly olderThan: (ageMs: number, late: boolean) => readonly string[];
  readonly expire: (id: string, reason: string) => Recorded;
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
  const atomic = <T>(work: () => T): T =>
    transaction(db, () => {
      queueClock.save();
      return work();
    });

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

  function recordOne(mail: QueuedMail, outcome: Outcome): void {
    const next = nextState(options, mail.sender, outcome);
    const { attempts, dueMs, state, unknowns } = next;
    const reply = outcome.reply.slice(0, maxReply);
    statements.recipient.run(state, dueMs, attempts, unknowns, reply, mail.id, outcome.recipient.number);
  }

  function recordAll(mail: QueuedMail, outcomes: readonly Outcome[], relaySeconds: number): Recorded {
    for (const outcome of outcomes) recordOne(mail, outcome);
    const failed = outcomes.filter((outcome) => outcome.result === 'refused');
    const unclear = outcomes.filter((outcome) => outcome.result === 'unknown' && outcome.recipient.unknowns > 0);
    say(options, mail, outcomes.filter((outcome) => outcome.result === 'sent').length, 'sent', relaySeconds);
    say(options, mail, failed.length, 'failed', relaySeconds);
    const last = outcomes.findLast((outcome) => outcome.result !== 'sent' && outcome.result !== 'untouched');
    if (last !== undefined) statements.problem.run(problemOf(options, mail.sender, last).slice(0, maxReply), mail.id);
    const reports = failed.map((outcome) => reportOf(outcome, 'failed'));
    const noticed = addNotice('failed', mail, reports);
    const asked = addNotice('delayed', mail, unclear.map(heldReport));
    return { gone: finish(mail.id), noticed: noticed || asked };
  }

  /** What still waits is held and counts as failed. */
  function giveUp(id: string, reason: string, report: (recipient: Recipient) => Report): Recorded {
    const mail = load(id);
    if (mail === undefined) return { gone: false, noticed: false };
    const waiting = statements.anyWaiting.all(id).map(readRecipient);
    statements.hold.run(id);
    statements.problem.run(reason, id);
    say(options, mail, waiting.length, 'failed', 0);
    return { gone: false, noticed: addNotice('failed', mail, waiting.map(report)) };
  }

  return {
    add(envelope, place, held = envelope.held) {
      queueClock.save();
      const { id, from, user, recipients, acceptedAt } = envelope;
      const now = queueClock.now();
      const wishes = encodeWishes(envelope);
      statements.addMail.run(id, from, user, place.sizeBytes, place.offsetBytes, acceptedAt, now, held ?? '', wishes);
      const state = held === undefined ? 'queued' : 'held';
      for (const [number, address] of recipients.entries())
        statements.addRecipient.run(id, number, address, state, now, encodeDsn(envelope.recipientDsn?.[number]));
      const fields = { count: 1, size_bytes: place.sizeBytes };
      options.journal.add(createPoint('mail_accepted', options.clock.now(), { user }, fields));
    },
    forget: (id) => void statements.forget.run(id),
    due: (limit) => statements.due.all(queueClock.now(), limit).map((row) => String(row['mail'])),
    nextDueMs() {
      const dueMs = statements.nextDue.get()?.['due_ms'];
      return dueMs === undefined || dueMs === null ? undefined : Number(dueMs);
    },
    load,
    markDot: (mail) =>
      atomic(() => {
        for (const recipient of mail.recipients) statements.dot.run(mail.id, recipient.number);
      }),
    record: (mail, outcomes, relaySeconds) => atomic(() => recordAll(mail, outcomes, relaySeconds)),
    olderThan: (ageMs, late) =>
      (late ? statements.late : statements.old).all(queueClock.now() - ageMs).map((row) => String(row['id'])),
    expire: (id, reason) => atomic(() => giveUp(id, reason, (recipient) => expiredReport(recipient, reason))),
    tellDelay: (id) =>
      atomic(() => {
        const mail = load(id);
        statements.delayed.run(id);
        if (mail === undefined) return false;
        const waiting = statements.anyWaiting.all(id).map(readRecipient);
        const delayed = (recipient: Recipient): Report => ({
          ...expiredReport(recipient, 'No try succeeded yet'),
          action: 'delayed',
        });
        return addNotice('delayed', mail, waiting.map(delayed));
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
            0,
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
        say(options, mail, failing.length, 'failed', 0);
        statements.fail.run(id);
        statements.done.run(id);
        statements.dropNotices.run(id);
      }),
    ids: () => new Map(statements.ids.all().map((row) => [String(row['id']), { done: Number(row['done']) === 1 }])),
    finish: (id) => atomic(() => finish(id)),
  };

  /** False when there is nothing to tell, or nobody who can be told. */
  function addNotice(kind: NoticeKind, mail: QueuedMail, report: readonly Report[]): boolean {
    if (report.length === 0 || !options.tells(mail.sender)) return false;
    statements.addNotice.run(mail.id, kind, JSON.stringify(report), Math.round(options.clock.now()), queueClock.now());
    return true;
  }
}

function say(
  options: QueueOptions,
  mail: QueuedMail,
  recipients: number,
  outcome: 'sent' | 'failed',
  relaySeconds: number,
): void {
  if (recipients === 0) return;
  const queueSeconds = Math.max(0, options.queueClock.now() - mail.acceptedMs) / 1_000;
  const fields = {
    count: 1,
    recipients,
    size_bytes: mail.sizeBytes,
    queue_seconds: queueSeconds,
    relay_seconds: relaySeconds,
  };
  options.journal.add(createPoint('mail_out', options.clock.now(), { relay: options.relayId, outcome }, fields));
}
