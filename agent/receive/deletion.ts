// The end of a session: which mails may go, the proof that they are what the ledger means, DELE, QUIT, recorded as gone.
// Promise (rule of safety 1): DELE without having read the mail in this session only when its size and the fingerprint of
// its header are those recorded; where TOP cannot tell, the mail is read first.
import { compareFingerprints } from './ledger/fingerprint.ts';
import { inWindows, keepChanged, lookAt, lookedBefore, readWhole } from './known/looking.ts';
import type { Pop3 } from './pop3/pop3.ts';
import { passRefusal } from './pop3/refusal.ts';
import { doubtAll } from './known/renumbering.ts';
import { deletable, dueCopies } from './retention.ts';
import type { Copy, Keep } from './retention.ts';
import { limitsOf } from './round-run.ts';
import type { Item, Run } from './round-run.ts';

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
  // QUIT, which carries them out, waits for their answers: a session that is out of step deletes nothing.
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
  // Another mail stands where this one was: it is fetched in the next session, and its content decides.
  else doubtAll(run, item);
}
