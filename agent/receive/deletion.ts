// The end of a session: which mails may go, the proof that they are what the ledger means, DELE, QUIT, recorded as gone.
// Promise (rule of safety 1): DELE without having read the mail in this session only when its size and the fingerprint of
// its header are those recorded; where TOP cannot tell, the mail is read first.
import { createHash } from 'node:crypto';
import { compareFingerprints, fingerprintOfHead } from './fingerprint.ts';
import { headBytes } from './pop3.ts';
import type { Pop3 } from './pop3.ts';
import { isRefusal, passRefusal } from './refusal.ts';
import { deletable, dueCopies } from './retention.ts';
import type { Copy, Keep } from './retention.ts';
import { limitsOf } from './round-run.ts';
import type { Item, Run } from './round-run.ts';

const window = 50;
/** DELE and its answer are short lines. */
const deletionWindow = 500;

/** Deletes what may go and ends the session. `keep` is the keeping time in force; undefined: nothing may go today. */
export async function deleteDue(run: Run, pop3: Pop3, keep: Keep | undefined): Promise<void> {
  const { ledger, reached } = run.deps;
  const going = keep === undefined ? [] : await choose(run, pop3, keep);
  ledger.deletePending(going.filter(({ entry }) => entry.state !== 'delete-pending').map(({ entry }) => entry.id));
  const deleted: Item[] = [];
  const remove = async (item: Item): Promise<void> => {
    const done = await pop3.dele(item.listed.number).then(
      () => true,
      (error: unknown) => passRefusal(error, false),
    );
    if (!done) {
      run.unfinished = true;
      return;
    }
    deleted.push(item);
    reached('receive.deleted');
  };
  await inWindows(going, remove, deletionWindow);
  await pop3.quit();
  if (deleted.length === 0) return;
  reached('receive.quit');
  ledger.gone(
    deleted.map(({ entry }) => entry.id),
    run.today,
  );
  for (const { entry } of deleted) run.gone.add(entry.id);
}

async function choose(run: Run, pop3: Pop3, keep: Keep): Promise<readonly Item[]> {
  const items = run.items ?? [];
  const due = new Set(dueCopies(items.map(copyOf), keep, run.today));
  const unread = items.filter(
    (item) => due.has(item.listed.number) && !item.proven && lookedBefore(run, item) !== 'changed',
  );
  const most = limitsOf(run.deps.account).deletions;
  if (unread.length > most) run.unfinished = true;
  await inWindows(unread.slice(0, most), async (item) => prove(run, pop3, item));
  const allowed = new Set(deletable(items.map(copyOf), keep, run.today));
  return items.filter(({ listed }) => allowed.has(listed.number));
}

function copyOf({ listed, entry, proven }: Item): Copy {
  const { state, settledDay } = entry;
  // Without UIDL every mail stands for itself: the ledger knows it by its content.
  const uidl = listed.uidl === '' ? 'number ' + listed.number : listed.uidl;
  return { number: listed.number, uidl, state, handedOverDay: settledDay, proven };
}

async function prove(run: Run, pop3: Pop3, item: Item): Promise<void> {
  const { entry, listed } = item;
  const sameSize = entry.listedBytes !== undefined && entry.listedBytes === listed.sizeBytes;
  if (sameSize && (await lookAt(pop3, item)) === 'same') {
    item.proven = true;
    return;
  }
  const read = await readWhole(pop3, listed.number);
  if (read === undefined) {
    run.unfinished = true;
    return;
  }
  item.proven = read.sha256 === entry.sha256;
  if (item.proven) return;
  if (compareFingerprints(entry.fingerprint, read.fingerprint) === 'same') keepChanged(run, item);
  else distrust(run, item);
}

/** The mail that we know, and yet not what was handed over: neither delivered again nor deleted. */
function keepChanged(run: Run, { entry, listed }: Item): void {
  const { log, account } = run.deps;
  log.warn(
    { account: account.id, mail: entry.id },
    'the provider has changed a mail that was handed over; it stays there',
  );
  run.options.memory.looked.set(entry.id, { sizeBytes: listed.sizeBytes, found: 'changed' });
}

function lookedBefore(run: Run, { entry, listed }: Item): 'same' | 'changed' | undefined {
  const looked = run.options.memory.looked.get(entry.id);
  return looked?.sizeBytes === listed.sizeBytes ? looked?.found : undefined;
}

/** Another mail stands where this one was: it is fetched in the next session, and its content decides. */
function distrust(run: Run, item: Item): void {
  const { ledger, log, account } = run.deps;
  log.warn({ account: account.id, mail: item.entry.id }, 'another mail stands under a known UIDL; it is fetched');
  item.entry = ledger.distrust(item.entry);
  run.more = true;
}

/** Compares the header as TOP shows it; `unknown` when the server or the mail gives nothing to compare. */
async function lookAt(pop3: Pop3, { entry, listed }: Item): Promise<ReturnType<typeof compareFingerprints>> {
  if (entry.fingerprint === undefined) return 'unknown';
  const head = await topOf(pop3, listed.number);
  return head === undefined ? 'unknown' : compareFingerprints(entry.fingerprint, fingerprintOfHead(head));
}

/** Undefined when the server has no TOP or refuses it. */
export async function topOf(pop3: Pop3, number: number): Promise<Buffer | undefined> {
  // RFC 2449 section 6.1: a server that lists its capabilities lists TOP when it has it.
  if (pop3.capabilities.size > 0 && !pop3.capabilities.has('TOP')) return undefined;
  return pop3.top(number).catch((error: unknown) => passRefusal(error, undefined));
}

type Read = { readonly sha256: string; readonly fingerprint: string | undefined };

/** Undefined when the server refuses it. */
async function readWhole(pop3: Pop3, number: number): Promise<Read | undefined> {
  const hash = createHash('sha256');
  const head: Buffer[] = [];
  let headSize = 0;
  try {
    await pop3.retr(number, (bytes) => {
      hash.update(bytes);
      if (headSize >= headBytes) return;
      head.push(Buffer.from(bytes));
      headSize += bytes.length;
    });
    const fingerprint = fingerprintOfHead(Buffer.concat(head).subarray(0, headBytes));
    return { sha256: hash.digest('hex'), fingerprint };
  } catch (error) {
    if (isRefusal(error)) return undefined;
    throw error;
  }
}

/**
 * A known mail is listed with another size: the provider counts otherwise now, or another mail took its UIDL, as after a
 * mailbox was rebuilt. Its header tells.
 */
export async function checkResized(run: Run, pop3: Pop3): Promise<void> {
  const { account } = run.deps;
  const { looked } = run.options.memory;
  const resized = (run.items ?? []).filter((item) => {
    const { entry, listed } = item;
    const settled = entry.state === 'handed-over' || entry.state === 'delete-pending' || entry.state === 'quarantined';
    const known = entry.listedBytes !== undefined && listed.sizeBytes !== undefined;
    return settled && known && entry.listedBytes !== listed.sizeBytes && lookedBefore(run, item) === undefined;
  });
  await inWindows(resized.slice(0, limitsOf(account).deletions), async (item) => {
    const likeness = await lookAt(pop3, item);
    if (likeness === 'same') looked.set(item.entry.id, { sizeBytes: item.listed.sizeBytes, found: 'same' });
    if (likeness === 'other' || likeness === 'alike') distrust(run, item);
  });
}

export async function inWindows<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  size = window,
): Promise<void> {
  for (let from = 0; from < items.length; from += size)
    await Promise.all(items.slice(from, from + size).map((item) => work(item)));
}
