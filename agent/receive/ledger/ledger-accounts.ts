// What is known of an account as a whole: that its first run is behind it, and the keeping time that is in force.
import type { Database } from '#shared/sqlite.ts';
import { isShorter, readKeep, spellKeep } from '../retention.ts';
import type { Keep } from '../retention.ts';

export type FirstRun =
  | { readonly kind: 'all' | 'new-only' }
  /** Milliseconds since 1970. */
  | { readonly kind: 'since'; readonly at: number };
export type Begun = {
  readonly firstRun: FirstRun;
  /** Mails with a ledger id above this one came later. */
  readonly firstId: number;
};
export type Asks = 'old-state' | 'renumbered';
export type AccountRows = {
  /** Undefined: this account was never fetched. */
  readonly begun: (account: string) => Begun | undefined;
  readonly begin: (account: string, firstRun: FirstRun, firstId: number) => void;
  /**
   * The keeping time in force: the wanted one, unless it is shorter than the one before and mails are kept; a person must
   * confirm that (rule of safety 2). Written only when it changes.
   */
  readonly keepInForce: (account: string, wanted: Keep) => { readonly keep: Keep; readonly kept: number };
  readonly confirmKeep: (account: string, keep: Keep) => void;
  /** This state is an old one, or was copied: another life may have handed over what it does not know. */
  readonly askAll: () => void;
  /** Mails that are not wanted cannot be told from new ones any more. */
  readonly ask: (account: string) => void;
  /** Why a person must say what mails are that this state does not know; undefined when nobody must. */
  readonly asks: (account: string) => Asks | undefined;
  /** They are new; or those up to `firstId` are wanted from a day on. */
  readonly decided: (account: string, since?: { readonly at: number; readonly firstId: number }) => void;
  /** The keeping time in force, without asking for another. */
  readonly keepOf: (account: string) => Keep | undefined;
};

export function createAccountRows(db: Database): AccountRows {
  const select = db.prepare('SELECT first_run, since_at, first_id, keep FROM received_account WHERE account = ?');
  const insert = db.prepare(
    'INSERT INTO received_account (account, first_run, since_at, first_id) VALUES (?, ?, ?, ?)',
  );
  const setKeep = db.prepare('UPDATE received_account SET keep = ? WHERE account = ?');
  const askAll = db.prepare("UPDATE received_account SET asks = 'old-state' WHERE asks IS NULL");
  const ask = db.prepare("UPDATE received_account SET asks = coalesce(asks, 'renumbered') WHERE account = ?");
  const selectAsks = db.prepare('SELECT asks FROM received_account WHERE account = ?');
  const decided = db.prepare('UPDATE received_account SET asks = NULL WHERE account = ?');
  const beginAgain = db.prepare(
    "UPDATE received_account SET asks = NULL, first_run = 'since', since_at = ?, first_id = ? WHERE account = ?",
  );
  const keepOf = (account: string): Keep | undefined => {
    const text = select.get(account)?.['keep'];
    return typeof text === 'string' ? readKeep(text) : undefined;
  };
  const countKept = db.prepare(
    "SELECT count(*) AS n FROM received WHERE account = ? AND state IN ('handed-over', 'delete-pending')",
  );
  return {
    begun(account) {
      const row = select.get(account);
      if (row === undefined) return undefined;
      const { first_run: kind, since_at: at } = row;
      const firstId = Number(row['first_id']);
      if (kind === 'since' && typeof at === 'number') return { firstRun: { kind, at }, firstId };
      return { firstRun: { kind: kind === 'new-only' ? kind : 'all' }, firstId };
    },
    begin(account, firstRun, firstId) {
      insert.run(account, firstRun.kind, firstRun.kind === 'since' ? firstRun.at : null, firstId);
    },
    keepInForce(account, wanted) {
      const text = select.get(account)?.['keep'];
      const before = typeof text === 'string' ? readKeep(text) : undefined;
      if (before !== undefined && isShorter(wanted, before)) {
        const kept = Number(countKept.get(account)?.['n'] ?? 0);
        if (kept > 0) return { keep: before, kept };
      }
      if (text !== spellKeep(wanted)) setKeep.run(spellKeep(wanted), account);
      return { keep: wanted, kept: 0 };
    },
    confirmKeep: (account, keep) => void setKeep.run(spellKeep(keep), account),
    askAll: () => void askAll.run(),
    ask: (account) => void ask.run(account),
    asks(account) {
      const asks = selectAsks.get(account)?.['asks'];
      return asks === 'old-state' || asks === 'renumbered' ? asks : undefined;
    },
    decided(account, since) {
      if (since === undefined) decided.run(account);
      else beginAgain.run(since.at, since.firstId, account);
    },
    keepOf,
  };
}
