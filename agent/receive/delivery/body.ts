// Where a mail is between the provider and the local server: in memory up to a limit, else in a temporary file. Nothing here
// is durable, nor need it be: the provider's copy stays until the mail is handed over and recorded.
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import type { Body } from '../../smtp/conversation.ts';

export type FetchedMail = {
  readonly body: Body;
  readonly sha256: string;
  /** The beginning, enough for every header line that we read. */
  readonly head: Buffer;
  /** Forgets the bytes; idempotent. */
  readonly discard: () => Promise<void>;
};
export type Collector = {
  /** In order, one at a time. */
  readonly write: (bytes: Buffer) => void | Promise<void>;
  readonly finish: () => Promise<FetchedMail>;
  /** For a mail that broke off; idempotent. */
  readonly discard: () => Promise<void>;
};
export type BodyStore = {
  /** Removes what a former life left. */
  readonly prepare: () => Promise<void>;
  readonly collect: () => Collector;
};

/** A loop adds Received lines on top, an ordinary mail has 2 to 20 KiB of header. */
const headBytes = 256 * 1024;

export function createBodyStore(options: { readonly folder: string; readonly memoryBytes?: number }): BodyStore {
  const { folder, memoryBytes = 256 * 1024 } = options;
  return {
    async prepare() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const name of await readdir(folder)) {
        if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
      }
    },
    collect: () => createCollector(folder, memoryBytes),
  };
}

function createCollector(folder: string, memoryBytes: number): Collector {
  const hash = createHash('sha256');
  let parts: Buffer[] = [];
  let sizeBytes = 0;
  let head: Buffer | undefined;
  let spilled: { readonly path: string; readonly handle: FileHandle } | undefined;

  async function spill(): Promise<void> {
    const path = join(folder, randomBytes(12).toString('hex') + '.tmp');
    spilled = { path, handle: await open(path, 'wx', 0o600) };
    const bytes = Buffer.concat(parts);
    head = bytes.subarray(0, headBytes);
    parts = [];
    await spilled.handle.appendFile(bytes);
  }

  async function discard(): Promise<void> {
    parts = [];
    const file = spilled;
    spilled = undefined;
    if (file === undefined) return;
    await file.handle.close();
    await rm(file.path, { force: true });
  }

  return {
    write(bytes) {
      hash.update(bytes);
      sizeBytes += bytes.length;
      if (spilled !== undefined) return spilled.handle.appendFile(bytes);
      parts.push(bytes);
      return sizeBytes > memoryBytes ? spill() : undefined;
    },
    async finish() {
      const sha256 = hash.digest('hex');
      const file = spilled;
      if (file === undefined) {
        const bytes = Buffer.concat(parts);
        parts = [];
        return {
          body: { open: () => [bytes], sizeBytes },
          sha256,
          head: bytes.subarray(0, headBytes),
          discard: () => Promise.resolve(),
        };
      }
      await file.handle.close();
      spilled = undefined;
      return {
        body: { open: () => createReadStream(file.path), sizeBytes },
        sha256,
        head: head ?? Buffer.alloc(0),
        discard: () => rm(file.path, { force: true }),
      };
    },
    discard,
  };
}
