// The beginning of a session: what the provider has, and which ledger row belongs to which mail. Asks a person where only a
// person can know: at the first run, when the provider moved the mailbox, when it knows no UIDL, when the state is an old one.
import { firstRunOf } from './first-run.ts';
import type { Entry, Listed } from '../ledger/ledger.ts';
import type { NumberedEntries } from '../pop3/listing.ts';
import { fingerprintAt, hasTop, inWindows, readWhole } from './looking.ts';
import { recogniseMigration } from './migration.ts';
import type { Stranger } from './migration.ts';
import { decideUnknown } from './old-state.ts';
import type { Pop3 } from '../pop3/pop3.ts';
import { Question } from './question.ts';
import { isContentUidl } from '../ledger/reconcile.ts';
import { isRefusal, passRefusal } from '../pop3/refusal.ts';
import { checkUidls } from './renumbering.ts';
import type { Item, Run } from '../round-run.ts';
import { nameUnnamed, placeUnnamed } from './unnamed.ts';

type Stat = { readonly count: number };

/** At a first run, of so many mails that are not wanted the header is noted, to know them again under other UIDLs. */
const mostNoted = 2_000;

/** Fills in `run.items`. Throws Question, and what the session throws. */
export async function lookInto(run: Run, pop3: Pop3, stat: Stat): Promise<void> {
  const { memory } = run.options;
  try {
    await look(run, pop3, stat);
    memory.answer = undefined;
  } catch (error) {
    // An answer that did not help is no answer to the next question.
    if (error instanceof Question) memory.answer = undefined;
    throw error;
  }
}

async function look(run: Run, pop3: Pop3, stat: Stat): Promise<void> {
  const { account, ledger } = run.deps;
  const empty = { entries: new Map<number, never>(), badLines: 0, unread: [] };
  const [uidl, sizes] =
    stat.count === 0
      ? [empty, empty]
      : await Promise.all([askUidl(run, pop3), pop3.list().catch((error: unknown) => passRefusal(error, empty))]);
  const sizeOf = (number: number): number | undefined => sizes.entries.get(number);
  if (uidl === undefined) {
    const all = Array.from({ length: stat.count }, (_, index) => index + 1);
    nameNone(
      run,
      all.map((number) => ({ number, uidl: '', sizeBytes: sizeOf(number) })),
    );
    return;
  }
  const listing = [...uidl.entries].map(([number, id]) => ({ number, uidl: id, sizeBytes: sizeOf(number) }));
  const unnamed = uidl.unread
    .filter((number) => number <= stat.count)
    .map((number) => ({ number, uidl: '', sizeBytes: sizeOf(number) }));
  const count = listing.length + unnamed.length;
  run.unnamed = Math.max(0, stat.count - count);
  const complete = uidl.badLines === unnamed.length && count === stat.count;
  await findRows(run, pop3, { listing, unnamed, complete, count: stat.count });
  const begun = ledger.accounts.begun(account.id);
  if (begun?.firstRun.kind === 'since') run.since = { at: begun.firstRun.at, firstId: begun.firstId };
  forgetMissing(run);
  await checkUidls(run, pop3);
  const asks = ledger.accounts.asks(account.id);
  if (asks === undefined) return;
  await nameUnnamed(run, pop3, run.items ?? []);
  decideUnknown(run, asks);
}

type Found = {
  readonly listing: readonly Listed[];
  /** Without a usable UIDL. */
  readonly unnamed: readonly Listed[];
  /** Nothing is missing in the listing. */
  readonly complete: boolean;
  /** As STAT says. */
  readonly count: number;
};

async function findRows(run: Run, pop3: Pop3, found: Found): Promise<void> {
  const { account, ledger } = run.deps;
  const { listing, complete } = found;
  const facts = { complete, today: run.today, unnamed: found.unnamed.length > 0 };
  if (ledger.accounts.begun(account.id) === undefined) {
    await begin(run, pop3, found);
    return;
  }
  const strangers = complete ? await recogniseMigration(run, pop3, listing) : new Map<number, Stranger>();
  const entries = ledger.reconcile(account.id, listing, facts);
  const named = itemsOf(listing, entries);
  const open = named.filter(({ listed }) => strangers.get(listed.number)?.is === 'open');
  ledger.compare(open.map(({ entry }) => entry.id));
  for (const item of open) item.entry = { ...item.entry, recheck: true };
  const passed = named.filter(({ listed }) => strangers.get(listed.number)?.is === 'known');
  ledger.passOver(
    passed.map(({ entry, listed }) => ({
      id: entry.id,
      listedBytes: listed.sizeBytes,
      fingerprint: strangers.get(listed.number)?.fingerprint,
    })),
  );
  for (const item of passed) item.entry = { ...item.entry, state: 'passed-over' };
  const unnamed = placeUnnamed(run, found.unnamed, listing);
  run.items = [...named, ...unnamed];
}

