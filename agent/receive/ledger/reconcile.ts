// Which ledger row belongs to which listed mail. A UIDL is a claim of the provider: it may stand for several copies, and it
// may come back for another mail after the first was gone. Where the claim is in doubt, content decides, not the UIDL.
import { compareFingerprints } from './fingerprint.ts';
import type { Content, Entry, Place, Rows } from './ledger-rows.ts';

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
    /** Mails without a usable UIDL are there too: what is known by its content may be one of them. */
    readonly unnamed?: boolean;
  },
): readonly Entry[] {
  const { account, listing, complete, today, unnamed = false } = options;
  // First, so that no row which is found below is gone in the end.
  if (complete) rows.prune(account, today - rememberDays);
  const known = new Map<string, readonly Entry[]>();
  for (const entry of rows.open(account)) {
    if (unnamed && isContentUidl(entry.uidl)) continue;
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
 * Which mail stands at the place of `entry`, now that its content is known. A mail that is known with this content, and whose
 * own place is in doubt or not listed any more, is moved here; else the place gets a fresh row. UIDLs that changed their
 * meaning lead mails to any place of the account, so all of it is searched.
 */
export function identify(
  rows: Rows,
  options: { readonly account: string; readonly entry: Entry; readonly content: Content; readonly today: number },
): Entry {
  const { account, entry, content, today } = options;
  // Read again: an earlier mail of this session may have changed places.
  const here = rows.at(account, entry.uidl, entry.occurrence);
  if (here !== undefined && !here.recheck && here.sha256 === content.sha256) return here;
  const match =
    ((here?.recheck ?? true) ? rows.sameUidl(account, entry, content) : undefined) ?? rows.stray(account, content);
  if (match !== undefined) {
    occupy(rows, { match, place: entry, here, today });
    return rows.restore(match.id);
  }
  if (here === undefined) return rows.insert(account, entry.uidl, entry.occurrence);
  if (fits(here, content)) return here.recheck ? rows.restore(here.id) : here;
  // What was known here is another mail; it is remembered at a place beyond all listed ones.
  rows.move(here.id, { uidl: here.uidl, occurrence: rows.lastOccurrence(account, here.uidl) + 1 });
  leave(rows, here, today);
  return rows.insert(account, entry.uidl, entry.occurrence);
}

/**
 * A row that knows nothing of its mail yet fits any; one whose header alone is known fits that header. One with this very
 * digest was found before, if it is the same mail.
 */
function fits(row: Entry, { fingerprint }: Content): boolean {
  if (row.sha256 !== undefined) return false;
  return row.fingerprint === undefined || compareFingerprints(row.fingerprint, fingerprint) === 'same';
}

/** Known mails were found at these places. */
export function recognise(
  rows: Rows,
  account: string,
  finds: readonly { readonly id: number; readonly place: Place }[],
  today: number,
): void {
  for (const { id, place } of finds) {
    const here = rows.at(account, place.uidl, place.occurrence);
    occupy(rows, { match: rows.byId(id), place, here, today });
    rows.restore(id);
  }
}

/** `match` stands at `place`; what was there goes to the place of `match`. */
function occupy(
  rows: Rows,
  move: { readonly match: Entry; readonly place: Place; readonly here: Entry | undefined; readonly today: number },
): void {
  const { match, place, here, today } = move;
  if (here?.id === match.id) return;
  if (here !== undefined) rows.move(here.id, { uidl: here.uidl, occurrence: -here.id }); // a place that nobody has
  rows.move(match.id, place);
  if (here === undefined) return;
  rows.move(here.id, match);
  // A gone mail's place is beyond the listing, and so is what was here now.
  if (match.state === 'gone') leave(rows, here, today);
}

/** Not listed any more: remembered by its content, if that is known. */
function leave(rows: Rows, entry: Entry, today: number): void {
  if (entry.sha256 === undefined && entry.fingerprint === undefined) rows.remove(entry.id);
  // A DELE that was carried out although the answer to QUIT was lost.
  else if (entry.state === 'delete-pending') rows.setGone(entry.id, today);
  else rows.setAbsent(entry.id, today);
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

/** No provider's UIDL begins with it. */
const contentMark = '\0';

/** What stands for the UIDL of a mail that has none. */
export function contentUidl(sha256: string): string {
  return contentMark + 'sha256:' + sha256;
}

export function isContentUidl(uidl: string): boolean {
  return uidl.startsWith(contentMark);
}

/** Of mails that their content names: those that were not among all that the provider has. */
export function forgetOthers(rows: Rows, account: string, present: ReadonlySet<number>, today: number): void {
  for (const entry of rows.all(account))
    if (entry.state !== 'gone' && isContentUidl(entry.uidl) && !present.has(entry.id)) leave(rows, entry, today);
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
