// One session with one mailbox: listing, what is new, RETR, hand over, record, DELE what may go, QUIT, record that it is gone.
// Promises: DELE only for what the ledger says was handed over, and never in a session that broke; one bad mail does not
// hold up the others; never more mails between RETR and hand-over than local sessions and a bounded read-ahead.
import { describe } from '#shared/failure.ts';
import type { SecretSource } from '../accounts/secret.ts';
import type { Endpoint, openSocket } from '../net/socket.ts';
import type { BodyStore, FetchedMail } from './body.ts';
import { handOver } from './handover.ts';
import type { HandOverDeps, Outcome } from './handover.ts';
import type { Entry, Listed } from './ledger.ts';
import { openPop3 } from './pop3.ts';
import type { Pop3 } from './pop3.ts';
import { Pop3Error } from './pop3-error.ts';
import { troubleOf } from './problem.ts';
import type { Trouble } from './problem.ts';
import { deletable } from './retention.ts';
import { createSlots } from './slots.ts';
import type { Pop3Timeouts } from './wire.ts';

export type RoundDeps = HandOverDeps & {
  readonly endpoint: Endpoint;
  /** Read before each login. */
  readonly secret: SecretSource;
  readonly bodies: BodyStore;
  /** Local sessions, and so mails handed over at once. */
  readonly sessions: number;
  readonly timeouts?: Partial<Pop3Timeouts>;
  /** Sockets of another kind, for tests. */
  readonly connect?: typeof openSocket;
};
/** What an account remembers between rounds; lost with the process, harmlessly. */
export type Memory = {
  /** Mails that failed, by ledger id: not before `dueAt` (monotonic). */
  readonly retries: Map<number, { readonly dueAt: number; readonly text: string }>;
  /** Records that could not be written, by ledger id. */
  readonly owed: Map<number, () => void>;
  /** Mails that the local server refused one after the other, and what it said last. */
  refusedInRow: number;
  lastRefusal: string;
};
export type RoundOptions = {
  readonly memory: Memory;
  /** Try failed mails now. */
  readonly impatient: boolean;
  /** Ends the fetching at once. */
  readonly signal: AbortSignal;
  /** Ends mails that are on their way to the local server. */
  readonly handOverSignal: AbortSignal;
};
export type RoundResult = {
  readonly trouble: Trouble | undefined;
  /** Mails that wait although the round went well: why. */
  readonly waiting: string;
  /** Undefined when the session did not get as far as a listing. */
  readonly counts: { readonly backlog: number; readonly kept: number } | undefined;
  /** There is more to do at once. */
  readonly more: boolean;
  /** What the server wants between two logins. */
  readonly loginDelaySeconds: number;
};

/** So many refusals in a row and the local server is wrong, not the mail. */
export const maxRefusedInRow = 5;
const readAhead = 16;
/** A session of thousands is ended and begun again: what was done until then is safe from a broken line. */
const maxMails = 500;
const maxDeletions = 1_000;
const deletionWindow = 50;
const maxRetryMs = 3_600_000;

type Item = { readonly listed: Listed; entry: Entry; fetchedNow: boolean };
type Run = {
  readonly deps: RoundDeps;
  readonly options: RoundOptions;
  readonly today: number;
  items: readonly Item[] | undefined;
  /** Mails that the server has but does not name. */
  unnamed: number;
  more: boolean;
  /** Why no further mail is fetched in this session. */
  trouble: Trouble | undefined;
  readonly gone: Set<number>;
};

export async function runRound(deps: RoundDeps, options: RoundOptions): Promise<RoundResult> {
  const run: Run = {
    deps,
    options,
    today: deps.ledger.sawDay(deps.clock.now()),
    items: undefined,
    unnamed: 0,
    more: false,
    trouble: undefined,
    gone: new Set(),
  };
  let loginDelaySeconds = 0;
  let pop3: Pop3 | undefined;
  try {
    for (const [id, write] of options.memory.owed) {
      write();
      options.memory.owed.delete(id);
    }
    pop3 = await openPop3({
      endpoint: deps.endpoint,
      user: deps.account.user,
      password: await deps.secret.read(options.signal),
      auth: deps.account.auth ?? 'auto',
      signal: options.signal,
      clock: deps.clock,
      ...(deps.timeouts === undefined ? {} : { timeouts: deps.timeouts }),
      ...(deps.connect === undefined ? {} : { connect: deps.connect }),
    });
    loginDelaySeconds = loginDelayOf(pop3.capabilities);
    await list(run, pop3);
    await fetchNew(run, pop3);
    await finish(run, pop3);
  } catch (error) {
    run.trouble = troubleOf(error, deps.account.id, deps.endpoint);
  } finally {
    pop3?.close();
  }
  return { trouble: run.trouble, waiting: waitingOf(run), counts: countsOf(run), more: run.more, loginDelaySeconds };
}

