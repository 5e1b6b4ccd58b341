// Mails that were just written: nearly every one is sent at once, and needs no reading then.

/** What was not sent for so long makes room. */
const recentMs = 60_000;

export type Recent = {
  readonly keep: (id: string, pieces: readonly Buffer[], sizeBytes: number) => void;
  /** Once: who needs it again reads the file. */
  readonly take: (id: string) => readonly Buffer[] | undefined;
  readonly forget: (id: string) => void;
};

/** Not more than `limitBytes` together: those that came first are sent first, so they stay. */
export function createRecent(limitBytes: number): Recent {
  type Kept = { readonly pieces: readonly Buffer[]; readonly sizeBytes: number; readonly at: number };
  const mails = new Map<string, Kept>();
  let sum = 0;

  function forget(id: string): void {
    sum -= mails.get(id)?.sizeBytes ?? 0;
    mails.delete(id);
  }

  /** In the order in which they came. */
  function makeRoom(sizeBytes: number): void {
    for (const [id, { at }] of mails) {
      if (sum + sizeBytes <= limitBytes || performance.now() - at < recentMs) return;
      forget(id);
    }
  }

  return {
    keep(id, pieces, sizeBytes) {
      makeRoom(sizeBytes);
      if (sum + sizeBytes > limitBytes) return;
      mails.set(id, { pieces, sizeBytes, at: performance.now() });
      sum += sizeBytes;
    },
    take(id) {
      const found = mails.get(id);
      forget(id);
      return found?.pieces;
    },
    forget,
  };
}
