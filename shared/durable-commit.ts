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
  /** The same for what need not outlive a power cut yet: resolves when it outlives the process, and is on disk with the next run(). */
  readonly write: <T>(work: () => T) => Promise<T>;
  /** Resolves when all that is written by now is on disk: with somebody's run(), or with a sync of its own after a short while. */
  readonly settled: () => Promise<void>;
  /** Resolves when everything that was asked for is through. */
  readonly flush: () => Promise<void>;
  readonly close: () => Promise<void>;
};

/** `perform` throws what the work throws; `settle` tells its caller. */
type Member = { readonly durable: boolean; readonly perform: () => void; readonly settle: (error?: unknown) => void };

/** For so long what can wait is not worth a sync of its own. */
const lazyMs = 100;

/** `sync`: of the write-ahead log; a test replaces it. */
export function createDurableCommit(options: {
  readonly db: Database;
  readonly sync?: () => Promise<void>;
}): DurableCommit {
  const { db } = options;
  const log = createLogSync(db);
  let waiting: Member[] = [];
  /** Written, to be told when they are on disk. */
  let written: Member[] = [];
  let lazy: (() => void)[] = [];
  let timer: NodeJS.Timeout | undefined;
  let turn: Promise<void> | undefined;
  let syncing: Promise<void> | undefined;

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

  function writeAll(): void {
    if (waiting.length === 0) return;
    const members = waiting;
    waiting = [];
    db.exec('PRAGMA synchronous=NORMAL');
    try {
      for (const member of commit(members)) {
        if (member.durable) written.push(member);
        else member.settle();
      }
    } finally {
      db.exec('PRAGMA synchronous=FULL');
    }
  }

  /** What several have to say in one turn of the event loop is one transaction. */
  async function takeTurn(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    turn = undefined;
    // Those who must wait for the disk anyway are written together when it is free.
    if (syncing === undefined || waiting.some((member) => !member.durable)) writeAll();
    if (written.length > 0) syncing ??= syncAll();
  }

  async function syncAll(): Promise<void> {
    while (written.length > 0) {
      const members = written;
      written = [];
      const settling = lazy;
      lazy = [];
      const error = await syncOnce();
      for (const member of members) member.settle(error);
      if (error === undefined) for (const settle of settling) settle();
      else postpone(settling);
      writeAll();
    }
    // In the same breath as the last look at the list: whoever comes after it must start anew.
    syncing = undefined;
  }

  async function syncOnce(): Promise<NotDurable | undefined> {
    try {
      await (options.sync ?? log.sync)();
      return undefined;
    } catch (cause) {
      return new NotDurable('Cannot write to the disk: ' + describe(cause), { cause });
    }
  }

  function join<T>(durable: boolean, work: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    let result: { readonly value: T } | undefined;
    waiting.push({
      durable,
      perform: () => void (result = { value: work() }),
      settle: (error) => (error === undefined && result !== undefined ? resolve(result.value) : reject(error)),
    });
    if (!durable || syncing === undefined) turn ??= takeTurn();
    return promise;
  }

  function postpone(settling: readonly (() => void)[]): void {
    lazy.push(...settling);
    if (lazy.length > 0) timer ??= setTimeout(settleLazy, lazyMs);
  }

  function settleLazy(): void {
    clearTimeout(timer);
    timer = undefined;
    if (lazy.length > 0) join(true, () => {}).catch(() => {}); // they are postponed once more
  }

  return {
    run: (work) => join(true, work),
    write: (work) => join(false, work),
    settled() {
      const { promise, resolve } = Promise.withResolvers<void>();
      postpone([resolve]);
      return promise;
    },
    async flush() {
      settleLazy();
      for (let busy = turn ?? syncing; busy !== undefined; busy = turn ?? syncing) await busy;
      clearTimeout(timer);
      timer = undefined;
    },
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