async function begin(run: Run, pop3: Pop3, found: Found): Promise<void> {
  const { account, ledger } = run.deps;
  const { listing, complete } = found;
  const firstRun = firstRunOf(run, found.count);
  const unnamed = placeUnnamed(run, found.unnamed, listing);
  // What is not wanted must have a row now; what is wanted may be read later.
  if (firstRun.kind !== 'all') await nameUnnamed(run, pop3, unnamed);
  const others = unnamed.filter(({ entry }) => entry.id > 0);
  const entries = ledger.begin(account.id, firstRun, {
    listing: [...listing, ...others.map(({ listed }) => listed)],
    others: others.map(({ entry }) => entry),
    complete,
    today: run.today,
    fingerprints: firstRun.kind === 'new-only' ? await noteHeaders(pop3, listing) : new Map(),
  });
  const named = itemsOf([...listing, ...others.map(({ listed }) => listed)], entries);
  run.items = [...named, ...unnamed.filter(({ entry }) => entry.id < 0)];
}

function itemsOf(listing: readonly Listed[], entries: readonly Entry[]): Item[] {
  return listing.flatMap((listed, index) => {
    const entry = entries[index];
    return entry === undefined ? [] : [{ listed, entry, proven: false }];
  });
}

async function noteHeaders(pop3: Pop3, listing: readonly Listed[]): Promise<ReadonlyMap<number, string>> {
  const fingerprints = new Map<number, string>();
  // The last ones: new mails come behind them. Without TOP the last one alone, which tells whether UIDLs have moved.
  const worth = hasTop(pop3) ? listing.slice(-mostNoted) : listing.slice(-1);
  await inWindows(worth, async ({ number }) => {
    const fingerprint = hasTop(pop3) ? await fingerprintAt(pop3, number) : (await readWhole(pop3, number))?.fingerprint;
    if (fingerprint !== undefined) fingerprints.set(number, fingerprint);
  });
  return fingerprints;
}

/** Undefined: the provider has no UIDL at all (optional in RFC 1939 section 7). */
async function askUidl(run: Run, pop3: Pop3): Promise<NumberedEntries<string> | undefined> {
  try {
    return await pop3.uidl();
  } catch (error) {
    // A server that lists UIDL, says why not, or gave it once, has it, and it will pass.
    if (!isRefusal(error) || error.code !== undefined || pop3.capabilities.has('UIDL')) throw error;
    const known = run.deps.ledger.entries(run.deps.account.id);
    if (known.some(({ uidl }) => !isContentUidl(uidl))) throw error;
    return undefined;
  }
}

/** Without UIDL a mail is known by its content alone, after it was read: read, handed over and deleted in one session. */
function nameNone(run: Run, listing: readonly Listed[]): void {
  const { account, ledger } = run.deps;
  if (account.keep !== 'none')
    throw new Question(
      account.id +
        ': paused, the provider knows no UIDL, so that mails cannot be told apart from one session to the next; set keep: none (each mail is fetched, handed over and deleted in one session) and restart',
    );
  if (ledger.accounts.begun(account.id) === undefined) {
    const firstRun = firstRunOf(run, listing.length);
    if (firstRun.kind !== 'all')
      throw new Question(
        account.id +
          ': paused, the provider knows no UIDL, so that all mails are fetched; set firstRun: all and restart',
      );
    ledger.begin(account.id, firstRun, { listing: [], complete: false, today: run.today });
  }
  run.items = [...placeUnnamed(run, listing, [])];
}

/** Of mails that are not there any more. */
function forgetMissing(run: Run): void {
  const { retries, looked } = run.options.memory;
  const ids = new Set((run.items ?? []).map(({ entry }) => entry.id));
  for (const known of [retries, looked]) for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
}
