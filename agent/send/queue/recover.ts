// Puts files and index in order at the start. Each combination of a file and a row that a kill, a power cut or a restored
// backup can leave has its line in the table of README.md, and its branch here.
import { randomBytes } from 'node:crypto';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Queue } from './queue.ts';
import type { Spool } from './spool.ts';

export type Recovered = {
  readonly requeued: number;
  readonly held: number;
  readonly unknown: number;
  readonly lost: number;
  /** Mails with an outcome whose files or rows are still to be removed. */
  readonly done: readonly string[];
};

export async function recover(options: {
  readonly db: Database;
  readonly queue: Queue;
  readonly spool: Spool;
  readonly log: Log;
}): Promise<Recovered> {
  const { db, log, queue, spool } = options;
  const unfinished = await spool.open();
  if (unfinished > 0)
    log.info({ files: unfinished }, 'half-received mails of the last run removed; no client got an answer for them');
  const files = await spool.list();
  const life = await readLife(db, spool);
  const strange = !life.same && files.length > 0;
  const rows = queue.ids();
  const unknown = queue.settleInterrupted();
  if (unknown > 0)
    log.warn({ recipients: unknown }, 'tries of the last run ended without a known outcome, one late retry follows');
  const orphans = await adopt(
    options,
    files.filter((id) => !rows.has(id)),
    strange,
  );
  // After the files have their rows: killed before, the next start must find the names different once more.
  if (!life.same) await writeLife(db, spool);
  const lost = holdLost(options, rows, new Set(files));
  const done = [...rows].filter(([, row]) => row.done).map(([id]) => id);
  return { ...orphans, unknown, lost, done };
}

/** Files without a row: a kill came before it, a power cut took it, or the index is another one than theirs. */
async function adopt(
  options: { readonly db: Database; readonly queue: Queue; readonly spool: Spool; readonly log: Log },
  ids: readonly string[],
  strange: boolean,
): Promise<{ readonly requeued: number; readonly held: number }> {
  const { db, log, queue, spool } = options;
  // Rule of safety 4: an index that does not know these files does not know either which of them were sent.
  const why = strange ? 'The index is new or another one: whether this mail was sent already is not known' : undefined;
  let adopted = 0;
  for (const id of ids) {
    const found = await spool.read(id).catch((error: unknown) => describe(error));
    if (found === undefined || typeof found === 'string') {
      // A folder, a file of somebody else, or one that the disk cannot read: it must not stop all other mail.
      log.error(
        { file: id, problem: found ?? '' },
        'found in the queue folder what is no mail of ours, it is left alone',
      );
      continue;
    }
    transaction(db, () => queue.add(found.envelope, found.place, why));
    adopted += 1;
  }
  if (adopted > 0 && strange) log.error({ mails: adopted, why }, 'mails are held until a person decides');
  else if (adopted > 0) log.warn({ mails: adopted }, 'mails without a row in the index are queued');
  return { requeued: strange ? 0 : adopted, held: strange ? adopted : 0 };
}

/** Rows without a file: nothing can be sent any more, and nobody must believe it was. */
function holdLost(
  options: { readonly queue: Queue; readonly log: Log },
  rows: ReadonlyMap<string, { readonly done: boolean }>,
  files: ReadonlySet<string>,
): number {
  const lost = [...rows].filter(([id, row]) => !row.done && !files.has(id)).map(([id]) => id);
  for (const id of lost) {
    options.queue.lose(id);
    options.log.error({ mail: id }, 'the file of a queued mail is missing, the mail is lost');
  }
  return lost.length;
}

/**
 * Index and folder carry the same random name from their first start on. Files that lie there under another name belong to
 * another life of the index: it was deleted, or restored from somewhere else.
 */
async function readLife(db: Database, spool: Spool): Promise<{ readonly same: boolean }> {
  const inIndex = db.prepare("SELECT value FROM spool WHERE key = 'life'").get()?.['value'];
  return { same: typeof inIndex === 'string' && inIndex === (await spool.readLife()) };
}

async function writeLife(db: Database, spool: Spool): Promise<void> {
  const life = randomBytes(12).toString('hex');
  const write = db.prepare(
    "INSERT INTO spool (key, value) VALUES ('life', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
  );
  transaction(db, () => write.run(life));
  await spool.writeLife(life);
}
