// UIDLs that change their meaning: a provider that gives out message numbers for UIDLs, or that begins to count anew when it
// rebuilds a mailbox. A known UIDL that stands for another mail puts all UIDLs of the account in doubt, and then content says
// which mail is which: here by TOP, where size and header name one known mail and no other; else by the SHA-256 of the
// fetched mail (reconcile.ts).
// Promises: a known mail is not delivered again, a new one is delivered; nothing in doubt is deleted.
import { compareFingerprints, messageIdPart } from './fingerprint.ts';
import type { Entry, Place } from './ledger.ts';
import { fingerprintAt, hasTop, inWindows, keepChanged, lookAt, lookedBefore, readWhole } from './looking.ts';
import type { Pop3 } from './pop3.ts';
import { limitsOf } from './round-run.ts';
import type { Item, Run } from './round-run.ts';

/** Where TOP cannot tell, so much is read in one round to compare it. */
const mostReadBytes = 10_000_000;
const mostRead = 50;
/** Headers looked at in one session; what is in doubt beyond that is fetched. */
const mostLooked = 10_000;

export async function checkUidls(run: Run, pop3: Pop3): Promise<void> {
  await checkResized(run, pop3);
  if (!run.inDoubt) await checkLast(run, pop3);
  await recogniseByHeader(run, pop3);
}

/** A known UIDL stands for another mail: what any UIDL of this account stands for is in doubt. */
export function doubtAll(run: Run, { entry }: Item): void {
  const { ledger, log, account } = run.deps;
  run.more = true;
  if (run.inDoubt) return;
  run.inDoubt = true;
  log.warn(
    { account: account.id, mail: entry.id },
    'another mail stands under a known UIDL; all mails of this account are compared with what is known',
  );
  ledger.doubtAll(account.id);
  readAgain(run);
}

/** Which row stands where, after rows have changed places. */
function readAgain(run: Run): void {
  const { ledger, account } = run.deps;
  const rows = new Map(ledger.openEntries(account.id).map((entry) => [spellPlace(entry), entry]));
  for (const item of run.items ?? []) item.entry = rows.get(spellPlace(item.entry)) ?? item.entry;
}

function spellPlace({ uidl, occurrence }: Place): string {
  return occurrence + ' ' + uidl;
}

/**
 * A known mail is listed with another size: the provider counts otherwise now, or another mail took its UIDL. Its header
 * tells, or the whole of it.
 */
async function checkResized(run: Run, pop3: Pop3): Promise<void> {
  const resized = (run.items ?? []).filter((item) => {
    const { entry, listed } = item;
    const sizes = entry.listedBytes !== undefined && listed.sizeBytes !== undefined;
    return isKnown(entry) && sizes && entry.listedBytes !== listed.sizeBytes && lookedBefore(run, item) === undefined;
  });
  const mute: Item[] = [];
  await inWindows(resized.slice(0, limitsOf(run.deps.account).deletions), async (item) => {
    const { entry, listed } = item;
    const likeness = await lookAt(pop3, item);
    if (likeness === 'same') run.options.memory.looked.set(entry.id, { sizeBytes: listed.sizeBytes, found: 'same' });
    else if (likeness === 'unknown') mute.push(item);
    else doubtAll(run, item);
  });
  await readResized(run, pop3, mute);
}

async function readResized(run: Run, pop3: Pop3, mute: readonly Item[]): Promise<void> {
  const bySize = mute.toSorted((a, b) => (a.listed.sizeBytes ?? 0) - (b.listed.sizeBytes ?? 0));
  let bytes = 0;
  for (const [index, item] of bySize.entries()) {
    bytes += item.listed.sizeBytes ?? 0;
    if (run.inDoubt) return;
    if (index > 0 && (index >= mostRead || bytes > mostReadBytes)) {
      run.unfinished = true;
      return;
    }
    await readOne(run, pop3, item);
  }
}

async function readOne(run: Run, pop3: Pop3, item: Item): Promise<void> {
  const { entry, listed } = item;
  // Of one that was passed over only the header is known, and that cannot be compared.
  const read = entry.sha256 === undefined ? undefined : await readWhole(pop3, listed.number);
  if (read === undefined) {
    run.options.memory.looked.set(entry.id, { sizeBytes: listed.sizeBytes, found: 'changed' });
  } else if (read.sha256 === entry.sha256) {
    if (listed.sizeBytes !== undefined) run.deps.ledger.resize(entry.id, listed.sizeBytes);
    item.entry = { ...entry, listedBytes: listed.sizeBytes };
    item.proven = true;
  } else if (compareFingerprints(entry.fingerprint, read.fingerprint) === 'same') keepChanged(run, item);
  else doubtAll(run, item);
}

