// Commands of the collector. Promises: one is carried out at most once, also when it comes again, and not after its time;
// what the owner does not allow is refused; each is written down with what became of it before anything is answered.
import { describe, UserError } from '#shared/failure.ts';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Command, Reply } from '#shared/wire.ts';
import type { CommandTable } from './commands.ts';
import { configureRight, rightTo, withoutDetails } from './remote-rights.ts';
import { unknownCommand } from './control.ts';

export const remoteSchema = `
CREATE TABLE remote_command (
  id TEXT PRIMARY KEY,
  at INTEGER NOT NULL,
  name TEXT NOT NULL,
  arguments TEXT NOT NULL,
  outcome TEXT, -- empty while it runs
  text TEXT NOT NULL,
  result TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX remote_command_at ON remote_command (at)`;

export type RemoteOutcome = Reply['outcome'];
export type RemoteReply = Omit<Reply, 'v'>;
export type Remote = {
  /** Never throws. */
  readonly run: (command: Command) => Promise<RemoteReply>;
  /** What waited for a person is decided: the reply, when the collector has not been told the end of it yet. */
  readonly settle: (id: string, outcome: RemoteOutcome, text: string) => RemoteReply;
  /** The last ones, newest first. */
  readonly list: (limit: number) => readonly RemoteEntry[];
};
export type RemoteEntry = {
  readonly id: string;
  readonly at: number;
  readonly name: string;
  readonly arguments: string;
  readonly outcome: string;
  readonly text: string;
};

/** Together with what frames it a reply fits into one message. */
const maxResultBytes = 48 * 1024;
const maxArgumentBytes = 2_000;
const maxRunning = 4;
/** Whoever sends commands without end must not fill the disk. */
const maxKept = 2_000;

export function createRemote(options: {
  readonly db: Database;
  readonly commands: CommandTable;
  /** `report.allow`. */
  readonly allow: readonly string[];
  /** A sealed change of the configuration. */
  readonly configure: (
    command: Command,
    allowed: boolean,
  ) => Promise<{ readonly outcome: RemoteOutcome; readonly text: string }>;
  readonly clock: Clock;
  readonly log: Log;
}): Remote {
  const { db, commands, allow, clock, log } = options;
  const find = db.prepare('SELECT * FROM remote_command WHERE id = ?');
  const add = db.prepare("INSERT INTO remote_command (id, at, name, arguments, text) VALUES (?, ?, ?, ?, '')");
  const end = db.prepare('UPDATE remote_command SET outcome = ?, text = ?, result = ? WHERE id = ?');
  const trim = db.prepare(
    'DELETE FROM remote_command WHERE at < (SELECT at FROM remote_command ORDER BY at DESC LIMIT 1 OFFSET ?)',
  );
  const newest = db.prepare('SELECT * FROM remote_command ORDER BY at DESC, id LIMIT ?');
  const running = new Map<string, Promise<RemoteReply>>();

  type Answer = { readonly outcome: RemoteOutcome; readonly text?: string; readonly result?: unknown };

  function finish(id: string, answer: Answer): RemoteReply {
    const json = answer.result === undefined ? undefined : JSON.stringify(answer.result);
    const isLong = json !== undefined && Buffer.byteLength(json) > maxResultBytes;
    const text = isLong
      ? 'done, but the answer has more than ' + maxResultBytes + ' bytes: ask at the agent'
      : (answer.text ?? '');
    end.run(answer.outcome, text, json === undefined || isLong ? null : json, id);
    return replyOf(find.get(id) ?? { text }, id);
  }

  function replyOf(row: Readonly<Record<string, unknown>>, id: string): RemoteReply {
    const { result } = row;
    const text = String(row['text']);
    return {
      id,
      at: Math.round(clock.now()),
      outcome: outcomeOf(row['outcome']),
      ...(text === '' ? {} : { text: text.slice(0, 2_000) }),
      ...(typeof result === 'string' ? { result: JSON.parse(result) as unknown } : {}), // written by finish()
    };
  }

  async function answer(command: Command): Promise<Answer> {
    const { name, args } = command;
    if (command.expires < clock.now())
      return {
        outcome: 'expired',
        text:
          'it was valid until ' +
          new Date(command.expires).toISOString() +
          ", and this machine's clock says " +
          new Date(clock.now()).toISOString(),
      };
    if (name === configureRight) return options.configure(command, allow.includes(configureRight));
    const found = commands.get(name);
    if (found === undefined) return { outcome: 'failed', text: unknownCommand(name, [...commands.keys()]) };
    const right = rightTo(name, found, allow);
    if (!right.allowed) return { outcome: 'refused', text: 'Cannot run ' + name + ': ' + right.why };
    const result = await found.run(args);
    return { outcome: 'done', result: right.details ? result : withoutDetails(result) };
  }

  async function carryOut(command: Command): Promise<RemoteReply> {
    try {
      return finish(command.id, await answer(command));
    } catch (error) {
      if (!(error instanceof UserError))
        log.error({ command: command.name, error: describe(error) }, 'a command of the collector failed');
      const text = describe(error);
      return finish(command.id, {
        outcome: 'failed',
        text: allow.includes('details') ? text : String(withoutDetails(text)),
      });
    }
  }

  async function run(command: Command): Promise<RemoteReply> {
    const { id, name } = command;
    const known = find.get(id);
    if (known !== undefined) {
      log.info({ id, command: name }, 'a command of the collector came again');
      if (known['outcome'] !== null) return replyOf(known, id);
      // The process ended while it ran: whether it was done nobody knows, and it is not done twice.
      return finish(id, {
        outcome: 'failed',
        text: 'the agent ended while it was carried out; look whether it was done',
      });
    }
    if (running.size >= maxRunning)
      return { id, at: Math.round(clock.now()), outcome: 'failed', text: 'too many commands at once, ask again' };
    add.run(id, Math.round(clock.now()), name, argumentsText(command));
    trim.run(maxKept);
    const reply = await carryOut(command);
    log.info({ id, command: name, outcome: reply.outcome }, 'the collector asked for something');
    return reply;
  }

  return {
    async run(command) {
      const { id } = command;
      const under = running.get(id);
      if (under !== undefined) return under;
      const work = run(command).catch((error: unknown): RemoteReply => {
        // A full disk: what cannot be written down is not carried out.
        log.error({ id, error: describe(error) }, 'a command of the collector could not be taken');
        return {
          id,
          at: Math.round(clock.now()),
          outcome: 'failed',
          text: 'it could not be written down, so it was not carried out: ' + describe(error),
        };
      });
      running.set(id, work);
      return work.finally(() => running.delete(id));
    },
    settle(id, outcome, text) {
      return finish(id, { outcome, text });
    },
    list: (limit) => newest.all(limit).map(entryOf),
  };
}

/** What is sealed is not for the log. */
function argumentsText({ name, args }: Command): string {
  const text = name === configureRight ? '(sealed)' : JSON.stringify(args);
  return text.slice(0, maxArgumentBytes);
}

function outcomeOf(value: unknown): RemoteOutcome {
  return value === 'done' || value === 'refused' || value === 'expired' || value === 'waits' ? value : 'failed';
}

function entryOf(row: Readonly<Record<string, unknown>>): RemoteEntry {
  return {
    id: String(row['id']),
    at: Number(row['at']),
    name: String(row['name']),
    arguments: String(row['arguments']),
    outcome: typeof row['outcome'] === 'string' ? row['outcome'] : 'not ended',
    text: String(row['text']),
  };
}
