// Records of mails whose answers came at the same time share one commit, and so one fsync.
// Promise: join() resolves only when its work is on disk. The commit comes in the turn of the event loop in which join() was
// called, before anything more is read from the network: no local session can get as far as its next mail's end before.
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';

export type Commits = {
  /** Rejects with what `work` throws, or what its commit throws: then nothing of this work is done. */
  readonly join: (work: () => void) => Promise<void>;
};
type Member = { readonly work: () => void; readonly settle: (failure?: { readonly error: unknown }) => void };

export function createCommits(db: Database): Commits {
  let waiting: Member[] = [];

  function commit(): void {
    const members = waiting;
    waiting = [];
    const failure = attempt(() => members.forEach(({ work }) => work()));
    // One bad record must not undo the others: each by itself, then.
    for (const { work, settle } of members)
      settle(failure === undefined || members.length === 1 ? failure : attempt(work));
  }

  function attempt(work: () => void): { readonly error: unknown } | undefined {
    try {
      transaction(db, work);
      return undefined;
    } catch (error) {
      return { error };
    }
  }

  return {
    join(work) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const settle: Member['settle'] = (failure) => (failure === undefined ? resolve() : reject(failure.error));
      if (waiting.length === 0) setImmediate(commit);
      waiting.push({ work, settle });
      return promise;
    },
  };
}
