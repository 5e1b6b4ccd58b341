// The beginning of a session: what the provider has, and which ledger row belongs to which mail. Asks a person where only a
// person can know: at the first run, when the provider moved the mailbox, when it knows no UIDL.
import { firstRunOf } from './first-run.ts';
import type { Entry, Listed } from './ledger.ts';
import type { NumberedEntries } from './listing.ts';
import { checkResized } from './deletion.ts';
import { recogniseMigration } from './migration.ts';
import type { Pop3 } from './pop3.ts';
import { Question } from './question.ts';
import { contentUidl } from './reconcile.ts';
import { isRefusal, passRefusal } from './refusal.ts';
import type { Run } from './round-run.ts';

type Stat = { readonly count: number };

/** Fills in `run.items`. Throws Question, and what the session throws. */
export async function lookInto(run: Run, pop3: Pop3, stat: Stat): Promise<void> {
  const { account, ledger } = run.deps;
  const empty = { entries: new Map<number, never>(), badLines: 0 };
  const [uidl, sizes] =
    stat.count === 0
      ? [empty, empty]
      : await Promise.all([askUidl(run, pop3), pop3.list().catch((error: unknown) => passRefusal(error, empty))]);
  if (uidl === undefined) {
    nameNone(run, stat, sizes);
    return;
  }
  const listing = [...uidl.entries].map(([number, id]) => ({ number, uidl: id, sizeBytes: sizes.entries.get(number) }));
  const complete = uidl.badLines === 0 && listing.length === stat.count;
  run.unnamed = Math.max(0, stat.count - listing.length);
  const entries = await findRows(run, pop3, listing, { complete, count: stat.count });
  run.items = listing.flatMap((listed, index) => {
    const entry = entries[index];
    return entry === undefined ? [] : [{ listed, entry, proven: false }];
  });
  const begun = ledger.accounts.begun(account.id);
  if (begun?.firstRun.kind === 'since') run.since = { at: begun.firstRun.at, firstId: begun.firstId };
  forgetMissing(run);
  await checkResized(run, pop3);
}

async function findRows(
  run: Run,
  pop3: Pop3,
  listing: readonly Listed[],
  facts: { readonly complete: boolean; readonly count: number },
): Promise<readonly Entry[]> {
  const { account, ledger } = run.deps;
  const { complete } = facts;
  if (ledger.accounts.begun(account.id) === undefined)
    return ledger.begin(account.id, firstRunOf(run, facts.count), { listing, complete, today: run.today });
  const strangers = complete ? await recogniseMigration(run, pop3, listing) : new Set<number>();
  const entries = ledger.reconcile(account.id, listing, complete, run.today);
  if (strangers.size === 0) return entries;
  const passed = entries.filter((_, index) => strangers.has(listing[index]?.number ?? 0));
  ledger.passOver(passed.map(({ id }) => id));
  return entries.map((entry) => (passed.includes(entry) ? { ...entry, state: 'passed-over' } : entry));
}

/** Undefined: the provider has no UIDL at all (optional in RFC 1939 section 7). */
async function askUidl(run: Run, pop3: Pop3): Promise<NumberedEntries<string> | undefined> {
  try {
    return await pop3.uidl();
  } catch (error) {
    // A server that lists UIDL, says why not, or gave it once, has it, and it will pass.
    if (!isRefusal(error) || error.code !== undefined || pop3.capabilities.has('UIDL')) throw error;
    const known = run.deps.ledger.entries(run.deps.account.id);
    if (known.some(({ uidl }) => !uidl.startsWith(contentUidl('')))) throw error;
    return undefined;
  }
}

/** Without UIDL a mail is known by its content alone, after it was read: read, handed over and deleted in one session. */
function nameNone(run: Run, stat: Stat, sizes: NumberedEntries<number>): void {
  const { account, ledger } = run.deps;
  if (account.keep !== 'none')
    throw new Question(
      account.id +
        ': paused, the provider knows no UIDL, so that mails cannot be told apart from one session to the next; set keep: none (each mail is fetched, handed over and deleted in one session) and restart',
    );
  if (ledger.accounts.begun(account.id) === undefined) {
    const firstRun = firstRunOf(run, stat.count);
    if (firstRun.kind !== 'all')
      throw new Question(
        account.id +
          ': paused, the provider knows no UIDL, so that all mails are fetched; set firstRun: all and restart',
      );
    ledger.begin(account.id, firstRun, { listing: [], complete: false, today: run.today });
  }
  run.byContent = true;
  run.items = Array.from({ length: stat.count }, (_, index) => {
    const number = index + 1;
    return { listed: { number, uidl: '', sizeBytes: sizes.entries.get(number) }, entry: unread(number), proven: false };
  });
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

/** Of mails that are not there any more. */
function forgetMissing(run: Run): void {
  const { retries, looked } = run.options.memory;
  const ids = new Set((run.items ?? []).map(({ entry }) => entry.id));
  for (const known of [retries, looked]) for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
}
