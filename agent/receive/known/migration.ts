// The provider gives all mails other UIDLs: it has moved the mailbox, or rebuilt it. Recognised by known mails that are
// missing while unknown ones are there; what TOP shows of these is compared with the fingerprints of those.
// Promises: a mail that is recognised keeps its row and is not delivered again; when many cannot be told, a person is asked.
import { messageIdPart } from '../ledger/fingerprint.ts';
import type { Entry, Listed } from '../ledger/ledger.ts';
import { fingerprintAt, inWindows, readWhole } from './looking.ts';
import type { Pop3 } from '../pop3/pop3.ts';
import { Question } from './question.ts';
import { isContentUidl } from '../ledger/reconcile.ts';
import type { Run } from '../round-run.ts';

/** Fewer recognised mails than that must have their old size too: two mails may share a Message-ID, as a list's copy does. */
const fewMatches = 5;
/** So many mails that cannot be told are a question; fewer are delivered, rather twice than never. */
const manyDoubts = 10;
/** So many mails that cannot be told are read whole, to see whether the provider has kept their bytes. */
const sample = 10;

type Unknown = { readonly listed: Listed; readonly fingerprint: string | undefined };

/** A mail that was not recognised: known as a person said, or open, so that its content is compared. */
export type Stranger = { readonly is: 'known' | 'open'; readonly fingerprint: string | undefined };

/** Gives the strangers among what is listed, by number. */
export async function recogniseMigration(
  run: Run,
  pop3: Pop3,
  listing: readonly Listed[],
): Promise<ReadonlyMap<number, Stranger>> {
  const { ledger, account, log } = run.deps;
  const missing = missingOf(ledger.openEntries(account.id), listing);
  if (missing.length === 0) return new Map();
  const unknown = unknownOf(ledger.entries(account.id), listing);
  if (unknown.length < Math.min(fewMatches, missing.length)) return new Map();
  const looked: Unknown[] = [];
  await inWindows(unknown, async (listed) => {
    looked.push({ listed, fingerprint: await fingerprintAt(pop3, listed.number) });
  });
  const { pairs, strangers, left } = match(missing, looked);
  const doubts = countDoubts(strangers, left);
  const { answer } = run.options.memory;
  const isAnswered = answer === 'known' || answer === 'new';
  if (doubts >= manyDoubts && !isAnswered && !(await areBytesKept(pop3, strangers, left)))
    throw new Question(questionOf(account.id, missing, unknown, doubts));
  if (pairs.length > 0) {
    ledger.rename(
      account.id,
      pairs.map(({ entry, listed }) => ({ id: entry.id, listed })),
    );
    const facts = { account: account.id, recognised: pairs.length, others: strangers.length };
    log.warn(facts, 'the provider gives known mails other UIDLs; they are not delivered again');
  }
  const is = answer === 'known' ? 'known' : 'open';
  return new Map(strangers.map(({ listed, fingerprint }) => [listed.number, { is, fingerprint }]));
}

/** Then each of them is known again when it is fetched, by its digest, and what is not known is new. */
async function areBytesKept(pop3: Pop3, strangers: readonly Unknown[], left: readonly Entry[]): Promise<boolean> {
  const digests = new Set(left.flatMap(({ sha256 }) => sha256 ?? []));
  if (digests.size * 2 < left.length) return false;
  const some = strangers.toSorted((a, b) => a.listed.number - b.listed.number).slice(0, sample);
  let kept = 0;
  await inWindows(some, async ({ listed }) => {
    const read = await readWhole(pop3, listed.number);
    if (read !== undefined && digests.has(read.sha256)) kept += 1;
  });
  return kept * 2 > some.length;
}

/** Nothing is missing unless more than half of what is known is: single mails come and go every day. */
function missingOf(entries: readonly Entry[], listing: readonly Listed[]): readonly Entry[] {
  const listed = new Set(listing.map(({ uidl }) => uidl));
  // What we deleted ourselves does not come back; what was missing once may.
  const known = entries.filter(
    ({ state, absent, uidl }) => (state === 'gone' ? absent : state !== 'seen') && !isContentUidl(uidl),
  );
  const missing = known.filter(({ uidl }) => !listed.has(uidl));
  // These were deleted, most likely, and only the answer to QUIT was lost: no sign of a migration.
  const [all, lost] = [known, missing].map((list) => list.filter(({ state }) => state !== 'delete-pending').length);
  return (lost ?? 0) * 2 > (all ?? 0) ? missing : [];
}

function unknownOf(entries: readonly Entry[], listing: readonly Listed[]): readonly Listed[] {
  const rows = new Set(entries.map(({ uidl }) => uidl));
  return listing.filter(({ uidl }) => !rows.has(uidl));
}

function match(missing: readonly Entry[], unknown: readonly Unknown[]) {
  const free = new Map<string, Entry[]>();
  for (const entry of missing)
    if (entry.fingerprint !== undefined) free.set(entry.fingerprint, [...(free.get(entry.fingerprint) ?? []), entry]);
  const found = unknown.flatMap(({ listed, fingerprint }) => {
    const candidates = free.get(fingerprint ?? '') ?? [];
    const sameSize = candidates.findIndex((entry) => entry.listedBytes === listed.sizeBytes);
    const [entry] = candidates.splice(Math.max(0, sameSize), 1);
    return entry === undefined ? [] : [{ entry, listed }];
  });
  const sure = found.filter(({ entry, listed }) => entry.listedBytes === listed.sizeBytes);
  const pairs = found.length < fewMatches ? sure : found;
  const numbers = new Set(pairs.map(({ listed }) => listed.number));
  const ids = new Set(pairs.map(({ entry }) => entry.id));
  return {
    pairs,
    strangers: unknown.filter(({ listed }) => !numbers.has(listed.number)),
    left: missing.filter(({ id, state }) => !ids.has(id) && state !== 'delete-pending'),
  };
}

/** Mails of which nobody can say whether they are new. */
function countDoubts(strangers: readonly Unknown[], left: readonly Entry[]): number {
  const ids = new Set(left.flatMap(({ fingerprint }) => messageIdPart(fingerprint) ?? []));
  const mute = left.filter(({ fingerprint }) => fingerprint === undefined).length;
  const alike = strangers.filter(({ fingerprint }) => ids.has(messageIdPart(fingerprint) ?? '')).length;
  const blind = strangers.filter(({ fingerprint }) => fingerprint === undefined).length;
  // What cannot be looked at may be any of those that are left; what is left without a fingerprint may be any stranger.
  return Math.min(left.length, Math.max(alike + blind, Math.min(mute, strangers.length)));
}

function questionOf(id: string, missing: readonly Entry[], unknown: readonly Listed[], doubts: number): string {
  const facts =
    missing.length + ' known mails are gone and ' + unknown.length + ' stand there under other UIDLs, and of ';
  return (
    id +
    ': paused, the provider has moved or rebuilt the mailbox: ' +
    facts +
    doubts +
    ' nobody can tell whether they are the same; answer with `mailferry confirm ' +
    id +
    ' known` (they stay there, not delivered again) or `mailferry confirm ' +
    id +
    ' new` (they are delivered)'
  );
}
