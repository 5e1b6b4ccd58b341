// What a person may do to a mail of the queue. Promise: nothing is done to a mail while a session has it; what may have
// arrived already stays told as such, in the answer and in the queue; what is removed is on disk as removed first.
import { UserError, codeOf } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Recipient, RecipientState } from '../relay/outcome.ts';
import { heldByHand } from './queue.ts';
import type { Queue, QueuedMail } from './queue.ts';
import type { QueueClock } from './queue-clock.ts';
import { readRecipient } from './queue-statements.ts';
import { decodeReports } from '../notice/report.ts';
import type { Spool } from './spool.ts';

/** `mayHaveArrived`: those of the recipients at whom an earlier try ended without an answer. */
export type QueueChange = {
  readonly id: string;
  readonly recipients: readonly string[];
  readonly mayHaveArrived: readonly string[];
};

/** Each throws UserError when it cannot be done. */
export type QueueDesk = {
  /** What waits for a try is not tried any more until it is released. */
  readonly hold: (id: string) => QueueChange;
  /** What is held is tried again, with a new time to expire. */
  readonly release: (id: string) => Promise<QueueChange>;
  /** What waits for a try is tried now; also what may have arrived, for somebody asked for this very mail. */
  readonly retry: (id: string) => QueueChange;
  /** The mail is given up, its sender is not told. */
  readonly drop: (id: string) => QueueChange;
  /** All mails that wait for a try are tried now, but for those that may have arrived: they keep their late retry. */
  readonly flush: () => { readonly mails: number };
};

export type QueueDeskOptions = {
  readonly db: Database;
  readonly queue: Pick<Queue, 'drop' | 'load'>;
  readonly queueClock: QueueClock;
  readonly spool: Pick<Spool, 'head'>;
  /** Of what is released; gives why it cannot go, undefined when it can. */
  readonly reroute: (mail: QueuedMail, numbers: readonly number[]) => string | undefined;
  /** A session has the mail now. */
  readonly busy: (id: string) => boolean;
  /** Something is due, and the relay need not rest any longer. */
  readonly onDue: () => void;
  readonly onGone: (id: string) => void;
  readonly log: Log;
};

const waiting: readonly RecipientState[] = ['queued', 'unknown'];

