// Simultaneous clients share the fsync of the queue folder and the commit of the index: whoever comes while one is under
// way goes with the next. Promise: join() resolves only after a folder fsync that began after it was called, and a commit
// that came after that fsync. The commit itself need not be on disk: the next start makes the row again from the file.

export type GroupCommit = {
  /** `work` runs inside the shared transaction. Rejects when the fsync or the transaction failed: nothing of the group is done then. */
  readonly join: (work: () => void) => Promise<void>;
  /** Work that can wait goes with the next group, or by itself after a short while. A failure is told to `onLazyFailure`. */
  readonly joinLater: (work: () => void) => void;
  /** Resolves when everything that joined is through. */
  readonly flush: () => Promise<void>;
};

type Member = { readonly work: () => void; readonly settle: (error?: unknown) => void };

export function createGroupCommit(options: {
  readonly syncFolder: () => Promise<void>;
  /** Resolves when it outlives the process. */
  readonly commit: (work: () => void) => void | Promise<void>;
  readonly onLazyFailure: (error: unknown) => void;
  readonly lazyMs?: number;
}): GroupCommit {
  let waiting: Member[] = [];
  let lazy: (() => void)[] = [];
  let running: Promise<void> | undefined;
  /** The folder of the next group is on its way to the disk while these are. */
  const commits = new Set<Promise<void>>();
  let timer: NodeJS.Timeout | undefined;

  async function runGroup(members: readonly Member[], later: readonly (() => void)[]): Promise<void> {
    const fail = (error: unknown): void => {
      for (const member of members) member.settle(error);
      if (later.length > 0) options.onLazyFailure(error);
    };
    try {
      await options.syncFolder();
    } catch (error) {
      return fail(error);
    }
    const commit = commitGroup(members, later).catch(fail);
    commits.add(commit);
    void commit.finally(() => commits.delete(commit));
  }

  async function commitGroup(members: readonly Member[], later: readonly (() => void)[]): Promise<void> {
    await options.commit(() => {
      for (const member of members) member.work();
      for (const work of later) work();
    });
    for (const member of members) member.settle();
  }

  async function runAll(): Promise<void> {
    // One turn of the event loop: clients whose files are ready at the same time form one group.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0 || lazy.length > 0) {
      const members = waiting;
      const later = lazy;
      waiting = [];
      lazy = [];
      clearTimeout(timer);
      timer = undefined;
      await runGroup(members, later);
    }
    // In the same breath as the last look at the lists: whoever joins after it must start a new run.
    running = undefined;
  }

  const busy = (): boolean => waiting.length > 0 || lazy.length > 0 || running !== undefined;
  const start = (): Promise<void> => (running ??= runAll());

  return {
    join(work) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const settle = (error?: unknown): void => (error === undefined ? resolve() : reject(error));
      waiting.push({ work, settle });
      void start();
      return promise;
    },
    joinLater(work) {
      lazy.push(work);
      timer ??= setTimeout(() => void start(), options.lazyMs ?? 200);
    },
    async flush() {
      clearTimeout(timer);
      timer = undefined;
      while (busy()) await start();
      await Promise.all(commits);
    },
  };
}
