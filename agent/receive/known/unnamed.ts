// Mails without a usable UIDL: of a provider that has none at all, and single ones whose UIDL is empty or too long. Such a mail
// is known by its SHA-256 and its place among equal ones, so it must be read to be known.
// Promise: none is handed over twice, nor passed by; while the listing stays as it is, none is read again.
import { createHash } from 'node:crypto';
import type { Entry, Listed } from '../ledger/ledger.ts';
import { inWindows, readWhole } from './looking.ts';
import type { Pop3 } from '../pop3/pop3.ts';
import { contentUidl, isContentUidl } from '../ledger/reconcile.ts';
import type { Item, Run } from '../round-run.ts';

/** Which mails these were, under this listing, by number. */
export type Unnamed = { readonly key: string; readonly ids: ReadonlyMap<number, number> };

/** One item for each; those that were read under the same listing are known already. */
export function placeUnnamed(run: Run, unnamed: readonly Listed[], others: readonly Listed[]): readonly Item[] {
  const { ledger, account } = run.deps;
  if (unnamed.length === 0) return [];
  run.listingKey = keyOf([...others, ...unnamed]);
  const before = run.options.memory.unnamed;
  const ids = before?.key === run.listingKey ? before.ids : new Map<number, number>();
  const rows = new Map(ids.size === 0 ? [] : ledger.openEntries(account.id).map((entry) => [entry.id, entry]));
  return unnamed.map((listed) => {
    const entry = rows.get(ids.get(listed.number) ?? 0);
    const isKnown = entry !== undefined && entry.state !== 'gone' && isContentUidl(entry.uidl);
    if (isKnown) run.contents.set(entry.uidl, Math.max(run.contents.get(entry.uidl) ?? 0, entry.occurrence));
    return { listed, entry: isKnown ? entry : unread(listed.number), proven: false };
  });
}

/** Reads those that are not known yet, where a decision is due before anything is handed over. */
export async function nameUnnamed(run: Run, pop3: Pop3, items: readonly Item[]): Promise<void> {
  const open = items.filter(({ entry }) => entry.id < 0);
  const read = new Map<number, string>();
  await inWindows(open, async ({ listed }) => {
    const found = await readWhole(pop3, listed.number);
    if (found !== undefined) read.set(listed.number, found.sha256);
  });
  for (const item of open) {
    const sha256 = read.get(item.listed.number);
    if (sha256 !== undefined) nameByContent(run, item, sha256);
  }
}

/** The n-th mail with this content is the one that the ledger knows so; false when it is not its turn yet. */
export function nameByContent(run: Run, item: Item, sha256: string): boolean {
  const { deps, options } = run;
  const { memory } = options;
  const uidl = contentUidl(sha256);
  if (item.entry.id < 0) {
    const occurrence = (run.contents.get(uidl) ?? 0) + 1;
    run.contents.set(uidl, occurrence);
    memory.retries.delete(item.entry.id);
    item.entry = deps.ledger.byContent(deps.account.id, sha256, occurrence);
  } else if (item.entry.uidl !== uidl) {
    // Another mail at the same place of the same listing: all are read anew.
    memory.unnamed = undefined;
    run.more = true;
    return false;
  }
  const retry = memory.retries.get(item.entry.id);
  return options.impatient || retry === undefined || retry.dueAt <= deps.clock.monotonic();
}

/** At the end of the fetching: when all were read, what is known beyond them is gone. */
export function settleUnnamed(run: Run): void {
  const { memory } = run.options;
  const items = (run.items ?? []).filter(({ listed }) => listed.uidl === '');
  if (items.length === 0) return;
  const named = items.filter(({ entry }) => entry.id > 0);
  memory.unnamed = { key: run.listingKey, ids: new Map(named.map(({ listed, entry }) => [listed.number, entry.id])) };
  if (named.length < items.length) return;
  run.deps.ledger.onlyThese(run.deps.account.id, new Set(named.map(({ entry }) => entry.id)), run.today);
}

function keyOf(listing: readonly Listed[]): string {
  const hash = createHash('sha256');
  for (const { number, uidl, sizeBytes } of listing)
    hash.update(number + ' ' + sizeBytes + ' ' + uidl + '\r', 'latin1');
  return hash.digest('hex');
}

/** Stands for the row until the mail was read. */
function unread(number: number): Entry {
  return {
    id: -number,
    uidl: '',
    occurrence: 1,
    state: 'seen',
    recheck: false,
    listedBytes: undefined,
    sha256: undefined,
    fingerprint: undefined,
    absent: false,
    attempts: 0,
    settledDay: undefined,
  };
}
