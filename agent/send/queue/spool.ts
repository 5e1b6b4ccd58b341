// The files of the queue: one file a mail, its envelope as a line of JSON, then the mail as it goes out.
// Promise: a file in `queue/` is whole and on disk, for it gets its name there only after the fsync; whatever fails before
// leaves no file behind. `temp/` is on the same file system, and a scan of `queue/` never meets a half-written file.
import fs from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { isAscii } from 'node:buffer';
import type { FileHandle } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Reached } from '#shared/checkpoint.ts';
import { codeOf } from '#shared/failure.ts';
import type { Body } from '../../smtp/conversation.ts';
import { decodeEnvelope, maxEnvelopeBytes } from './envelope.ts';
import type { Envelope } from './envelope.ts';
import { createRecent } from './recent.ts';
import type { Recent } from './recent.ts';

/** What of the file system a test replaces to make it fail. */
export type Files = Pick<typeof fs, 'open' | 'rename' | 'unlink' | 'mkdir' | 'readdir' | 'statfs'>;

/** Where the mail lies in its file. `eightBit`: whether bytes above 127 are in it; undefined: nobody has looked. */
export type Place = {
  readonly id: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly eightBit?: boolean;
};
export type SpoolFile = {
  readonly write: (bytes: Uint8Array) => Promise<void>;
  /** fsync, close, rename into the queue. Throws after removing the file. */
  readonly finish: () => Promise<Place>;
  /** Removes the file; never throws. */
  readonly abort: () => Promise<void>;
};

export type Spool = {
  /** Makes the folders, removes what a crash left in `temp/`. Gives the number of files removed. */
  readonly open: () => Promise<number>;
  readonly close: () => Promise<void>;
  readonly create: (envelope: Envelope) => Promise<SpoolFile>;
  readonly syncFolder: () => Promise<void>;
  /** No error when it is gone already. Durable with the next syncFolder(). */
  readonly remove: (id: string) => Promise<void>;
  readonly list: () => Promise<readonly string[]>;
  /** Undefined when the file is not one of ours. */
  readonly read: (id: string) => Promise<{ readonly envelope: Envelope; readonly place: Place } | undefined>;
  readonly body: (place: Place) => Body;
  /** Reads the mail when nobody has looked yet. */
  readonly hasEightBit: (place: Place) => Promise<boolean>;
  /** The first bytes of the mail, at most `limitBytes`. */
  readonly head: (place: Place, limitBytes: number) => Promise<Buffer>;
  readonly freeBytes: () => Promise<number>;
  /** Names one life of the spool; compared with the index so that files and index of different lives are not mixed up. */
  readonly readLife: () => Promise<string | undefined>;
  readonly writeLife: (life: string) => Promise<void>;
};

const writeBytes = 65_536;
/** Less is gathered; more, as pieces of a large mail are, goes on without being copied together with the next. */
const gatherBytes = 32_768;
/** So much of what was just written is still known when it is sent; nearly every mail is sent at once. */
const recentBytes = 8 * 1024 * 1024;
/** A larger mail is read from its file. */
const recentMailBytes = 1024 * 1024;
/** At each MAIL the disk is asked for its free space; in such a moment it does not fill up. */
const freeBytesMs = 250;

export function createSpool(options: {
  readonly folder: string;
  readonly reached: Reached;
  readonly files?: Files;
}): Spool {
  const files = options.files ?? fs;
  const temp = join(options.folder, 'temp');
  const queue = join(options.folder, 'queue');
  let queueFolder: FileHandle | undefined;
  const recent = createRecent(recentBytes);
  let free: { readonly bytes: Promise<number>; readonly at: number } | undefined;

  async function syncFolder(): Promise<void> {
    if (queueFolder === undefined) throw new Error('Cannot sync the queue folder: it is not open');
    await queueFolder.sync();
  }

  async function read(id: string): ReturnType<Spool['read']> {
    const handle = await files.open(join(queue, id), 'r');
    try {
      const first = await readUpTo(handle, 0, maxEnvelopeBytes);
      const lineEnd = first.indexOf(0x0a);
      const envelope = lineEnd < 0 ? undefined : decodeEnvelope(first.subarray(0, lineEnd));
      if (envelope === undefined || envelope.id !== id) return undefined;
      const offsetBytes = lineEnd + 1;
      return { envelope, place: { id, offsetBytes, sizeBytes: (await handle.stat()).size - offsetBytes } };
    } finally {
      await handle.close();
    }
  }

  return {
    async open() {
      for (const folder of [temp, queue]) await files.mkdir(folder, { recursive: true, mode: 0o700 });
      let removed = 0;
      for (const name of await files.readdir(temp)) if (await removeLeft(files, join(temp, name))) removed += 1;
      // The folders themselves: their names must outlive a power cut too.
      for (const folder of [options.folder, dirname(options.folder)]) await syncPath(files, folder);
      queueFolder = await files.open(queue, 'r');
      // What a killed process renamed may not be on disk yet; the index must not know it before it is.
      await syncFolder();
      return removed;
    },
    async close() {
      await queueFolder?.close();
      queueFolder = undefined;
    },
    create: (envelope) => createFile({ files, envelope, temp, queue, reached: options.reached, keep: recent.keep }),
    syncFolder,
    remove: (id) => {
      recent.forget(id);
      return unlinkIfThere(files, join(queue, id));
    },
    list: () => files.readdir(queue),
    read,
    body: (place) => ({
      open() {
        const pieces = recent.take(place.id);
        if (pieces !== undefined) return pieces;
        if (place.sizeBytes <= gatherBytes) return readWhole(files, join(queue, place.id), place);
        return createReadStream(join(queue, place.id), { start: place.offsetBytes, highWaterMark: writeBytes });
      },
      sizeBytes: place.sizeBytes,
    }),
    hasEightBit: async (place) => place.eightBit ?? scan(files, join(queue, place.id), place.offsetBytes),
    async head(place, limitBytes) {
      const handle = await files.open(join(queue, place.id), 'r');
      try {
        return await readUpTo(handle, place.offsetBytes, Math.min(limitBytes, place.sizeBytes));
      } finally {
        await handle.close();
      }
    },
    freeBytes() {
      const now = performance.now();
      if (free === undefined || now - free.at > freeBytesMs) free = { bytes: askFree(files, queue), at: now };
      return free.bytes;
    },
    readLife: () => readLife(files, join(options.folder, 'life')),
    writeLife: (life) => writeLife(files, options.folder, life),
  };
}

