// Which relay each queued mail belongs to, put in order at the start: the configuration may be another one than yesterday.
// Promise: what may have arrived stays with the relay that may have taken it; when that one is gone, a person decides.
import type { Log } from '#shared/log.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';

export const noRoute = 'No relay sends for this sender';

/** Gives how many recipients changed. */
export function rerouteQueue(options: {
  readonly db: Database;
  readonly relays: readonly string[];
  readonly routeOf: (sender: string) => string | undefined;
  readonly log: Log;
}): number {
  const { db, log, relays, routeOf } = options;
  const open = "recipient.state IN ('queued', 'unknown', 'held')";
  const pairs = db.prepare(
    'SELECT DISTINCT mail.sender, recipient.relay, recipient.unknowns > 0 AS unclear FROM recipient JOIN mail ON mail.id = recipient.mail ' +
      'WHERE mail.done = 0 AND ' +
      open,
  );
  const those =
    ' WHERE relay = ? AND (unknowns > 0) = ? AND ' +
    open +
    ' AND mail IN (SELECT id FROM mail WHERE done = 0 AND sender = ?)';
  const move = db.prepare('UPDATE recipient SET relay = ?' + those);
  const hold = db.prepare("UPDATE recipient SET state = 'held', due_ms = 0" + those);
  const explain = db.prepare(
    "UPDATE mail SET problem = ? WHERE done = 0 AND sender = ? AND EXISTS (SELECT 1 FROM recipient WHERE mail = mail.id AND relay = ? AND state = 'held')",
  );
  return transaction(db, () => {
    let changed = 0;
    for (const row of pairs.all()) {
      const [sender, relay, unclear] = [String(row['sender']), String(row['relay']), Number(row['unclear'])];
      const route = routeOf(sender);
      if (relays.includes(relay) && (unclear === 1 || relay === route)) continue;
      const gone = unclear === 1 && relay !== '';
      if (route !== undefined && !gone) {
        changed += Number(move.run(route, relay, unclear, sender).changes);
        continue;
      }
      changed += Number(hold.run(relay, unclear, sender).changes);
      const why = gone ? 'It may have arrived by the relay ' + relay + ', which is not configured any more' : noRoute;
      explain.run(why, sender, relay);
      log.error({ relay, why }, 'mails are held until a person decides');
    }
    return changed;
  });
}

/**
 * A person has released the mail: what has no relay, or one that is gone, goes by that of its sender, also when it may have
 * arrived. Inside a transaction of the caller. Gives why it cannot go, undefined when it can.
 */
export function rerouteReleased(options: {
  readonly db: Database;
  readonly relays: readonly string[];
  readonly routeOf: (sender: string) => string | undefined;
  readonly mail: { readonly id: string; readonly sender: string };
  readonly numbers: readonly number[];
}): string | undefined {
  const { db, mail, numbers, relays } = options;
  const read = db.prepare('SELECT relay FROM recipient WHERE mail = ? AND number = ?');
  const move = db.prepare('UPDATE recipient SET relay = ? WHERE mail = ? AND number = ?');
  const lost = numbers.filter((number) => !relays.includes(String(read.get(mail.id, number)?.['relay'])));
  const route = options.routeOf(mail.sender);
  if (route === undefined) return lost.length > 0 ? noRoute : undefined;
  for (const number of lost) move.run(route, mail.id, number);
  return undefined;
}
