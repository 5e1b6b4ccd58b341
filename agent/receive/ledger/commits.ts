// Records of mails share one commit, and so one fsync, which holds up nobody else.
// Promises: join() resolves only when its work is on disk; and what took a mail (`holder`, a local session) can be held back
// by settled() until that mail is on record: so a crash doubles one mail an open session, as with a commit for each mail.
import { createDurableCommit } from '#shared/durable-commit.ts';
import type { Database } from '#shared/sqlite.ts';

export type Commits = {
  /** Rejects with what `work` throws: then nothing of it is done; or with NotDurable. */
  readonly join: (work: () => void, holder?: object) => Promise<void>;
  /** Undefined when nothing of `holder` waits; else settles as its latest join() does: a record that failed stops its session. */
  readonly settled: (holder: object) => Promise<void> | undefined;
  /** When nothing is under way any more. */
  readonly close: () => Promise<void>;
};

/** `sync`: see durable-commit.ts; for tests. */
export function createCommits(db: Database, sync?: () => Promise<void>): Commits {
  const commit = createDurableCommit({ db, ...(sync && { sync }) });
  const held = new Map<object, Promise<void>>();

  return {
    join(work, holder) {
      const done = commit.run(work);
      if (holder === undefined) return done;
      held.set(holder, done);
      const forget = (): void => {
        if (held.get(holder) === done) held.delete(holder);
      };
      done.then(forget, forget);
      return done;
    },
    settled: (holder) => held.get(holder),
    async close() {
      await commit.flush();
      await commit.close();
    },
  };
}