async function createFile(options: {
  readonly files: Files;
  readonly envelope: Envelope;
  readonly temp: string;
  readonly queue: string;
  readonly reached: Reached;
  readonly keep: Recent['keep'];
}): Promise<SpoolFile> {
  const { files, envelope } = options;
  const temporary = join(options.temp, envelope.id);
  const line = Buffer.from(JSON.stringify(envelope) + '\n');
  const handle = await files.open(temporary, 'wx', 0o600);
  let pending: Uint8Array[] = [line];
  let pendingBytes = line.length;
  let sizeBytes = 0;
  let eightBit = false;
  /** As it was written. */
  let mail: Buffer[] = [];
  const name = join(options.queue, envelope.id);

  /** Small pieces are gathered: an ordinary mail is one write. appendFile() goes on until all bytes are written. */
  async function flush(): Promise<void> {
    const [first = line] = pending;
    const bytes =
      pending.length === 1 ? Buffer.from(first.buffer, first.byteOffset, first.length) : Buffer.concat(pending);
    if (sizeBytes <= recentMailBytes) mail.push(mail.length === 0 ? bytes.subarray(line.length) : bytes);
    else mail = [];
    pending = [];
    pendingBytes = 0;
    await handle.appendFile(bytes);
  }

  /** Closing takes as long as the new name. When one of them fails the other may have been done. */
  async function closeAndName(): Promise<void> {
    const done = await Promise.allSettled([handle.close(), files.rename(temporary, name)]);
    const failed = done.find((one) => one.status === 'rejected');
    if (failed === undefined) return;
    await unlinkIfThere(files, name).catch(() => {}); // without a row it is sent after the next start: rather twice than lost
    throw failed.reason;
  }

  async function abort(): Promise<void> {
    await handle.close().catch(() => {}); // closed already, or the disk fails: the file goes either way
    await unlinkIfThere(files, temporary).catch(() => {}); // the next start removes it
  }

  return {
    async write(bytes) {
      pending.push(bytes);
      pendingBytes += bytes.length;
      sizeBytes += bytes.length;
      eightBit ||= !isAscii(bytes);
      if (pendingBytes >= gatherBytes) await flush();
    },
    async finish() {
      try {
        await flush();
        options.reached('send.written');
        await handle.sync();
        await closeAndName();
      } catch (error) {
        await abort();
        throw error;
      }
      options.reached('send.renamed');
      if (sizeBytes <= recentMailBytes) options.keep(envelope.id, mail, sizeBytes);
      return { id: envelope.id, offsetBytes: line.length, sizeBytes, eightBit };
    },
    abort,
  };
}

async function scan(files: Files, path: string, from: number): Promise<boolean> {
  const handle = await files.open(path, 'r');
  try {
    const bytes = Buffer.alloc(writeBytes);
    for (let position = from; ;) {
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, position);
      if (bytesRead === 0) return false;
      if (!isAscii(bytes.subarray(0, bytesRead))) return true;
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
}

async function askFree(files: Files, folder: string): Promise<number> {
  const { bavail, bsize } = await files.statfs(folder);
  return bavail * bsize;
}

/** A stream takes several turns for what is one piece. */
async function* readWhole(files: Files, path: string, place: Place): AsyncGenerator<Uint8Array> {
  const handle = await files.open(path, 'r');
  try {
    yield await readUpTo(handle, place.offsetBytes, place.sizeBytes);
  } finally {
    await handle.close();
  }
}

async function readUpTo(handle: FileHandle, position: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return bytes.subarray(0, filled);
}

async function unlinkIfThere(files: Files, path: string): Promise<void> {
  await files.unlink(path).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error;
  });
}

/** False for a folder: a NAS puts its own (`@eaDir`) into every one of ours. */
async function removeLeft(files: Files, path: string): Promise<boolean> {
  try {
    await files.unlink(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EISDIR' || codeOf(error) === 'EPERM') return false;
    throw error;
  }
}

async function readLife(files: Files, path: string): Promise<string | undefined> {
  try {
    const handle = await files.open(path, 'r');
    try {
      return (await readUpTo(handle, 0, 200)).toString('utf8').trim();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

async function writeLife(files: Files, folder: string, life: string): Promise<void> {
  const temporary = join(folder, 'temp', 'life');
  const handle = await files.open(temporary, 'w', 0o600);
  try {
    await handle.appendFile(life + '\n');
    await handle.sync();
  } finally {
    await handle.close();
  }
  await files.rename(temporary, join(folder, 'life'));
  await syncPath(files, folder);
}

async function syncPath(files: Files, folder: string): Promise<void> {
  const handle = await files.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
