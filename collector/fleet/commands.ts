// What the collector asks agents to do. Promises: each has a number that an agent carries out once, a time after which it is
// not carried out, and an entry in the audit with who asked and what came of it.
import { randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import type { Database } from '#shared/sqlite.ts';
import { encodeCommand } from '#shared/wire.ts';
import type { Reply } from '#shared/wire.ts';
import type { Accounts } from './accounts.ts';
import type { Origin } from './members.ts';

export const commandSchema = `
CREATE TABLE command (
  id TEXT PRIMARY KEY,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  message TEXT NOT NULL,
  expires INTEGER NOT NULL,
  outcome TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX command_open ON command (tenant, agent) WHERE outcome IS NULL`;

export type Commands = {
  /** Resolves with the reply; undefined when none came before the command expired. */
  readonly send: (request: {
    readonly origin: Origin;
    readonly name: string;
    readonly args: Readonly<Record<string, unknown>>;
    /** Who asks, for the audit. */
    readonly by: string;
    readonly validSeconds: number;
    readonly signal: AbortSignal;
  }) => Promise<Reply | undefined>;
  /** The agent has connected: what it has not answered and may still carry out is said again; it knows numbers it has done. */
  readonly resume: (origin: Origin) => void;
  readonly replied: (origin: Origin, reply: Reply) => void;
};

export function createCommands(options: {
  readonly db: Database;
  readonly clock: Clock;
  readonly accounts: Pick<Accounts, 'note'>;
  readonly publish: (origin: Origin, payload: string) => void;
}): Commands {
  const { db, clock, accounts, publish } = options;
  const waiting = new Map<string, (reply: Reply) => void>();
  const add = db.prepare('INSERT INTO command (id, tenant, agent, message, expires) VALUES (?, ?, ?, ?, ?)');
  const open = db.prepare(
    'SELECT message FROM command WHERE tenant = ? AND agent = ? AND outcome IS NULL AND expires > ?',
  );
  const find = db.prepare('SELECT outcome FROM command WHERE id = ? AND tenant = ? AND agent = ?');
  const close = db.prepare('UPDATE command SET outcome = ? WHERE id = ?');
  const expire = db.prepare('DELETE FROM command WHERE expires < ?');

  return {
    async send({ origin, name, args, by, validSeconds, signal }) {
      const at = Math.round(clock.now());
      const id = 'c-' + randomBytes(12).toString('hex');
      const expires = at + validSeconds * 1_000;
      const message = encodeCommand({ id, name, args, at, expires });
      add.run(id, origin.tenant, origin.agent, message, expires);
      expire.run(at - 30 * 86_400_000);
      accounts.note(origin, 'command', by + ' asked for ' + name + ' (' + id + ')');
      const { promise, resolve } = Promise.withResolvers<Reply>();
      waiting.set(id, resolve);
      publish(origin, message);
      try {
        return await Promise.race([promise, clock.sleep(validSeconds * 1_000, signal).then(() => undefined)]);
      } finally {
        waiting.delete(id);
      }
    },
    resume(origin) {
      for (const row of open.all(origin.tenant, origin.agent, clock.now())) publish(origin, String(row['message']));
    },
    replied(origin, reply) {
      // Of another agent, or of nobody: a number is no secret.
      const known = find.get(reply.id, origin.tenant, origin.agent);
      if (known === undefined) return;
      // One that waits for a person at the agent is answered twice.
      if (reply.outcome !== 'waits') close.run(reply.outcome, reply.id);
      if (known['outcome'] === null)
        accounts.note(
          origin,
          'reply',
          reply.id + ' ' + reply.outcome + (reply.text === undefined ? '' : ': ' + reply.text),
        );
      waiting.get(reply.id)?.(reply);
    },
  };
}