export function createQueueDesk(options: QueueDeskOptions): QueueDesk {
  const { db, log, queueClock } = options;
  const recipients = db.prepare('SELECT * FROM recipient WHERE mail = ? ORDER BY number');
  const isDone = db.prepare('SELECT done FROM mail WHERE id = ?');
  const setState = db.prepare('UPDATE recipient SET state = ?, due_ms = ? WHERE mail = ? AND number = ?');
  const setProblem = db.prepare('UPDATE mail SET problem = ? WHERE id = ?');
  // It counts as accepted anew: else a mail that expired would expire again before its next try.
  const restart = db.prepare("UPDATE mail SET accepted_ms = ?, delayed = 0, problem = '' WHERE id = ?");
  const notices = db.prepare("SELECT id, report FROM notice WHERE mail = ? AND kind <> 'warned'");
  const removeNotice = db.prepare('DELETE FROM notice WHERE id = ?');
  const changeNotice = db.prepare('UPDATE notice SET report = ? WHERE id = ?');
  const dueNow = db.prepare("UPDATE recipient SET due_ms = ? WHERE state = 'queued' AND due_ms > ?");
  const countQueued = db.prepare("SELECT COUNT(DISTINCT mail) AS mails FROM recipient WHERE state = 'queued'");

  const atomic = <T>(work: () => T): T =>
    transaction(db, () => {
      queueClock.save();
      return work();
    });

  /** The mail and those of its recipients that the act is about; they may be none. */
  function find(act: string, id: string, states: readonly RecipientState[]) {
    const mail = options.queue.load(id);
    const fail = (state: string, expected: string): never => {
      throw new UserError('Cannot ' + act + ' mail ' + JSON.stringify(id) + ': ' + state + ', expected ' + expected);
    };
    if (mail === undefined || Number(isDone.get(id)?.['done']) === 1)
      return fail('it is not in the queue', 'an id of queue list');
    const all = recipients.all(id).map(readRecipient);
    return { mail, fail, chosen: all.filter((recipient) => states.includes(recipient.state)) };
  }

  function changed(act: string, id: string, chosen: readonly Recipient[]): QueueChange {
    log.info({ mail: id, act, recipients: chosen.length }, 'a person changed the queue');
    const addresses = (some: readonly Recipient[]): readonly string[] => some.map((recipient) => recipient.address);
    const unclear = chosen.filter((recipient) => recipient.unknowns > 0);
    return { id, recipients: addresses(chosen), mayHaveArrived: addresses(unclear) };
  }

  function hold(id: string): QueueChange {
    const { chosen, fail } = find('hold', id, waiting);
    if (options.busy(id)) fail('it is being sent now', 'one that waits; look again in a minute');
    if (chosen.length === 0) fail('nothing of it waits to be sent', 'one that waits');
    atomic(() => {
      for (const { number } of chosen) setState.run('held', 0, id, number);
      setProblem.run(heldByHand, id);
    });
    return changed('hold', id, chosen);
  }

  async function release(id: string): Promise<QueueChange> {
    const before = find('release', id, ['held']);
    if (!(await hasFile(before.mail)))
      before.fail('its spool file is missing', 'the file; all that can be done is queue drop');
    // Looked at once more: it may have changed meanwhile.
    const { chosen, fail } = find('release', id, ['held']);
    if (chosen.length === 0) fail('none of its recipients is held', 'a held mail');
    atomic(() => {
      const numbers = chosen.map((recipient) => recipient.number);
      const why = options.reroute(before.mail, numbers);
      if (why !== undefined) fail(why, 'a relay for its sender in the configuration');
      const now = queueClock.now();
      for (const { number, unknowns } of chosen) setState.run(unknowns > 0 ? 'unknown' : 'queued', now, id, number);
      restart.run(now, id);
      withdraw(id, new Set(chosen.map((recipient) => recipient.address)));
    });
    options.onDue();
    return changed('release', id, chosen);
  }

  async function hasFile(mail: QueuedMail): Promise<boolean> {
    try {
      await options.spool.head(mail, 1);
      return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Notices that were not delivered yet would say that these are not tried again. */
  function withdraw(mail: string, released: ReadonlySet<string>): void {
    for (const row of notices.all(mail)) {
      const id = Number(row['id']);
      const reports = decodeReports(String(row['report']));
      const left = reports.filter((report) => !released.has(report.address));
      if (left.length === 0) removeNotice.run(id);
      else if (left.length < reports.length) changeNotice.run(JSON.stringify(left), id);
    }
  }

  function retry(id: string): QueueChange {
    const { chosen, fail } = find('retry', id, waiting);
    if (chosen.length === 0) fail('nothing of it waits to be sent', 'one that waits; for a held one: queue release');
    atomic(() => {
      for (const { number, state } of chosen) setState.run(state, queueClock.now(), id, number);
    });
    options.onDue();
    return changed('retry', id, chosen);
  }

  function drop(id: string): QueueChange {
    const { chosen, fail } = find('drop', id, ['queued', 'unknown', 'held', 'sending']);
    if (options.busy(id)) fail('it is being sent now', 'one that is not; queue hold it first');
    options.queue.drop(id);
    options.onGone(id);
    return changed('drop', id, chosen);
  }

  function flush(): { readonly mails: number } {
    const mails = Number(countQueued.get()?.['mails'] ?? 0);
    const now = queueClock.now();
    atomic(() => dueNow.run(now, now));
    options.onDue();
    log.info({ act: 'flush', mails }, 'a person changed the queue');
    return { mails };
  }

  return { hold, release, retry, drop, flush };
}
