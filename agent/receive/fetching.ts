// The middle of a session: RETR, hand over, record, for several mails at once.
// Promises: one bad mail does not hold up the others; never more mails between RETR and hand-over than local sessions and a
// bounded read-ahead; a session that broke hands nothing more over.
import { describe } from '#shared/failure.ts';
import type { FetchedMail } from './body.ts';
import { topOf } from './deletion.ts';
import { isTooOld } from './first-run.ts';
import { handOver } from './handover.ts';
import type { Outcome } from './handover.ts';
import type { Pop3 } from './pop3.ts';
import { Pop3Error } from './pop3-error.ts';
import { troubleOf } from './problem.ts';
import { isOversized, limitsOf } from './round-run.ts';
import type { Item, Run } from './round-run.ts';
import { createSlots } from './slots.ts';

/** So many refusals in a row and the local server is wrong, not the mail. */
export const maxRefusedInRow = 5;
const readAhead = 16;
const maxRetryMs = 3_600_000;

export async function fetchNew(run: Run, pop3: Pop3): Promise<void> {
  const { deps } = run;
  const limits = limitsOf(deps.account);
  const due = cut(run, dueItems(run));
  // A local server that was out of reach is tried with one mail, not with all.
  const width = deps.local.problem() === undefined ? deps.sessions + (pop3.pipelining ? readAhead : 1) : 1;
  const slots = createSlots(width);
  // As many again wait for their record while the local sessions are busy with the next mails.
  const sessions = createSlots(2 * deps.sessions);
  const tasks: Promise<void>[] = [];
  for (const item of due) {
    await slots.take();
    if (isOver(run)) break;
    if (deps.clock.monotonic() - run.startedAt > limits.ms) {
      run.more = true;
      break;
    }
    tasks.push(fetchOne(run, pop3, item, sessions).finally(slots.free));
  }
  // None may be left behind: the next round would hand its mail over a second time.
  const results = await Promise.allSettled(tasks);
  for (const result of results) if (result.status === 'rejected') throw result.reason;
  if (run.byContent) forgetOthers(run);
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

/** Without UIDL: when all mails were read, what is known beyond them is gone. */
function forgetOthers(run: Run): void {
  const items = run.items ?? [];
  if (!items.every(({ entry }) => entry.id > 0)) return;
  run.deps.ledger.onlyThese(run.deps.account.id, new Set(items.map(({ entry }) => entry.id)), run.today);
}

function isOver(run: Run): boolean {
  const { signal, memory } = run.options;
  const stopped = signal.aborted || memory.owed.size > 0 || memory.refusedInRow >= maxRefusedInRow;
  return stopped || run.trouble !== undefined;
}

async function fetchOne(run: Run, pop3: Pop3, item: Item, sessions: ReturnType<typeof createSlots>): Promise<void> {
  const { deps, options, today } = run;
  const startedAt = deps.clock.monotonic();
  const { since } = run;
  const isOld = since !== undefined && item.entry.id <= since.firstId && !item.entry.recheck;
  if (isOld && passOverOld(run, item, since.at, await topOf(pop3, item.listed.number))) return;
  const mail = await retrieve(run, pop3, item);
  if (mail === undefined) return;
  const readAt = deps.clock.monotonic();
  try {
    if (isOld && passOverOld(run, item, since.at, mail.head)) return;
    if (run.byContent && !nameByContent(run, item, mail.sha256)) return;
    await sessions.take();
    try {
      if (isOver(run)) return;
      const { entry, listed } = item;
      const job = {
        entry,
        mail,
        listedBytes: listed.sizeBytes,
        startedAt,
        readAt,
        today,
        signal: options.handOverSignal,
      };
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

/** True when the mail came before the day from which mails are wanted: it is never handed over and never deleted. */
function passOverOld(run: Run, item: Item, sinceAt: number, head: Buffer | undefined): boolean {
  if (head === undefined || !isTooOld(head, sinceAt)) return false;
  run.deps.ledger.passOver([item.entry.id]);
  item.entry = { ...item.entry, state: 'passed-over' };
  return true;
}

/** Without UIDL the n-th mail with this content is the one that the ledger knows so; false when it is not its turn yet. */
function nameByContent(run: Run, item: Item, sha256: string): boolean {
  const { deps, options } = run;
  const occurrence = (run.contents.get(sha256) ?? 0) + 1;
  run.contents.set(sha256, occurrence);
  options.memory.retries.delete(item.entry.id);
  item.entry = deps.ledger.byContent(deps.account.id, sha256, occurrence);
  const retry = options.memory.retries.get(item.entry.id);
  return options.impatient || retry === undefined || retry.dueAt <= deps.clock.monotonic();
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
