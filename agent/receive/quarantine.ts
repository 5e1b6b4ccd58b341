// Mails that the local server refuses for good: kept here, durably, beside a small JSON that says why. They are never
// deleted at the provider and never bounced.
import { createWriteStream } from 'node:fs';
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { FetchedMail } from './body.ts';

export type QuarantineNote = {
  readonly account: string;
  /** As the provider spells it; latin1. */
  readonly uidl: string;
  readonly from: string;
  /** What each recipient's server said. */
  readonly recipients: readonly { readonly address: string; readonly verdict: string; readonly text: string }[];
  readonly at: string;
};

export type Quarantine = {
  /** Creates the folder and removes halves that a former life left. */
  readonly prepare: () => Promise<void>;
  /** Resolves when both files are on disk; the same `name` again replaces them. */
  readonly keep: (name: string, mail: FetchedMail, note: QuarantineNote) => Promise<void>;
};

export function createQuarantine(options: { readonly folder: string }): Quarantine {
  const { folder } = options;
  return {
    async prepare() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await syncFolder(dirname(folder));
      for (const name of await readdir(folder)) {
        if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
      }
    },
    async keep(name, mail, note) {
      const { sha256, body } = mail;
      const json = JSON.stringify({ ...note, sha256, sizeBytes: body.sizeBytes }, undefined, 2) + '\n';
      await writeDurably(folder, name + '.eml', body.open());
      await writeDurably(folder, name + '.json', [Buffer.from(json)]);
      await syncFolder(folder);
    },
  };
}

async function writeDurably(
  folder: string,
  name: string,
  bytes: Readable | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Promise<void> {
  const temporary = join(folder, name + '.tmp');
  // `flush`: fsync before the descriptor is closed.
  await pipeline(Readable.from(bytes), createWriteStream(temporary, { mode: 0o600, flush: true }));
  await rename(temporary, join(folder, name));
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
