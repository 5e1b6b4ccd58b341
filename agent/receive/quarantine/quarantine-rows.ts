// What the ledger says about a mail in quarantine, and the two ends that a person can give it. No decisions.
// A mail is found by number, account and content: after a lost database the number alone may mean another mail.
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { LocalRecipient } from '../../local/local.ts';
import type { Held } from './quarantine.ts';

export type LedgerState = 'seen' | 'quarantined' | 'settled' | 'unknown';

export function createQuarantineRows(db: Database) {
  const select = db.prepare(
    'SELECT state, (SELECT count(*) FROM received_recipient WHERE mail = received.id AND verdict <> ?) AS open ' +
      'FROM received WHERE id = ? AND account = ? AND sha256 = ?',
  );
  const delivered = db.prepare(
    "SELECT address FROM received_recipient WHERE verdict = 'delivered' AND mail = " +
      '(SELECT id FROM received WHERE id = ? AND account = ? AND sha256 = ?)',
  );
  const note = db.prepare(
    'INSERT INTO received_recipient (mail, address, verdict, reply) SELECT id, ?, ?, ? FROM received ' +
      'WHERE id = ? AND account = ? AND sha256 = ? ' +
      'ON CONFLICT (mail, address) DO UPDATE SET verdict = excluded.verdict, reply = excluded.reply',
  );
  const forget = db.prepare(
    "DELETE FROM received_recipient WHERE verdict <> 'delivered' AND mail = " +
      '(SELECT id FROM received WHERE id = ? AND account = ? AND sha256 = ?)',
  );
  // A mail that is gone at the provider stays gone. The keeping time begins when the mail is delivered.
  const settle = db.prepare(
    "UPDATE received SET state = CASE state WHEN 'quarantined' THEN 'handed-over' ELSE state END, settled_day = ? " +
      'WHERE id = ? AND account = ? AND sha256 = ?',
  );
  const keyOf = (held: Held) => [held.mail, held.account, held.sha256] as const;

  return {
    /** settled: released or dropped, and only its files are left. unknown: the ledger has forgotten it. */
    state(held: Held): LedgerState {
      const row = select.get('delivered', ...keyOf(held));
      if (row === undefined) return 'unknown';
      if (row['state'] === 'seen' || row['state'] === 'quarantined') return row['state'];
      // Gone, but somebody did not get it: it was removed at the provider while it was here.
      return Number(row['open']) > 0 ? 'quarantined' : 'settled';
    },
    delivered: (held: Held): readonly string[] => delivered.all(...keyOf(held)).map((row) => String(row['address'])),
    note(held: Held, recipients: readonly LocalRecipient[]): void {
      transaction(db, () => {
        for (const { address, verdict, text } of recipients)
          note.run(address, verdict, text.slice(0, 1_000), ...keyOf(held));
      });
    },
    /** Everybody has it: retention decides from now on. */
    released(held: Held, recipients: readonly LocalRecipient[], today: number): void {
      transaction(db, () => {
        for (const { address, verdict, text } of recipients)
          note.run(address, verdict, text.slice(0, 1_000), ...keyOf(held));
        forget.run(...keyOf(held));
        settle.run(today, ...keyOf(held));
      });
    },
    /** Nobody else shall have it: retention decides from now on. */
    dropped(held: Held, today: number): void {
      transaction(db, () => {
        forget.run(...keyOf(held));
        settle.run(today, ...keyOf(held));
      });
    },
  };
}
