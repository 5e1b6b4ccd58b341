// Mails of an account and of a sender in an hour and a day. Promise: what counts is on disk in the same commit as the mail
// it counts, so no restart gives a new budget; simultaneous sessions cannot share the last free place.
import type { Clock } from '#shared/clock.ts';
import type { Database } from '#shared/sqlite.ts';
import { refuse } from './access.ts';
import type { Refusal } from './access.ts';
import type { Rights } from './rights.ts';

export type Reservation = {
  /** Inside the transaction that queues the mail. */
  readonly count: () => void;
  /** After it, or when there is no mail after all. */
  readonly release: () => void;
};
export type Quota = {
  /** At MAIL, so that nobody sends a mail for nothing. */
  readonly check: (rights: Rights, sender: string) => Refusal | undefined;
  /** At DATA: takes a place. */
  readonly reserve: (rights: Rights, sender: string) => Reservation | Refusal;
};

/** Five minutes: a limit of an hour is kept for 60 to 65 minutes. */
const slotMs = 300_000;
const slotsOfHour = 12;
const slotsOfDay = 288;

type Limit = { readonly who: string; readonly slots: number; readonly mails: number; readonly text: string };

/** Wall clock: an hour is one that people see, also while the agent does not run. A jump of the clock moves windows, no mail. */
export function createQuota(options: { readonly db: Database; readonly clock: Pick<Clock, 'now'> }): Quota {
  const { clock, db } = options;
  // A slot of the future, left by a clock that was ahead, counts until it is a day away.
  const sum = db.prepare('SELECT COALESCE(SUM(mails), 0) AS mails FROM submitted WHERE who = ? AND slot >= ?');
  const add = db.prepare(
    'INSERT INTO submitted (who, slot, mails) VALUES (?, ?, 1) ON CONFLICT (who, slot) DO UPDATE SET mails = mails + 1',
  );
  const prune = db.prepare('DELETE FROM submitted WHERE slot < ? OR slot > ?');
  const pending = new Map<string, number>();
  let prunedSlot = 0;
  const slotNow = (): number => Math.floor(clock.now() / slotMs);

  function check(rights: Rights, sender: string): Refusal | undefined {
    const limits = limitsOf(rights, sender);
    const full = limits.find(({ who, slots, mails }) => {
      const counted = Number(sum.get(who, slotNow() - slots)?.['mails'] ?? 0);
      return counted + (pending.get(who) ?? 0) >= mails;
    });
    if (full === undefined) return undefined;
    // For a while: a mail server keeps the mail and comes again, a person sees why.
    return refuse(450, '4.7.1 ' + full.text + '; try again later', 'rate');
  }

  function reserve(rights: Rights, sender: string): Reservation | Refusal {
    const names = [...new Set(limitsOf(rights, sender).map(({ who }) => who))];
    const refusal = check(rights, sender);
    if (refusal !== undefined) return refusal;
    for (const who of names) pending.set(who, (pending.get(who) ?? 0) + 1);
    return {
      count() {
        const slot = slotNow();
        if (names.length > 0 && slot !== prunedSlot) {
          prune.run(slot - slotsOfDay - 1, slot + slotsOfDay);
          prunedSlot = slot;
        }
        for (const who of names) add.run(who, slot);
      },
      release() {
        for (const who of names.splice(0)) {
          const left = (pending.get(who) ?? 0) - 1;
          if (left > 0) pending.set(who, left);
          else pending.delete(who);
        }
      },
    };
  }

  return { check, reserve };
}

/** Nobody is counted who has no limit. */
function limitsOf(rights: Rights, sender: string): readonly Limit[] {
  const { mailsPerHour, mailsPerDay, senderMailsPerHour, senderMailsPerDay } = rights.limits;
  const user = 'user ' + rights.user;
  const from = 'sender ' + sender.toLowerCase();
  const limit = (who: string, slots: number, mails: number | undefined, text: string): readonly Limit[] =>
    mails === undefined ? [] : [{ who, slots, mails, text: 'This ' + text + ' may send ' + mails + ' mails' }];
  const hour = slotsOfHour;
  const day = slotsOfDay;
  return [
    ...limit(user, hour, mailsPerHour, 'user').map((one) => ({ ...one, text: one.text + ' an hour' })),
    ...limit(user, day, mailsPerDay, 'user').map((one) => ({ ...one, text: one.text + ' a day' })),
    ...limit(from, hour, senderMailsPerHour, 'sender').map((one) => ({ ...one, text: one.text + ' an hour' })),
    ...limit(from, day, senderMailsPerDay, 'sender').map((one) => ({ ...one, text: one.text + ' a day' })),
  ];
}
