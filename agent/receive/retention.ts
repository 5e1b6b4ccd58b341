// May a mail be deleted at the provider? Pure; the one place that says yes. Whatever is not clearly allowed is kept.

export type Keep = 'none' | 'forever' | { readonly days: number };

/** A mail as the provider lists it now, with what the ledger knows of it. */
export type Copy = {
  readonly number: number;
  readonly uidl: string;
  /** `handed-over` means: to all recipients. */
  readonly state: 'seen' | 'handed-over' | 'quarantined' | 'delete-pending' | 'gone';
  /** Ordinal of the day on which it was handed over, among the days that the agent saw. */
  readonly handedOverDay: number | undefined;
  /** Size in the provider's listing when it was fetched, and now. */
  readonly recordedBytes: number | undefined;
  readonly listedBytes: number | undefined;
  /** It was read in this session, so it is certainly the mail that the ledger means. */
  readonly fetchedNow: boolean;
};

/** Numbers of the mails that may be deleted. `today` is the ordinal of the present day among the days that the agent saw. */
export function deletable(copies: readonly Copy[], keep: Keep, today: number): readonly number[] {
  // Copies that share a UIDL cannot be told apart with certainty: all of them may go, or none.
  const blocked = new Set(copies.filter((copy) => !mayGo(copy, keep, today)).map((copy) => copy.uidl));
  return copies.filter((copy) => !blocked.has(copy.uidl)).map((copy) => copy.number);
}

function mayGo(copy: Copy, keep: Keep, today: number): boolean {
  if (copy.state !== 'handed-over' && copy.state !== 'delete-pending') return false;
  return isSameMail(copy) && isTimeOver(copy, keep, today);
}

/** A server that gives a UIDL to another mail shows another size, mostly. */
function isSameMail(copy: Copy): boolean {
  return copy.fetchedNow || (copy.recordedBytes !== undefined && copy.recordedBytes === copy.listedBytes);
}

function isTimeOver(copy: Copy, keep: Keep, today: number): boolean {
  if (keep === 'forever') return false;
  if (keep === 'none') return true;
  // `>`: from late on the first day to early on the last, only days - 1 whole days have passed.
  return copy.handedOverDay !== undefined && today - copy.handedOverDay > keep.days;
}
