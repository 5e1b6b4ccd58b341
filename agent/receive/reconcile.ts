// Which ledger row belongs to which listed mail. A UIDL is a claim of the provider: it may stand for several copies, and it
// may come back for another mail after the first was gone. Where the claim is in doubt, content decides, not the UIDL.
import type { Entry, Rows } from './ledger-rows.ts';

export type Listed = {
  readonly number: number;
  readonly uidl: string;
  /** As the provider's listing says; a hint. */
  readonly sizeBytes: number | undefined;
};

/** So many seen days a gone mail is remembered, to recognise it should its UIDL come back. */
const rememberDays = 30;

export function reconcile(
  rows: Rows,
  options: {
    readonly account: string;
    readonly listing: readonly Listed[];
    /** Nothing is missing in the listing. */
    readonly complete: boolean;
    readonly today: number;
  },
): readonly Entry[] {
  const { account, listing, complete, today } = options;
  // First, so that no row which is found below is gone in the end.
  if (complete) rows.prune(account, today - rememberDays);
  const known = new Map<string, readonly Entry[]>();
  for (const entry of rows.open(account)) {
    const group = known.get(entry.uidl);
    known.set(entry.uidl, group === undefined ? [entry] : [...group, entry]);
  }
  const counts = new Map<string, number>();
  for (const { uidl } of listing) counts.set(uidl, (counts.get(uidl) ?? 0) + 1);
  if (complete)
    for (const [uidl, group] of known) known.set(uidl, forgetAbsent(rows, group, counts.get(uidl) ?? 0, today));
  const occurrences = new Map<string, number>();
  return listing.map(({ uidl }) => {
    const occurrence = (occurrences.get(uidl) ?? 0) + 1;
    occurrences.set(uidl, occurrence);
    const found = known.get(uidl)?.find((candidate) => candidate.occurrence === occurrence);
    const entry = found ?? rows.at(account, uidl, occurrence);
    if (entry === undefined) return rows.insert(account, uidl, occurrence);
    // A mail that was gone is back: its UIDL may stand for another mail now.
    return entry.state === 'gone' ? rows.doubt(entry) : entry;
  });
}

/** `present` mails with this UIDL are listed; the rows beyond are of mails that are not there any more. */
function forgetAbsent(rows: Rows, group: readonly Entry[], present: number, today: number): readonly Entry[] {
  const surplus = group.filter((entry) => entry.occurrence > present && entry.state !== 'gone');
  if (surplus.length === 0) return group;
  for (const entry of surplus) leave(rows, entry, today);
  // One of several copies went, and nobody knows which: the content of those that stay must tell.
  return group.filter((entry) => entry.occurrence <= present).map((entry) => rows.doubt(entry));
}

/**
 * The place (UIDL, occurrence) of `entry` is in doubt and the mail there has this content. A known mail with this content
 * that is itself in doubt or gone is moved to the place; else the place gets a fresh row.
 */
export function identify(
  rows: Rows,
  options: { readonly account: string; readonly entry: Entry; readonly sha256: string; readonly today: number },
): Entry {
  const { account, entry, sha256, today } = options;
  const group = rows.group(account, entry.uidl);
  // Read again: an earlier mail of this session may have changed places.
  const here = group.find((candidate) => candidate.occurrence === entry.occurrence);
  const match = group.find(
    (candidate) => candidate.sha256 === sha256 && (candidate.recheck || candidate.state === 'gone'),
  );
  if (match !== undefined) {
    if (here !== undefined && here.id !== match.id) {
      swap(rows, here, match);
      // A gone mail's place is beyond the listing, and so is what was here now.
      if (match.state === 'gone') leave(rows, here, today);
    }
    return rows.restore(match.id);
  }
  if (here === undefined) return rows.insert(account, entry.uidl, entry.occurrence);
  if (here.sha256 === undefined) return rows.restore(here.id);
  // What was known here is another mail; it is remembered at a place beyond all listed ones.
  rows.move(here.id, Math.max(...group.map((candidate) => candidate.occurrence)) + 1);
  rows.setGone(here.id, today);
  return rows.insert(account, entry.uidl, entry.occurrence);
}

/** Not listed any more: remembered by its content, if that is known. */
function leave(rows: Rows, entry: Entry, today: number): void {
  if (entry.sha256 === undefined && entry.fingerprint === undefined) rows.remove(entry.id);
  // A DELE that was carried out although the answer to QUIT was lost.
  else if (entry.state === 'delete-pending') rows.setGone(entry.id, today);
  else rows.setAbsent(entry.id, today);
}

function swap(rows: Rows, a: Entry, b: Entry): void {
  rows.move(a.id, -a.id); // a place that nobody has
  rows.move(b.id, a.occurrence);
  rows.move(a.id, b.occurrence);
}

/**
 * The entry of a mail that only its content names (a provider without UIDL): the n-th with this content in the session. One
 * that was gone is another mail now, as its double was deleted.
 */
export function entryByContent(
  rows: Rows,
  options: { readonly account: string; readonly sha256: string; readonly occurrence: number },
): Entry {
  const { account, occurrence } = options;
  const uidl = contentUidl(options.sha256);
  const known = rows.group(account, uidl).find((entry) => entry.occurrence === occurrence);
  if (known !== undefined && known.state !== 'gone') return known;
  if (known !== undefined) rows.remove(known.id);
  return rows.insert(account, uidl, occurrence);
}

/** What stands for the UIDL of a mail that has none. */
export function contentUidl(sha256: string): string {
  return 'sha256:' + sha256;
}

/** Mails that were not among all that the provider has. */
export function forgetOthers(rows: Rows, account: string, present: ReadonlySet<number>, today: number): void {
  for (const entry of rows.all(account))
    if (entry.state !== 'gone' && !present.has(entry.id)) leave(rows, entry, today);
}

/** Known mails stand under other UIDLs now; `listed` are their new places. */
export function rename(
  rows: Rows,
  account: string,
  moves: readonly { readonly id: number; readonly listed: Listed }[],
): void {
  for (const { id, listed } of moves) {
    const taken = rows.group(account, listed.uidl).map(({ occurrence }) => occurrence);
    rows.rename(id, { uidl: listed.uidl, occurrence: Math.max(0, ...taken) + 1, bytes: listed.sizeBytes });
  }
}
