// May a mail be deleted at the provider? Pure; the one place that says yes. Whatever is not clearly allowed is kept.

export type Keep = 'none' | 'forever' | { readonly days: number };

/** A mail as the provider lists it now, with what the ledger knows of it. */
export type Copy = {
  readonly number: number;
  readonly uidl: string;
  /** `handed-over` means: to all recipients. */
  readonly state: 'seen' | 'handed-over' | 'quarantined' | 'delete-pending' | 'gone' | 'passed-over';
  /** Ordinal of the day on which it was handed over, among the days that the agent saw. */
  readonly handedOverDay: number | undefined;
  /**
   * This session has shown that it is the mail that the ledger means: it was read whole, or its size and the fingerprint
   * of its header are those recorded.
   */
  readonly proven: boolean;
};

/** Numbers of the mails that may be deleted. `today` is the ordinal of the present day among the days that the agent saw. */
export function deletable(copies: readonly Copy[], keep: Keep, today: number): readonly number[] {
  return together(copies, (copy) => copy.proven && isOver(copy, keep, today));
}

/** The same, but for the proof: these are worth looking at. */
export function dueCopies(copies: readonly Copy[], keep: Keep, today: number): readonly number[] {
  return together(copies, (copy) => isOver(copy, keep, today));
}

/** Copies that share a UIDL cannot be told apart with certainty: all of them may go, or none. */
function together(copies: readonly Copy[], mayGo: (copy: Copy) => boolean): readonly number[] {
  const blocked = new Set(copies.filter((copy) => !mayGo(copy)).map((copy) => copy.uidl));
  return copies.filter((copy) => !blocked.has(copy.uidl)).map((copy) => copy.number);
}

function isOver(copy: Copy, keep: Keep, today: number): boolean {
  if (copy.state !== 'handed-over' && copy.state !== 'delete-pending') return false;
  if (keep === 'forever') return false;
  if (keep === 'none') return true;
  // `>`: from late on the first day to early on the last, only days - 1 whole days have passed.
  return copy.handedOverDay !== undefined && today - copy.handedOverDay > keep.days;
}

/** How an account's keeping time is written into the ledger. */
export function spellKeep(keep: Keep): string {
  return typeof keep === 'string' ? keep : 'days:' + keep.days;
}

/** Undefined for what is no keeping time. */
export function readKeep(text: string): Keep | undefined {
  if (text === 'none' || text === 'forever') return text;
  const days = /^days:(\d{1,6})$/.exec(text)?.[1];
  return days === undefined ? undefined : { days: Number(days) };
}

/** `a` lets mails go earlier than `b`. */
export function isShorter(a: Keep, b: Keep): boolean {
  return daysOf(a) < daysOf(b);
}

export function showKeep(keep: Keep): string {
  return typeof keep === 'string' ? keep : keep.days + ' days';
}

function daysOf(keep: Keep): number {
  if (keep === 'forever') return Infinity;
  return keep === 'none' ? 0 : keep.days;
}