async function list(run: Run, pop3: Pop3): Promise<void> {
  const { account, ledger } = run.deps;
  const { count } = await pop3.stat();
  const empty = { entries: new Map<number, never>(), badLines: 0 };
  const [uidl, sizes] =
    count === 0
      ? [empty, empty]
      : await Promise.all([pop3.uidl(), pop3.list().catch((error: unknown) => passRefusal(error, empty))]);
  const listing = [...uidl.entries].map(([number, id]) => ({ number, uidl: id, sizeBytes: sizes.entries.get(number) }));
  const complete = uidl.badLines === 0 && listing.length === count;
  run.unnamed = Math.max(0, count - listing.length);
  const entries = ledger.reconcile(account.id, listing, complete, run.today);
  run.items = listing.flatMap((listed, index) => {
    const entry = entries[index];
    return entry === undefined ? [] : [{ listed, entry, fetchedNow: false }];
  });
}

/** Only -ERR is passed over. */
function passRefusal<T>(error: unknown, instead: T): T {
  if (error instanceof Pop3Error && error.trouble === 'refused') return instead;
  throw error;
}

async function fetchNew(run: Run, pop3: Pop3): Promise<void> {
  const { deps, options } = run;
  const now = deps.clock.monotonic();
  const due = (run.items ?? []).filter(({ entry }) => {
    const retry = options.memory.retries.get(entry.id);
    return entry.state === 'seen' && (options.impatient || retry === undefined || retry.dueAt <= now);
  });
  // What failed before comes last: it may be what breaks the session.
  due.sort((a, b) => a.entry.attempts - b.entry.attempts || a.listed.number - b.listed.number);
  if (due.length > maxMails) run.more = true;
  // A local server that was out of reach is tried with one mail, not with all.
  const width = deps.local.problem() === undefined ? deps.sessions + (pop3.pipelining ? readAhead : 1) : 1;
  const slots = createSlots(width);
  const sessions = createSlots(deps.sessions);
  const tasks: Promise<void>[] = [];
  for (const item of due.slice(0, maxMails)) {
    await slots.take();
    if (isOver(run)) break;
    tasks.push(fetchOne(run, pop3, item, sessions).finally(slots.free));
  }
  // None may be left behind: the next round would hand its mail over a second time.
  const results = await Promise.allSettled(tasks);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}

function isOver(run: Run): boolean {
  const { signal, memory } = run.options;
  const stopped = signal.aborted || memory.owed.size > 0 || memory.refusedInRow >= maxRefusedInRow;
  return stopped || run.trouble !== undefined;
}

async function fetchOne(run: Run, pop3: Pop3, item: Item, sessions: ReturnType<typeof createSlots>): Promise<void> {
  const { deps, options, today } = run;
  const startedAt = deps.clock.monotonic();
  const mail = await retrieve(run, pop3, item);
  if (mail === undefined) return;
  try {
    await sessions.take();
    try {
      if (isOver(run)) return;
      const { entry, listed } = item;
      const job = { entry, mail, listedBytes: listed.sizeBytes, startedAt, today, signal: options.handOverSignal };
      const owe = (id: number, write: () => void): void => void options.memory.owed.set(id, write);
      note(run, item, await handOver(deps, { ...job, owe }));
    } finally {
      sessions.free();
    }
  } catch (error) {
    // Disk full in quarantine, database locked: this mail waits, the others go on.
    failed(run, item, describe(error));
  } finally {
    await mail.discard().catch((error: unknown) => {
      deps.log.warn({ error: describe(error) }, 'temporary file not removed');
    });
  }
}

/** The whole mail, or undefined when it could not be had. */
async function retrieve(run: Run, pop3: Pop3, item: Item): Promise<FetchedMail | undefined> {
  const { deps } = run;
  const collector = deps.bodies.collect();
  try {
    await pop3.retr(item.listed.number, collector.write);
    return await collector.finish();
  } catch (error) {
    await collector.discard().catch(() => {}); // what is left is removed at the next start
    const broke = error instanceof Pop3Error && error.trouble !== 'refused';
    if (broke && (run.trouble !== undefined || error.trouble === 'stopped')) return undefined;
    // The first mail to fail is the one that was being read.
    failed(run, item, describe(error));
    if (broke) run.trouble = troubleOf(error, deps.account.id, deps.endpoint);
    return undefined;
  }
}

