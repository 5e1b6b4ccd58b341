// UIDLs that change their meaning: a provider that gives out message numbers for UIDLs, or that begins to count anew when it
// rebuilds a mailbox. A known UIDL that stands for another mail puts all UIDLs of the account in doubt, and then content says
// which mail is which: here by TOP, where size and header name one known mail and no other; else by the SHA-256 of the
// fetched mail (reconcile.ts).
// Promises: a known mail is not delivered again, a new one is delivered; nothing in doubt is deleted.
import { setImmediate as turn } from 'node:timers/promises';
import type { FetchedMail } from '../delivery/body.ts';
import { compareFingerprints, fingerprintOfHead, messageIdPart } from '../ledger/fingerprint.ts';
import type { Entry, Place } from '../ledger/ledger.ts';
import { fingerprintAt, hasTop, inWindows, keepChanged, lookAt, lookedBefore, readWhole } from './looking.ts';
import type { Pop3 } from '../pop3/pop3.ts';
import { limitsOf } from '../round-run.ts';
import type { Item, Run } from '../round-run.ts';

/** Where TOP cannot tell, so much is read in one round to compare it. */
const mostReadBytes = 10_000_000;
const mostRead = 50;
const smallBytes = 100_000;
/** A header has two or three kilobytes. */
const mostDaily = 2_000;
/** Headers looked at in one session; what is in doubt beyond that is fetched. */
const mostLooked = 100_000;
/** Written in one go: other rooms wait meanwhile. */
const mostWritten = 1_000;
/** Contents that were compared once in this life; each costs a look at all mails of the account. */
const mostCompared = 1_000;

export async function checkUidls(run: Run, pop3: Pop3): Promise<void> {
  await checkResized(run, pop3);
  if (!run.inDoubt) await checkLast(run, pop3);
  if (!run.inDoubt) await checkDaily(run, pop3);
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

/**
 * True when a mail was fetched whose content is known, at another place that nobody has looked at in this session: it is a
 * second one, or it has moved and another mail stands there. All are compared first; then it is fetched again.
 */
export function mustCompareFirst(run: Run, item: Item, mail: Pick<FetchedMail, 'sha256' | 'head'>): boolean {
  const { ledger, account } = run.deps;
  const { memory } = run.options;
  const { sha256 } = mail;
  memory.compared ??= new Set();
  if (item.listed.uidl === '' || item.entry.sha256 === sha256 || memory.compared.has(sha256)) return false;
  run.known ??= contentsOf(run);
  const id = run.known.get(sha256);
  if (id === undefined || id === item.entry.id) return false;
  const fingerprint = fingerprintOfHead(mail.head);
  // Mails without Message-ID may be alike to the byte.
  if (!item.entry.recheck && messageIdPart(fingerprint) === undefined) return false;
  if (run.seenAgain.has(id) || (run.items ?? []).some(({ entry, proven }) => entry.id === id && proven)) return false;
  if (ledger.hasStray(account.id, { sha256, fingerprint, listedBytes: item.listed.sizeBytes })) return false;
  if (memory.compared.size >= mostCompared) memory.compared.clear();
  memory.compared.add(sha256);
  doubtAll(run, item);
  return true;
}

/** Ids of mails that were dealt with, by their content; not of those that are in doubt. */
function contentsOf(run: Run): ReadonlyMap<string, number> {
  const known = (run.items ?? []).filter(({ entry }) => isKnown(entry) && !entry.recheck);
  return new Map(known.flatMap(({ entry }) => (entry.sha256 === undefined ? [] : [[entry.sha256, entry.id] as const])));
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
  const read = await readWhole(pop3, listed.number);
  if (read === undefined) return;
  if (read.sha256 === entry.sha256) {
    if (listed.sizeBytes !== undefined) run.deps.ledger.resize(entry.id, listed.sizeBytes);
    item.entry = { ...entry, listedBytes: listed.sizeBytes };
    item.proven = true;
    return;
  }
  const isSame = compareFingerprints(entry.fingerprint, read.fingerprint) === 'same';
  // Of one that was passed over only the header is known.
  if (isSame && entry.sha256 === undefined)
    run.options.memory.looked.set(entry.id, { sizeBytes: listed.sizeBytes, found: 'same' });
  else if (isSame) keepChanged(run, item);
  else doubtAll(run, item);
}

/**
 * Mails that are known by their place, be it that UIDLs are message numbers or that several share one, move up when a mail
 * before them goes, and sizes may be equal. Then the last known one is no longer at its place: one look tells for all.
 */
async function checkLast(run: Run, pop3: Pop3): Promise<void> {
  const { ledger, account } = run.deps;
  const lasts = lastOnes(run.items ?? [], ledger.sharedUidls(account.id));
  await inWindows(lasts.slice(0, mostRead), async (item) => {
    const { entry, listed } = item;
    if (entry.listedBytes !== listed.sizeBytes) return; // looked at above
    const likeness = await lookAt(pop3, item);
    if (likeness === 'other' || likeness === 'alike') doubtAll(run, item);
    else if (likeness === 'unknown' && (listed.sizeBytes ?? 0) <= smallBytes) await readOne(run, pop3, item);
  });
}

/** The last known one of each row of places, and the last one before it of other bytes: a twin may stand at its place. */
function lastOnes(items: readonly Item[], shared: ReadonlySet<string>): readonly Item[] {
  const rows = new Map<string, Item[]>();
  for (const item of items) {
    const { uidl, number } = item.listed;
    if (!isKnown(item.entry) || uidl === '') continue;
    const place = shared.has(uidl) ? 'UIDL ' + uidl : uidl === String(number) ? 'number' : undefined;
    if (place === undefined) continue;
    const row = rows.get(place);
    if (row === undefined) rows.set(place, [item]);
    else row.push(item);
  }
  return [...rows.values()].flatMap((row) => {
    const sorted = row.toSorted((a, b) => b.listed.number - a.listed.number);
    const [last] = sorted;
    const other = sorted.find(({ entry }) => entry.sha256 !== last?.entry.sha256);
    return [last, other].filter((item) => item !== undefined);
  });
}

/**
 * Another mail may have taken both the UIDL and the size of a known one. Nothing in a listing tells, so each known mail is
 * looked at once a day; of very many, some, and others on the next day.
 */
async function checkDaily(run: Run, pop3: Pop3): Promise<void> {
  const { memory } = run.options;
  const isNewDay = memory.checkedDay !== undefined && memory.checkedDay !== run.today;
  if (isNewDay && hasTop(pop3)) {
    const known = (run.items ?? []).filter(
      ({ entry, listed, proven }) => isKnown(entry) && !proven && entry.listedBytes === listed.sizeBytes,
    );
    const from = known.length > mostDaily ? (run.today * mostDaily) % known.length : 0;
    await inWindows([...known.slice(from), ...known.slice(0, from)].slice(0, mostDaily), async (item) => {
      const likeness = await lookAt(pop3, item);
      if (likeness === 'same') run.seenAgain.add(item.entry.id);
      else if (likeness !== 'unknown') doubtAll(run, item);
    });
  }
  memory.checkedDay = run.today;
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
  for (let from = 0; from < finds.length; from += mostWritten) {
    const part = finds.slice(from, from + mostWritten);
    ledger.recognise(
      account.id,
      part.map(({ id, item }) => ({ id, place: placeOf(item) })),
      run.today,
    );
    await turn();
  }
  readAgain(run);
  // Not proven: deletions without reading are limited, however many were recognised.
  for (const { id } of finds) run.seenAgain.add(id);
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
