// The first round of an account: mails are there, and nobody knows yet whether they are wanted. Asked, never guessed.
import { readHeader, receivedAt } from '../delivery/header.ts';
import type { FirstRun } from '../ledger/ledger.ts';
import { Question } from './question.ts';
import type { Run } from '../round-run.ts';

/** What is to be done with the `count` mails that are there. Throws Question when the configuration does not say. */
export function firstRunOf(run: Run, count: number): FirstRun {
  const { firstRun, id } = run.deps.account;
  if (count === 0 || firstRun === 'all') return { kind: 'all' };
  if (firstRun === 'new-only') return { kind: 'new-only' };
  if (firstRun !== undefined) return { kind: 'since', at: Date.parse(firstRun.since + 'T00:00:00Z') };
  throw new Question(
    id +
      ': paused, this mailbox was never fetched and holds ' +
      count +
      ' mails; set firstRun of this account to all (deliver them), new-only (leave them there) or {since: YYYY-MM-DD}, and restart',
  );
}

/** A mail of the first listing that came before the day from which mails are wanted. What has no date is wanted. */
export function isTooOld(head: Buffer, sinceAt: number): boolean {
  const header = readHeader(head);
  const date = header.findLast(({ name }) => name === 'date')?.value ?? '';
  const at = receivedAt(header) ?? Date.parse(date.replaceAll(/\([^()]*\)/g, ' '));
  return at < sinceAt; // NaN is not
}