/**
 * UIDLs that are the numbers of the mails in the listing move up when a mail before them goes, and sizes may be equal. Then
 * the last known mail is no longer at its place: one look tells for all of them.
 */
async function checkLast(run: Run, pop3: Pop3): Promise<void> {
  const last = (run.items ?? [])
    .filter(({ entry }) => isKnown(entry))
    .reduce<Item | undefined>((a, b) => (a !== undefined && a.listed.number > b.listed.number ? a : b), undefined);
  if (last === undefined || last.listed.uidl !== String(last.listed.number)) return;
  if (last.entry.listedBytes !== last.listed.sizeBytes) return; // looked at above
  const likeness = await lookAt(pop3, last);
  if (likeness === 'other' || likeness === 'alike') doubtAll(run, last);
  else if (likeness === 'unknown' && (last.listed.sizeBytes ?? 0) <= 100_000) await readOne(run, pop3, last);
}

/** What was dealt with, and can be compared. */
function isKnown({ state, sha256, fingerprint }: Entry): boolean {
  return state !== 'seen' && state !== 'gone' && (sha256 !== undefined || fingerprint !== undefined);
}

/**
 * Of mails in doubt: size and header, Message-ID among it, are those of one known mail, and of no second one, there or here.
 * That is as much as a deletion asks for. Two copies of one mail are fetched, and their digests count.
 */
async function recogniseByHeader(run: Run, pop3: Pop3): Promise<void> {
  const { ledger, account, log } = run.deps;
  const doubtful = (run.items ?? []).filter(({ entry }) => entry.state === 'seen' && entry.recheck);
  if (doubtful.length === 0 || !hasTop(pop3)) return;
  // What is missing may be known again by its digest, or at its own place.
  const strays = ledger.strays(account.id).filter(({ state }) => state === 'seen');
  const known = groupBy(strays, ({ fingerprint, listedBytes }) => keyOf(fingerprint, listedBytes));
  const sizes = new Set(strays.map(({ listedBytes }) => listedBytes));
  const looked: { readonly item: Item; readonly key: string | undefined }[] = [];
  const worth = doubtful.filter(({ listed }) => listed.sizeBytes !== undefined && sizes.has(listed.sizeBytes));
  await inWindows(worth.slice(0, mostLooked), async (item) => {
    const fingerprint = await fingerprintAt(pop3, item.listed.number);
    looked.push({ item, key: keyOf(fingerprint, item.listed.sizeBytes) });
  });
  const finds = [...groupBy(looked, ({ key }) => key)].flatMap(([key, [one, ...others]]) => {
    const [row, ...twins] = known.get(key) ?? [];
    if (one === undefined || row === undefined || others.length > 0 || twins.length > 0) return [];
    const elsewhere = row.id !== one.item.entry.id;
    return row.absent && elsewhere ? [] : [{ id: row.id, item: one.item }];
  });
  if (finds.length === 0) return;
  const places = finds.map(({ id, item }) => ({ id, place: placeOf(item) }));
  ledger.recognise(account.id, places, run.today);
  readAgain(run);
  for (const { item } of finds) item.proven = true;
  const facts = { account: account.id, recognised: finds.length, inDoubt: doubtful.length };
  log.info(facts, 'known mails were recognised by their size and header');
}

function placeOf({ listed, entry }: Item): Place {
  return { uidl: listed.uidl, occurrence: entry.occurrence };
}

/** Undefined when it would name too little: mails without Message-ID are often alike. */
function keyOf(fingerprint: string | undefined, sizeBytes: number | undefined): string | undefined {
  if (fingerprint === undefined || sizeBytes === undefined) return undefined;
  return messageIdPart(fingerprint) === undefined ? undefined : sizeBytes + ' ' + fingerprint;
}

function groupBy<T>(list: readonly T[], key: (one: T) => string | undefined): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const one of list) {
    const name = key(one);
    if (name === undefined) continue;
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [one]);
    else group.push(one);
  }
  return groups;
}
