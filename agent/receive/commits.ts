// Records of mails whose answers came at nearly the same time share one commit, and so one fsync.
// Promises: join() resolves only when its work is on disk; and what took a mail (`holder`, a local session) can be held back
// by settled() until that mail is on record: so a crash doubles one mail an open session, as with a commit for each mail.
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';

export type Commits = {
  /** Rejects with what `work` throws, or what its commit throws: then nothing of this work is done. */
  readonly join: (work: () => void, holder?: object) => Promise<void>;
  /** Undefined when nothing of `holder` waits; else settles, soon, as its join() does: a record that failed stops its session. */
  readonly settled: (holder: object) => Promise<void> | undefined;
};
type Member = {
  readonly work: () => void;
  readonly holder: object | undefined;
  readonly settle: (failure?: { readonly error: unknown }) => void;
  readonly done: Promise<void>;
};

/**
 * A commit comes at the end of the turn in which `most` records wait or somebody waits for one of them, else after `waitMs`.
 */
export function createCommits(db: Database, pace: { readonly most: number; readonly waitMs: number }): Commits {
  let waiting: Member[] = [];
  let immediate: NodeJS.Immediate | undefined;
  let timer: NodeJS.Timeout | undefined;

  function commit(): void {
    clearImmediate(immediate);
    clearTimeout(timer);
    immediate = undefined;
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
    join(work, holder) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const settle: Member['settle'] = (failure) => (failure === undefined ? resolve() : reject(failure.error));
      if (waiting.length === 0) timer = setTimeout(commit, pace.waitMs);
      waiting.push({ work, holder, settle, done: promise });
      if (waiting.length >= pace.most) immediate ??= setImmediate(commit);
      return promise;
    },
    settled(holder) {
      const member = waiting.findLast((candidate) => candidate.holder === holder);
      if (member === undefined) return undefined;
      immediate ??= setImmediate(commit);
      return member.done;
    },
  };
}
