// The middle of a session: RETR, hand over, record, for several mails at once.
// Promises: one bad mail does not hold up the others; never more mails between RETR and hand-over than local sessions and a
// bounded read-ahead; a session that broke hands nothing more over.
import { describe } from '#shared/failure.ts';
import type { FetchedMail } from './delivery/body.ts';
import { fingerprintOfHead } from './ledger/fingerprint.ts';
import { isTooOld } from './known/first-run.ts';
import { handOver } from './delivery/handover.ts';
import type { Outcome } from './delivery/handover.ts';
import { topOf } from './known/looking.ts';
import type { Pop3 } from './pop3/pop3.ts';
import { Pop3Error } from './pop3/pop3-error.ts';
import { troubleOf } from './problem.ts';
import { mustCompareFirst } from './known/renumbering.ts';
import { isOversized, limitsOf } from './round-run.ts';
import type { Item, Run } from './round-run.ts';
import { createSlots } from './slots.ts';
import { createWindow } from './window.ts';
import { nameByContent, settleUnnamed } from './known/unnamed.ts';

/** So many refusals in a row and the local server is wrong, not the mail. */
export const maxRefusedInRow = 5;
/** Mails asked for before the local server can take them: as many as are on a long line at once, unless they are large. */
const readAhead = { mails: 64, bytes: 8 * 1024 * 1024 } as const;
/** For a mail that the server lists without a size. */
const guessedBytes = 256 * 1024;
const maxRetryMs = 3_600_000;

export async function fetchNew(run: Run, pop3: Pop3): Promise<void> {
  const { deps } = run;
  const limits = limitsOf(deps.account);
  const due = cut(run, dueItems(run));
  // A local server that was out of reach is tried with one mail, not with all.
  const width = deps.local.problem() === undefined ? deps.sessions + (pop3.pipelining ? readAhead.mails : 1) : 1;
  const window = createWindow({ mails: width, bytes: readAhead.bytes });
  const sessions = createSlots(deps.sessions);
  const tasks: Promise<void>[] = [];
  for (const item of due) {
    const leave = await window.enter(item.listed.sizeBytes ?? guessedBytes);
    if (isOver(run)) break;
    if (deps.clock.monotonic() - run.startedAt > limits.ms) {
      run.more = true;
      break;
    }
    tasks.push(fetchOne(run, pop3, item, sessions).finally(leave));
  }
  // None may be left behind: the next round would hand its mail over a second time.
  const results = await Promise.allSettled(tasks);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  settleUnnamed(run);
}

function dueItems(run: Run): readonly Item[] {
  const { account, clock } = run.deps;
  const { memory, impatient } = run.options;
  const now = clock.monotonic();
  const due = (run.items ?? []).filter((item) => {
    const retry = memory.retries.get(item.entry.id);
    const isDue = impatient || retry === undefined || retry.dueAt <= now;
    return item.entry.state === 'seen' && isDue && !isOversized(account, item);
  });
  // What failed before comes last: it may be what breaks the session.
  const attempts = ({ entry }: Item): number => (memory.retries.has(entry.id) ? 1 : 0) + entry.attempts;
  return due.toSorted((a, b) => attempts(a) - attempts(b) || a.listed.number - b.listed.number);
}

/** As many as one session may fetch: a session of thousands loses too much when its line breaks. */
function cut(run: Run, due: readonly Item[]): readonly Item[] {
  const limits = limitsOf(run.deps.account);
  let bytes = 0;
  const chosen = due.slice(0, limits.messages).filter(({ listed }, index) => {
    bytes += listed.sizeBytes ?? 0;
    return index === 0 || bytes <= limits.bytes;
  });
  if (chosen.length < due.length) run.more = true;
  return chosen;
}

function isOver(run: Run): boolean {
  const { signal, memory } = run.options;
  const stopped = signal.aborted || memory.owed.size > 0 || memory.refusedInRow >= maxRefusedInRow;
  return stopped || run.trouble !== undefined;
}

async function fetchOne(run: Run, pop3: Pop3, item: Item, sessions: ReturnType<typeof createSlots>): Promise<void> {
  const { deps, options, today } = run;
  const startedAt = deps.clock.monotonic();
  if (isOfFirstRun(run, item) && passOverOld(run, item, await topOf(pop3, item.listed.number))) return;
  const mail = await retrieve(run, pop3, item);
  if (mail === undefined) return;
  const readAt = deps.clock.monotonic();
  try {
    if (item.listed.uidl === '' && !nameByContent(run, item, mail.sha256)) return;
    if (isOfFirstRun(run, item) && passOverOld(run, item, mail.head)) return;
    if (mustCompareFirst(run, item, mail)) return;
    await sessions.take();
    const free = once(sessions.free);
    try {
      if (isOver(run)) return;
      const { entry, listed } = item;
      const times = { startedAt, readAt };
      const job = { entry, mail, listedBytes: listed.sizeBytes, ...times, today, signal: options.handOverSignal };
      const { owed } = options.memory;
      const owe = (id: number, write: () => void): void => void owed.set(id, write);
      const owing = (): boolean => owed.size > 0;
      note(run, item, await handOver(deps, { ...job, owe, owing, taken: free }));
    } finally {
      free();
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

/** It was there when only mails from a day on were wanted, and nobody has looked at its day yet. */
function isOfFirstRun({ since }: Run, { entry }: Item): boolean {
  const { id, state, recheck } = entry;
  return since !== undefined && state === 'seen' && !recheck && id > 0 && id <= since.firstId;
}

function once(work: () => void): () => void {
  let done = false;
  return () => {
    if (!done) work();
    done = true;
  };
}

/** True when the mail came before the day from which mails are wanted: it is never handed over and never deleted. */
function passOverOld(run: Run, item: Item, head: Buffer | undefined): boolean {
  if (head === undefined || !isTooOld(head, run.since?.at ?? -Infinity)) return false;
  const { sizeBytes } = item.listed;
  run.deps.ledger.passOver([{ id: item.entry.id, listedBytes: sizeBytes, fingerprint: fingerprintOfHead(head) }]);
  item.entry = { ...item.entry, state: 'passed-over' };
  return true;
}

/** The whole mail, or undefined when it could not be had. */
async function retrieve(run: Run, pop3: Pop3, item: Item): Promise<FetchedMail | undefined> {
  const { deps } = run;
  const collector = deps.bodies.collect();
  try {
    const askedAt = deps.clock.monotonic();
    await pop3.retr(item.listed.number, (bytes) => {
      run.times.firstByteMs ??= deps.clock.monotonic() - askedAt;
      return collector.write(bytes);
    });
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
  item.proven = true;
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
