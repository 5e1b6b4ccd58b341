// What the steps of one round share.
import type { AccountConfig } from '../config.ts';
import type { Watch } from '../net/socket.ts';
import type { Entry, Listed } from './ledger/ledger.ts';
import type { RoundDeps, RoundOptions } from './round.ts';
import type { Trouble } from './problem.ts';

export type Item = {
  readonly listed: Listed;
  entry: Entry;
  /** This session has shown that it is the mail that the ledger means. */
  proven: boolean;
};

export type Run = {
  readonly deps: RoundDeps;
  readonly options: RoundOptions;
  readonly today: number;
  /** Monotonic. */
  readonly startedAt: number;
  items: Item[] | undefined;
  /** Mails of the first listing (ledger ids up to `firstId`) are wanted from this time on. */
  since: { readonly at: number; readonly firstId: number } | undefined;
  /** A known UIDL stood for another mail: all are in doubt. */
  inDoubt: boolean;
  /** Ids of mails that were known before the first was fetched, by their content. */
  known: ReadonlyMap<string, number> | undefined;
  /** Ids of mails whose header was seen at their place in this session. */
  readonly seenAgain: Set<number>;
  /** Names what is listed, when mails without a usable UIDL are there. */
  listingKey: string;
  /** Of mails without a usable UIDL: how many with this content are named. */
  readonly contents: Map<string, number>;
  /** Mails that the server has but does not name. */
  unnamed: number;
  /** The next session may begin at once. */
  more: boolean;
  /** Something is left that the next round must look at, whatever STAT says. */
  unfinished: boolean;
  /** Why no further mail is fetched in this session. */
  trouble: Trouble | undefined;
  /** A shortened keeping time that nobody has confirmed. */
  keepQuestion: string;
  readonly gone: Set<number>;
  readonly times: Times;
};

/** Milliseconds; absent when the session did not get so far. */
export type Times = {
  connectMs?: number;
  tlsMs?: number;
  /** What is neither TCP nor TLS until the answer of the login. */
  loginMs?: number;
  listMs?: number;
  /** From the first RETR to its first byte. */
  firstByteMs?: number;
};

/** Notes how long TCP and TLS take. */
export function timesOfSocket(times: Times, monotonic: () => number): Watch {
  let begunAt = monotonic();
  return (stage, state) => {
    if (state === 'begun') begunAt = monotonic();
    else times[stage === 'tcp' ? 'connectMs' : 'tlsMs'] = monotonic() - begunAt;
  };
}

/** Mails that left the state `seen` since `before` was taken: mail has come. */
export function countSettled(before: readonly Item[]): number {
  return before.filter(({ entry }) => entry.state === 'handed-over' || entry.state === 'quarantined').length;
}

export type Limits = {
  readonly messages: number;
  readonly bytes: number;
  readonly ms: number;
  /** Mails deleted in a session that it has not read. */
  readonly deletions: number;
};

export function limitsOf({ session }: AccountConfig): Limits {
  return {
    messages: session?.messages ?? 2_000,
    bytes: (session?.megabytes ?? 1_000) * 1_000_000,
    ms: (session?.minutes ?? 30) * 60_000,
    deletions: session?.deletions ?? 500,
  };
}

export function isOversized(account: AccountConfig, { listed, entry }: Item): boolean {
  const { maxSizeBytes } = account;
  return entry.state === 'seen' && maxSizeBytes !== undefined && (listed.sizeBytes ?? 0) > maxSizeBytes;
}
