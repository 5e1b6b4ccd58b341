// What may still be sent by one relay: mails and recipients in any hour and any 24 hours. Promises: counted before the dot, in
// the same transaction that says so; kept over restarts; counted in the queue's clock, which no jump of the wall clock moves.
import type { Database } from '#shared/sqlite.ts';
import type { SendLimits } from '../../accounts/presets.ts';

export type Budget = {
  /** Recipients that the next mail may have; 0: none may be sent now. `low`: leaves a tenth to the mail of people. */
  readonly room: (low: boolean) => number;
  /** Until there is room; 0 when there is. */
  readonly waitMs: (low: boolean) => number;
  /** So that simultaneous sessions do not spend the same room. Gives it back, or lets go of what is booked by now. */
  readonly reserve: (recipients: number) => () => void;
  /** Inside a transaction of the caller. */
  readonly book: (recipients: number) => void;
  /** What is left of the window that is nearest to its end; undefined when there is no limit. */
  readonly left: () => BudgetLeft | undefined;
};
export type BudgetLeft = { readonly mails?: number; readonly recipients?: number };

type Window = { readonly ms: number; readonly mails: number; readonly recipients: number };
type Slot = { readonly slot: number; mails: number; recipients: number };

/** Use is kept by the minute: a window counts up to a minute more than it should, never less. */
const slotMs = 60_000;
const dayMs = 86_400_000;

export function openBudget(options: {
  readonly db: Database;
  readonly queueClock: { readonly now: () => number };
  readonly relay: string;
  readonly limits: SendLimits;
}): Budget {
  const { db, limits, queueClock, relay } = options;
  const windows = windowsOf(limits);
  if (windows.length === 0) return unlimited;
  const longestMs = Math.max(...windows.map((window) => window.ms));
  const firstSlot = (ms: number): number => Math.floor((queueClock.now() - ms) / slotMs);
  const slots: Slot[] = db
    .prepare('SELECT slot, mails, recipients FROM budget_use WHERE relay = ? AND slot >= ? ORDER BY slot')
    .all(relay, firstSlot(longestMs))
    .map((row) => ({
      slot: Number(row['slot']),
      mails: Number(row['mails']),
      recipients: Number(row['recipients']),
    }));
  const write = db.prepare(
    'INSERT INTO budget_use (relay, slot, mails, recipients) VALUES (?, ?, 1, ?) ' +
      'ON CONFLICT (relay, slot) DO UPDATE SET mails = mails + 1, recipients = recipients + excluded.recipients',
  );
  const prune = db.prepare('DELETE FROM budget_use WHERE relay = ? AND slot < ?');
  const pending = { mails: 0, recipients: 0 };

  const usedIn = (window: Window): readonly Slot[] => {
    const first = firstSlot(window.ms);
    return slots.filter((one) => one.slot >= first);
  };
  const leftIn = (window: Window, what: 'mails' | 'recipients'): number =>
    usedIn(window).reduce((left, one) => left - one[what], window[what] - pending[what]);

  /** Until so much of the window has passed that less than `limit` of it is used. */
  function waitIn(window: Window, what: 'mails' | 'recipients', low: boolean): number {
    let free = leftIn(window, what) - reserveOf(window[what], low);
    if (free >= 1) return 0;
    for (const one of usedIn(window)) {
      free += one[what];
      if (free >= 1) return Math.max(1_000, (one.slot + 1) * slotMs + window.ms - queueClock.now());
    }
    return 1_000; // all is with sessions now, which book it or give it back
  }

  return {
    room(low) {
      const rooms = windows.map((window) => {
        const mails = leftIn(window, 'mails') - reserveOf(window.mails, low);
        return mails < 1 ? 0 : leftIn(window, 'recipients') - reserveOf(window.recipients, low);
      });
      return Math.max(0, Math.min(...rooms));
    },
    waitMs: (low) =>
      Math.max(...windows.flatMap((window) => [waitIn(window, 'mails', low), waitIn(window, 'recipients', low)])),
    reserve(recipients) {
      let held = true;
      pending.mails += 1;
      pending.recipients += recipients;
      return () => {
        if (!held) return;
        held = false;
        pending.mails -= 1;
        pending.recipients -= recipients;
      };
    },
    book(recipients) {
      const slot = Math.floor(queueClock.now() / slotMs);
      write.run(relay, slot, recipients);
      const last = slots.at(-1);
      if (last?.slot === slot) {
        last.mails += 1;
        last.recipients += recipients;
        return;
      }
      slots.push({ slot, mails: 1, recipients });
      const first = firstSlot(longestMs);
      prune.run(relay, first);
      while ((slots[0]?.slot ?? first) < first) slots.shift();
    },
    left() {
      const least = (what: 'mails' | 'recipients'): number | undefined => {
        const all = windows.filter((window) => window[what] !== Infinity).map((window) => leftIn(window, what));
        return all.length === 0 ? undefined : Math.max(0, Math.min(...all));
      };
      const [mails, recipients] = [least('mails'), least('recipients')];
      return { ...(mails === undefined ? {} : { mails }), ...(recipients === undefined ? {} : { recipients }) };
    },
  };
}

function windowsOf(limits: SendLimits): readonly Window[] {
  const { messagesPerDay, messagesPerHour, recipientsPerDay, recipientsPerHour } = limits;
  const all: readonly Window[] = [
    { ms: 3_600_000, mails: messagesPerHour ?? Infinity, recipients: recipientsPerHour ?? Infinity },
    { ms: dayMs, mails: messagesPerDay ?? Infinity, recipients: recipientsPerDay ?? Infinity },
  ];
  return all.filter((window) => window.mails !== Infinity || window.recipients !== Infinity);
}

/** What mail of lowest priority leaves to people. */
function reserveOf(limit: number, low: boolean): number {
  return low && limit !== Infinity ? Math.floor(limit / 10) : 0;
}

const unlimited: Budget = {
  room: () => Infinity,
  waitMs: () => 0,
  reserve: () => () => {},
  book: () => {},
  left: () => undefined,
};
