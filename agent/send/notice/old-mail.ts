// Gives up what is too old, and tells senders whose mail is late. In portions with one commit each and a breath between
// them: after hours without the relay these are thousands, and clients must not wait for all of their fsyncs.
import type { Log } from '#shared/log.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Queue } from '../queue/queue.ts';
import { delayedNoticeMs } from '../relay/schedule.ts';

export type OldMailOptions = {
  readonly db: Database;
  readonly queue: Pick<Queue, 'expire' | 'lateSince' | 'olderThan' | 'tellDelay'>;
  /** With a session now: its outcome comes first. */
  readonly busy: (id: string) => boolean;
  readonly relays: readonly { readonly id: string; readonly expireHours: number }[];
  readonly log: Log;
  readonly signal: AbortSignal;
};

const portion = 50;

export async function tendOldMail(options: OldMailOptions): Promise<void> {
  const { log, queue } = options;
  for (const { id: relay, expireHours } of options.relays) {
    const expired = (): readonly string[] => queue.olderThan(expireHours * 3_600_000, relay);
    await each(options, expired, (id) => {
      queue.expire(id, 'Not sent within ' + expireHours + ' hours');
      log.error({ mail: id }, 'mail expired, it is held');
    });
  }
  const late = (): readonly string[] => queue.lateSince(delayedNoticeMs);
  await each(options, late, (id) => {
    log.warn({ mail: id, told: queue.tellDelay(id) }, 'mail is late');
  });
}

/** Asked for anew after each portion: what was dealt with is not among them any more, what changed meanwhile is as it is. */
async function each(options: OldMailOptions, find: () => readonly string[], work: (id: string) => void): Promise<void> {
  const { busy, db, signal } = options;
  while (!signal.aborted) {
    const ids = find().filter((id) => !busy(id));
    if (ids.length === 0) return;
    transaction(db, () => {
      for (const id of ids.slice(0, portion)) work(id);
    });
    if (ids.length <= portion) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}
