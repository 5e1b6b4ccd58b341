// Mails that are not handed over: refused by the local server for good, found bad by the content check, or looping. Kept
// here as files, durably, NAME.eml beside a NAME.json that says why; never deleted at the provider while here, never bounced.
// What is here stays until a person releases or drops it. Bounded: when it is full, further mails wait at the provider.
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { codeOf } from '#shared/failure.ts';
import type { Body } from '../../smtp/conversation.ts';
import type { FetchedMail } from '../delivery/body.ts';
import { isRecord, parseJson } from '#shared/json.ts';

export type QuarantineNote = {
  readonly account: string;
  /** Its number in the ledger. */
  readonly mail: number;
  /** As the provider spells it; latin1. */
  readonly uidl: string;
  readonly from: string;
  readonly subject: string;
  /** Why it is here, in one line. */
  readonly reason: string;
  /** What was said about each recipient. */
  readonly recipients: readonly { readonly address: string; readonly verdict: string; readonly text: string }[];
  readonly at: string;
};
export type Held = QuarantineNote & { readonly id: string; readonly sha256: string; readonly sizeBytes: number };
export type QuarantineSummary = { readonly count: number; readonly bytes: number; readonly oldestSeconds: number };

export type Quarantine = {
  /** Creates the folder, removes halves that a former life left, and counts what is there. */
  readonly prepare: () => Promise<void>;
  /** Resolves with the id when both files are on disk; the same mail again replaces them. Throws when it is full. */
  readonly keep: (mail: FetchedMail, note: QuarantineNote) => Promise<string>;
  /** The oldest first, at most `limit`. */
  readonly list: (limit: number) => Promise<readonly Held[]>;
  readonly find: (id: string) => Promise<Held | undefined>;
  /** The mail itself; reading throws when its file is gone. */
  readonly body: (held: Held) => Body;
  readonly fileOf: (held: Held) => string;
  /** Writes anew what was said about the recipients. */
  readonly note: (held: Held, recipients: QuarantineNote['recipients']) => Promise<void>;
  /** Resolves when it is gone from the disk. */
  readonly remove: (id: string) => Promise<void>;
  readonly summary: (now: number) => QuarantineSummary;
};

type Indexed = { readonly at: number; readonly sizeBytes: number; readonly sha256: string };

export function createQuarantine(options: {
  readonly folder: string;
  readonly maxBytes?: number;
  readonly maxMails?: number;
}): Quarantine {
  const { folder, maxBytes = 1_073_741_824, maxMails = 10_000 } = options;
  const index = new Map<string, Indexed>();
  const pathOf = (id: string, ending: '.eml' | '.json'): string => join(folder, id + ending);

  async function read(id: string): Promise<Held | undefined> {
    if (!/^[a-z0-9-]+$/.test(id)) return undefined; // it becomes a part of a path
    const text = await readFile(pathOf(id, '.json'), 'utf8').catch((error: unknown) => {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error; // a disk in trouble must not look like an empty quarantine
    });
    return text === undefined ? undefined : decodeHeld(id, text);
  }

  async function writeNote(held: Held): Promise<void> {
    const { id, ...note } = held;
    await writeDurably(folder, id + '.json', [Buffer.from(JSON.stringify(note, undefined, 2) + '\n')]);
    await syncFolder(folder);
    index.set(id, indexed(held));
  }

  function total(): number {
    let bytes = 0;
    for (const { sizeBytes } of index.values()) bytes += sizeBytes;
    return bytes;
  }

  /** After a lost database its numbers begin anew: another mail under a used name must not replace it. */
  function idFor(note: QuarantineNote, sha256: string): string {
    const id = note.account + '-' + note.mail;
    const known = index.get(id);
    return known === undefined || known.sha256 === sha256 ? id : id + '-' + sha256.slice(0, 12);
  }

  return {
    async prepare() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await syncFolder(dirname(folder));
      index.clear();
      for (const name of await readdir(folder)) {
        if (name.endsWith('.tmp')) await rm(join(folder, name), { force: true });
        if (!name.endsWith('.json')) continue;
        const held = await read(name.slice(0, -'.json'.length));
        if (held !== undefined) index.set(held.id, indexed(held));
      }
    },
    async keep(mail, note) {
      const { sha256, body } = mail;
      const { sizeBytes } = body;
      const id = idFor(note, sha256);
      if (!index.has(id) && (index.size >= maxMails || total() + sizeBytes > maxBytes))
        throw new Error(
          'Cannot keep a mail in quarantine: it holds ' +
            index.size +
            ' mails of ' +
            total() +
            ' bytes, expected at most ' +
            maxMails +
            ' of ' +
            maxBytes +
            '; release or drop some',
        );
      await writeDurably(folder, id + '.eml', body.open());
      await writeNote({ ...note, id, sha256, sizeBytes });
      return id;
    },
    async list(limit) {
      const ids = [...index].sort(([, a], [, b]) => a.at - b.at).slice(0, limit);
      const list: Held[] = [];
      // One after the other: thousands of files open at once are more than a process may have.
      for (const [id] of ids) {
        const held = await read(id);
        if (held !== undefined) list.push(held);
      }
      return list;
    },
    find: read,
    body: (held) => ({ open: () => createReadStream(pathOf(held.id, '.eml')), sizeBytes: held.sizeBytes }),
    fileOf: (held) => pathOf(held.id, '.eml'),
    note: (held, recipients) => writeNote({ ...held, recipients }),
    async remove(id) {
      await rm(pathOf(id, '.eml'), { force: true });
      await rm(pathOf(id, '.json'), { force: true });
      await syncFolder(folder);
      index.delete(id);
    },
    summary(now) {
      const oldest = Math.min(now, ...[...index.values()].map(({ at }) => at));
      return { count: index.size, bytes: total(), oldestSeconds: (now - oldest) / 1_000 };
    },
  };
}

function indexed(held: Held): Indexed {
  return { at: Date.parse(held.at) || 0, sizeBytes: held.sizeBytes, sha256: held.sha256 };
}

/** Undefined for what is no note of ours. Notes of an older version say less. */
function decodeHeld(id: string, text: string): Held | undefined {
  const value = parseJson(text);
  if (!isRecord(value) || typeof value['account'] !== 'string' || typeof value['sha256'] !== 'string') return undefined;
  const recipients = Array.isArray(value['recipients']) ? value['recipients'].map(decodeRecipient) : [];
  const word = (name: string): string => (typeof value[name] === 'string' ? value[name] : '');
  const number = (name: string, instead: number): number => (typeof value[name] === 'number' ? value[name] : instead);
  return {
    id,
    account: value['account'],
    mail: number('mail', Number(/-(\d+)$/.exec(id)?.[1] ?? 0)),
    uidl: word('uidl'),
    from: word('from'),
    subject: word('subject'),
    reason: word('reason') || (recipients.find(({ verdict }) => verdict === 'refused')?.text ?? ''),
    recipients,
    at: word('at'),
    sha256: value['sha256'],
    sizeBytes: number('sizeBytes', 0),
  };
}

function decodeRecipient(value: unknown): QuarantineNote['recipients'][number] {
  const record = isRecord(value) ? value : {};
  const word = (name: string): string => (typeof record[name] === 'string' ? record[name] : '');
  return { address: word('address'), verdict: word('verdict'), text: word('text') };
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
