// Looking at a mail that the provider holds, without taking it: its header by TOP, or the whole of it for its digest.
import { createHash } from 'node:crypto';
import { compareFingerprints, fingerprintOfHead } from '../ledger/fingerprint.ts';
import type { Likeness } from '../ledger/fingerprint.ts';
import { headBytes } from '../pop3/pop3.ts';
import type { Pop3 } from '../pop3/pop3.ts';
import { isRefusal, passRefusal } from '../pop3/refusal.ts';
import type { Item, Run } from '../round-run.ts';

const window = 50;

/** Undefined when the server has no TOP or refuses it. */
export async function topOf(pop3: Pop3, number: number): Promise<Buffer | undefined> {
  if (!hasTop(pop3)) return undefined;
  return pop3.top(number).catch((error: unknown) => passRefusal(error, undefined));
}

/** RFC 2449 section 6.1: a server that lists its capabilities lists TOP when it has it. */
export function hasTop(pop3: Pop3): boolean {
  return pop3.capabilities.size === 0 || pop3.capabilities.has('TOP');
}

export async function fingerprintAt(pop3: Pop3, number: number): Promise<string | undefined> {
  const head = await topOf(pop3, number);
  return head === undefined ? undefined : fingerprintOfHead(head);
}

/** Compares the header as TOP shows it; `unknown` when the server or the mail gives nothing to compare. */
export async function lookAt(pop3: Pop3, { entry, listed }: Item): Promise<Likeness> {
  if (entry.fingerprint === undefined) return 'unknown';
  return compareFingerprints(entry.fingerprint, await fingerprintAt(pop3, listed.number));
}

export type Read = { readonly sha256: string; readonly fingerprint: string | undefined };

/** Undefined when the server refuses it. */
export async function readWhole(pop3: Pop3, number: number): Promise<Read | undefined> {
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

/** What was found before, in this life, at the size that is listed now. */
export function lookedBefore(run: Run, { entry, listed }: Item): 'same' | 'changed' | undefined {
  const looked = run.options.memory.looked.get(entry.id);
  return looked?.sizeBytes === listed.sizeBytes ? looked?.found : undefined;
}

/** The mail that we know, and yet not what was handed over: neither delivered again nor deleted. */
export function keepChanged(run: Run, { entry, listed }: Item): void {
  const { log, account } = run.deps;
  log.warn(
    { account: account.id, mail: entry.id },
    'the provider has changed a mail that was handed over; it stays there',
  );
  run.options.memory.looked.set(entry.id, { sizeBytes: listed.sizeBytes, found: 'changed' });
}

export async function inWindows<T>(
  items: readonly T[],
  work: (item: T) => Promise<void>,
  size = window,
): Promise<void> {
  for (let from = 0; from < items.length; from += size)
    await Promise.all(items.slice(from, from + size).map((item) => work(item)));
}