function note(run: Run, item: Item, outcome: Outcome): void {
  const { memory } = run.options;
  item.entry = outcome.entry;
  item.fetchedNow = true;
  switch (outcome.kind) {
    case 'handed-over':
      memory.refusedInRow = 0;
      memory.retries.delete(outcome.entry.id);
      return;
    case 'quarantined':
      memory.refusedInRow += 1;
      memory.lastRefusal = outcome.text;
      memory.retries.delete(outcome.entry.id);
      return;
    case 'known':
      return;
    case 'later': {
      const problem = run.deps.local.problem();
      // Out of reach is not the mail's fault, and concerns all of them.
      if (problem === undefined) failed(run, item, outcome.text);
      else run.trouble ??= { kind: 'local', problem: run.deps.account.id + ': ' + problem };
    }
  }
}

function failed(run: Run, item: Item, text: string): void {
  const { ledger, clock, account, log } = run.deps;
  const { id, attempts } = item.entry;
  ledger.failed(id);
  const waitMs = Math.min(maxRetryMs, account.intervalSeconds * 1_000 * 2 ** Math.min(attempts, 20));
  const known = run.options.memory.retries.get(id);
  run.options.memory.retries.set(id, { dueAt: clock.monotonic() + waitMs, text });
  if (known?.text !== text)
    log.warn({ account: account.id, mail: id, attempts: attempts + 1, error: text }, 'mail waits at the provider');
}

/** Deletes what may go and ends the session, if it is still good. */
async function finish(run: Run, pop3: Pop3): Promise<void> {
  const { deps, options, today } = run;
  const { ledger, account, reached } = deps;
  if (options.signal.aborted || (run.trouble !== undefined && run.trouble.kind !== 'local')) return;
  const items = run.items ?? [];
  const copies = items.map(({ listed, entry, fetchedNow }) => ({
    number: listed.number,
    uidl: listed.uidl,
    state: entry.state,
    handedOverDay: entry.settledDay,
    recordedBytes: entry.listedBytes,
    listedBytes: listed.sizeBytes,
    fetchedNow,
  }));
  const allowed = new Set(deletable(copies, account.keep, today));
  const going = items.filter(({ listed }) => allowed.has(listed.number)).slice(0, maxDeletions);
  if (going.length < allowed.size) run.more = true;
  ledger.deletePending(going.map(({ entry }) => entry.id));
  const deleted: number[] = [];
  for (let from = 0; from < going.length; from += deletionWindow) {
    const window = going.slice(from, from + deletionWindow);
    await Promise.all(
      window.map(async ({ listed, entry }) => {
        if (
          !(await pop3.dele(listed.number).then(
            () => true,
            (error: unknown) => passRefusal(error, false),
          ))
        )
          return;
        deleted.push(entry.id);
        reached('receive.deleted');
      }),
    );
  }
  await pop3.quit();
  if (deleted.length === 0) return;
  reached('receive.quit');
  ledger.gone(deleted, today);
  for (const id of deleted) run.gone.add(id);
}

function countsOf(run: Run): RoundResult['counts'] {
  if (run.items === undefined) return undefined;
  const handed = run.items.filter(({ entry }) => entry.state === 'handed-over' || entry.state === 'delete-pending');
  const kept = handed.filter(({ entry }) => !run.gone.has(entry.id)).length;
  const seen = run.items.filter(({ entry }) => entry.state === 'seen').length;
  return { backlog: seen + run.unnamed, kept };
}

function waitingOf(run: Run): string {
  const { id } = run.deps.account;
  const { retries } = run.options.memory;
  const texts = (run.items ?? []).flatMap(({ entry }) =>
    entry.state === 'seen' ? (retries.get(entry.id)?.text ?? []) : [],
  );
  const [first] = texts;
  if (first !== undefined)
    return (
      id + ': mails that wait at the provider and are tried again: ' + texts.length + ', the first because of: ' + first
    );
  if (run.unnamed === 0) return '';
  return id + ': mails that cannot be fetched because the provider gives no usable UIDL for them: ' + run.unnamed;
}

/** RFC 2449 section 6.5: seconds, perhaps with USER after it. */
function loginDelayOf(capabilities: ReadonlyMap<string, string>): number {
  const seconds = /^\d{1,5}/.exec(capabilities.get('LOGIN-DELAY') ?? '')?.[0];
  return Math.min(86_400, Number(seconds ?? 0));
}
