// Changes of a database that reach the disk together, without holding up the process while the disk works. Promise: run()
// resolves only when what `work` did outlives a power cut; when it rejects, `work` is undone, unless the disk itself failed
// at the very end (`NotDurable`): then it may be there or not.
//
// With synchronous=FULL a commit is one fsync of the write-ahead log, and SQLite makes all of the process wait for it. Here
// the transaction is written with NORMAL, which leaves just that fsync out, and the same fsync is asked for from a thread.
// The log is sequential: a commit of anybody else that is on disk has all earlier ones before it.
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { describe } from './failure.ts';
import { transaction } from './sqlite.ts';
import type { Database } from './sqlite.ts';

export class NotDurable extends Error {
  override readonly name = 'NotDurable';
}

export type DurableCommit = {
  /** `work` is done with that of others in one transaction, and once more alone when one of them throws. */
  readonly run: <T>(work: () => T) => Promise<T>;
  /** Resolves when everything that was asked for is through. */
  readonly flush: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** `perform` throws what the work throws; `settle` tells its caller. */
type Member = { readonly perform: () => void; readonly settle: (error?: unknown) => void };

/** `sync`: of the write-ahead log; a test replaces it. */
export function createDurableCommit(options: {
  readonly db: Database;
  readonly sync?: () => Promise<void>;
}): DurableCommit {
  const { db } = options;
  const log = createLogSync(db);
  let waiting: Member[] = [];
  let running: Promise<void> | undefined;

  function commit(members: readonly Member[]): readonly Member[] {
    try {
      transaction(db, () => {
        for (const member of members) member.perform();
      });
      return members;
    } catch (error) {
      if (members.length > 1) return members.flatMap((member) => commit([member]));
      members[0]?.settle(error);
      return [];
    }
  }

  async function runGroup(members: readonly Member[]): Promise<void> {
    db.exec('PRAGMA synchronous=NORMAL');
    let written: readonly Member[] = [];
    try {
      written = commit(members);
    } finally {
      db.exec('PRAGMA synchronous=FULL');
    }
    if (written.length === 0) return;
    try {
      await (options.sync ?? log.sync)();
    } catch (cause) {
      const error = new NotDurable('Cannot write to the disk: ' + describe(cause), { cause });
      for (const member of written) member.settle(error);
      return;
    }
    for (const member of written) member.settle();
  }

  async function runAll(): Promise<void> {
    // One turn of the event loop: what several sessions have to say at the same time is one commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const members = waiting;
      waiting = [];
      await runGroup(members);
    }
    // In the same breath as the last look at the list: whoever comes after it must start a new run.
    running = undefined;
  }

  return {
    run<T>(work: () => T) {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      let result: { readonly value: T } | undefined;
      waiting.push({
        perform: () => void (result = { value: work() }),
        settle: (error) => (error === undefined && result !== undefined ? resolve(result.value) : reject(error)),
      });
      running ??= runAll();
      return promise;
    },
    flush: () => running ?? Promise.resolve(),
    close: log.close,
  };
}

type LogSync = { readonly sync: () => Promise<void>; readonly close: () => Promise<void> };

/** Asks the disk for the write-ahead log of the database. A database in memory has none, and nothing to wait for. */
function createLogSync(db: Database): LogSync {
  let handle: Promise<FileHandle | undefined> | undefined;

  async function openLog(): Promise<FileHandle | undefined> {
    const file = String(db.prepare("SELECT file FROM pragma_database_list WHERE name = 'main'").get()?.['file'] ?? '');
    // Only this file may be opened beside SQLite: closing another of its files would end SQLite's locks (POSIX).
    return file === '' ? undefined : open(file + '-wal', 'r');
  }

  return {
    async sync(): Promise<void> {
      handle ??= openLog();
      try {
        await (await handle)?.datasync();
      } catch (error) {
        handle = undefined;
        throw error;
      }
    },
    async close(): Promise<void> {
      const opened = handle;
      handle = undefined;
      await (await opened?.catch(() => undefined))?.close();
    },
  };
}
