// Records of mails whose answers came at nearly the same time share one commit, and so one fsync, which holds up nobody else.
// Promises: join() resolves only when its work is on disk; and what took a mail (`holder`, a local session) can be held back
// by settled() until that mail is on record: so a crash doubles one mail an open session, as with a commit for each mail.
import { createDurableCommit } from '#shared/durable-commit.ts';
import type { Database } from '#shared/sqlite.ts';

export type Commits = {
  /** Rejects with what `work` throws: then nothing of it is done; or with NotDurable. */
  readonly join: (work: () => void, holder?: object) => Promise<void>;
  /** Undefined when nothing of `holder` waits; else settles, soon, as its join() does: a record that failed stops its session. */
  readonly settled: (holder: object) => Promise<void> | undefined;
  /** When nothing is under way any more. */
  readonly close: () => Promise<void>;
};

type Waiting = { readonly work: () => void; readonly resolve: (done: Promise<void>) => void };

/**
 * A commit begins when `most` records wait or somebody waits for one of them, else after `waitMs`. `sync`: see
 * durable-commit.ts; for tests.
 */
export function createCommits(options: {
  readonly db: Database;
  readonly most: number;
  readonly waitMs: number;
  readonly sync?: () => Promise<void>;
}): Commits {
  const { db, most, sync, waitMs } = options;
  const commit = createDurableCommit({ db, ...(sync && { sync }) });
  const held = new Map<object, Promise<void>>();
  let waiting: Waiting[] = [];
  let timer: NodeJS.Timeout | undefined;

  function begin(): void {
    clearTimeout(timer);
    const now = waiting;
    waiting = [];
    // In one turn, and so in one transaction.
    for (const { work, resolve } of now) resolve(commit.run(work));
  }

  return {
    join(work, holder) {
      const { promise: done, resolve } = Promise.withResolvers<void>();
      if (waiting.length === 0) timer = setTimeout(begin, waitMs);
      waiting.push({ work, resolve });
      if (waiting.length >= most) begin();
      if (holder === undefined) return done;
      held.set(holder, done);
      const forget = (): void => {
        if (held.get(holder) === done) held.delete(holder);
      };
      done.then(forget, forget);
      return done;
    },
    settled(holder) {
      const done = held.get(holder);
      if (done !== undefined) begin();
      return done;
    },
    async close() {
      begin();
      await commit.flush();
      await commit.close();
    },
  };
}
