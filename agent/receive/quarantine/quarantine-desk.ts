// What a person does with mails in quarantine: list, show, release, drop. Promises: a released mail is handed over to those
// who have not got it yet, and that is recorded in the same turn in which the local server answers; a dropped mail is first
// recorded, then removed; a crash in between is finished at the next start.
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Local, LocalRecipient } from '../../local/local.ts';
import { headerEnd } from '../delivery/header.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { Held, Quarantine, QuarantineSummary } from './quarantine.ts';
import { createQuarantineRows } from './quarantine-rows.ts';

export type QuarantineDesk = {
  /** Finishes what a former life began; after Quarantine.prepare(). */
  readonly prepare: () => Promise<void>;
  readonly summary: () => QuarantineSummary;
  readonly list: () => Promise<readonly Held[]>;
  /** With the mail's own header and the path of its file. Throws UserError for an unknown id, as the next two do. */
  readonly show: (id: string) => Promise<Held & { readonly header: string; readonly file: string }>;
  /** Throws UserError when the local server does not take it; it stays in quarantine then. */
  readonly release: (id: string) => Promise<{ readonly id: string; readonly recipients: readonly string[] }>;
  readonly drop: (id: string) => Promise<{ readonly id: string }>;
};

const maxListed = 1_000;
const maxHeaderBytes = 32 * 1_024;

export function createQuarantineDesk(options: {
  readonly quarantine: Quarantine;
  readonly db: Database;
  readonly ledger: Ledger;
  readonly local: Local;
  readonly clock: Clock;
  readonly log: Log;
  readonly traceId: string;
  /** Ends a release that is under way. */
  readonly signal: AbortSignal;
}): QuarantineDesk {
  const { quarantine, ledger, local, clock, log } = options;
  const rows = createQuarantineRows(options.db);
  const busy = new Set<string>();
  /** Taken by the local server, and the record failed: nobody may get it twice. */
  const owed = new Map<string, readonly LocalRecipient[]>();

  /** One at a time for a mail. */
  async function alone<T>(act: string, id: string, work: (held: Held) => Promise<T>): Promise<T> {
    const name = JSON.stringify(id.slice(0, 80));
    if (busy.has(id))
      throw new UserError('Cannot ' + act + ' ' + name + ': another command works on it, expected none');
    busy.add(id);
    try {
      const held = await find(act, id);
      if (rows.state(held) === 'seen')
        throw new UserError(
          'Cannot ' +
            act +
            ' ' +
            name +
            ': it is being fetched, expected a mail at rest; try again after the next round',
        );
      return await work(held);
    } finally {
      busy.delete(id);
    }
  }

  async function find(act: string, id: string): Promise<Held> {
    const held = await quarantine.find(id);
    if (held !== undefined) return held;
    throw new UserError(
      'Cannot ' +
        act +
        ' ' +
        JSON.stringify(id.slice(0, 80)) +
        ': it is not in quarantine, expected an id of quarantine list',
    );
  }

  async function release(held: Held): Promise<{ readonly id: string; readonly recipients: readonly string[] }> {
    const have = new Set([
      ...rows.delivered(held),
      ...(owed.get(held.id) ?? []).map(({ address }) => address),
      ...held.recipients.filter(({ verdict }) => verdict === 'delivered').map(({ address }) => address),
    ]);
    const missing = held.recipients.map(({ address }) => address).filter((address) => !have.has(address));
    const now = missing.length === 0 ? [] : await deliver(held, missing);
    // From here to the record nothing is awaited.
    const taken = [...(owed.get(held.id) ?? []), ...now.filter(({ verdict }) => verdict === 'delivered')];
    const open = now.filter(({ verdict }) => verdict !== 'delivered');
    record(held, taken, () =>
      open.length === 0 ? rows.released(held, taken, ledger.sawDay(clock.now())) : rows.note(held, taken),
    );
    if (open.length > 0) {
      const all = held.recipients.map((one) => now.find(({ address }) => address === one.address) ?? one);
      await quarantine.note(held, all);
      throw new UserError(
        'Cannot release ' +
          held.id +
          ': for ' +
          open.map(({ address }) => address).join(', ') +
          ' the local server said ' +
          JSON.stringify(open[0]?.text ?? '') +
          ', expected that it takes the mail; it stays in quarantine',
      );
    }
    await quarantine.remove(held.id);
    log.info({ account: held.account, id: held.id, reason: held.reason }, 'mail released from quarantine');
    return { id: held.id, recipients: missing };
  }

  async function deliver(held: Held, recipients: readonly string[]): Promise<readonly LocalRecipient[]> {
    const head = Buffer.from('X-Mailferry-Trace: in ' + options.traceId + '\r\n');
    const body = quarantine.body(held);
    try {
      return (await local.deliver({ from: held.from, recipients, head, body, signal: options.signal })).recipients;
    } catch (error) {
      throw new UserError(
        'Cannot release ' +
          held.id +
          ': ' +
          describe(error) +
          ', expected that it can be handed over; it stays in quarantine',
        { cause: error },
      );
    }
  }

  function record(held: Held, taken: readonly LocalRecipient[], write: () => void): void {
    try {
      write();
      owed.delete(held.id);
    } catch (error) {
      owed.set(held.id, taken);
      throw new UserError(
        'Cannot record that ' +
          held.id +
          ' was released: ' +
          describe(error) +
          ', expected a database that can be written; mend it and release again, nobody gets it twice',
        { cause: error },
      );
    }
  }

  return {
    async prepare() {
      for (const held of await quarantine.list(Infinity))
        if (rows.state(held) === 'settled') await quarantine.remove(held.id);
    },
    summary: () => quarantine.summary(clock.now()),
    list: () => quarantine.list(maxListed),
    async show(id) {
      const held = await find('show', id);
      return { ...held, header: await readHead(quarantine, held), file: quarantine.fileOf(held) };
    },
    release: (id) => alone('release', id, release),
    drop: (id) =>
      alone('drop', id, async (held) => {
        rows.dropped(held, ledger.sawDay(clock.now()));
        await quarantine.remove(id);
        log.info({ account: held.account, id, reason: held.reason }, 'mail dropped from quarantine');
        return { id };
      }),
  };
}

async function readHead(quarantine: Quarantine, held: Held): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  try {
    for await (const chunk of quarantine.body(held).open()) {
      const bytes = Buffer.from(chunk);
      parts.push(bytes);
      sizeBytes += bytes.length;
      if (sizeBytes >= maxHeaderBytes) break;
    }
  } catch (error) {
    throw new UserError('Cannot read ' + quarantine.fileOf(held) + ': ' + describe(error) + ', expected the mail', {
      cause: error,
    });
  }
  const head = Buffer.concat(parts).subarray(0, maxHeaderBytes);
  return head.toString('latin1', 0, headerEnd(head));
}
