// What the alerts must remember: the state of each, and which notice still has to go out on which channel. Both change in
// one transaction, so a crash neither forgets a notice nor makes a second one.
import type { Database } from '#shared/sqlite.ts';
import { transaction } from '#shared/sqlite.ts';
import type { AlertState, Evaluation, Transition } from './evaluate.ts';

export const alertSchema = `
CREATE TABLE alert (key TEXT PRIMARY KEY, state TEXT NOT NULL) STRICT;
CREATE TABLE alert_notice (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  thread TEXT NOT NULL,
  transition TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
CREATE TABLE alert_delivery (
  notice INTEGER NOT NULL REFERENCES alert_notice (id) ON DELETE CASCADE,
  channel TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'sent', 'failed')),
  attempts INTEGER NOT NULL DEFAULT 0,
  at INTEGER NOT NULL,
  problem TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (notice, channel)
) STRICT;
CREATE INDEX alert_delivery_waiting ON alert_delivery (channel, notice) WHERE state = 'waiting'`;

/** How many notices the delivery log keeps. */
const maxNotices = 10_000;

export type Notice = {
  readonly id: number;
  /** The same for the raising and the resolving of one alert; by it a repeat is recognised. */
  readonly thread: string;
  readonly transition: Transition;
};
export type AlertStore = {
  readonly states: () => readonly AlertState[];
  readonly save: (evaluation: Evaluation, channels: readonly string[]) => void;
  /** What waits on a channel that is configured no more is given up: it would be told months later, when it comes back. */
  readonly retire: (channels: readonly string[], at: number) => void;
  /** The oldest notice that waits on the channel. */
  readonly next: (channel: string) => Notice | undefined;
  readonly tried: (
    notice: Notice,
    channel: string,
    result: { readonly state: 'waiting' | 'sent' | 'failed'; readonly at: number; readonly problem: string },
  ) => void;
};

export function createAlertStore(db: Database): AlertStore {
  const putState = db.prepare('INSERT INTO alert (key, state) VALUES (?, ?)');
  const addNotice = db.prepare('INSERT INTO alert_notice (thread, transition, at) VALUES (?, ?, ?)');
  const addDelivery = db.prepare("INSERT INTO alert_delivery (notice, channel, state, at) VALUES (?, ?, 'waiting', ?)");
  const trim = db.prepare('DELETE FROM alert_notice WHERE id <= ?');
  const nextWaiting = db.prepare(
    `SELECT alert_notice.id, thread, transition FROM alert_delivery JOIN alert_notice ON alert_notice.id = notice
     WHERE channel = ? AND state = 'waiting' ORDER BY notice LIMIT 1`,
  );
  const setDelivery = db.prepare(
    'UPDATE alert_delivery SET state = ?, attempts = attempts + 1, at = ?, problem = ? WHERE notice = ? AND channel = ?',
  );
  const giveUp = db.prepare(
    "UPDATE alert_delivery SET state = 'failed', at = ?, problem = 'the channel is configured no more' WHERE state = 'waiting' AND channel = ?",
  );
  let saved = '';
  return {
    // Written by save() below.
    states: () =>
      db
        .prepare('SELECT state FROM alert ORDER BY key')
        .all()
        .map((row) => JSON.parse(String(row['state'])) as AlertState),
    save({ states, transitions }, channels) {
      const text = JSON.stringify(states);
      if (text === saved && transitions.length === 0) return;
      transaction(db, () => {
        db.exec('DELETE FROM alert');
        for (const state of states) putState.run(state.key, JSON.stringify(state));
        for (const transition of transitions) {
          const { lastInsertRowid } = addNotice.run(threadOf(transition), JSON.stringify(transition), transition.at);
          for (const channel of channels) addDelivery.run(lastInsertRowid, channel, transition.at);
          trim.run(Number(lastInsertRowid) - maxNotices);
        }
      });
      saved = text;
    },
    retire(channels, at) {
      const waiting = db.prepare("SELECT DISTINCT channel FROM alert_delivery WHERE state = 'waiting'").all();
      for (const channel of waiting.map((row) => String(row['channel'])).filter((name) => !channels.includes(name)))
        giveUp.run(at, channel);
    },
    next(channel) {
      const row = nextWaiting.get(channel);
      if (row === undefined) return undefined;
      const transition = JSON.parse(String(row['transition'])) as Transition; // written by save()
      return { id: Number(row['id']), thread: String(row['thread']), transition };
    },
    tried: (notice, channel, { state, at, problem }) => void setDelivery.run(state, at, problem, notice.id, channel),
  };
}

function threadOf({ alert }: Transition): string {
  return alert.key + '@' + alert.since;
}
