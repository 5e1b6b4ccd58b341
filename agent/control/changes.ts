// Changes of the configuration that the collector proposes, sealed to this agent's key. Promises: without the owner's word
// nothing changes; a proposal stays sealed on the disk; it can neither widen what the collector may do, nor have a file of
// this machine read and sent somewhere.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Clock } from '#shared/clock.ts';
import { UserError } from '#shared/failure.ts';
import { parseJson } from '#shared/json.ts';
import { configureContext, unseal } from '#shared/sealed.ts';
import type { Database } from '#shared/sqlite.ts';
import type { Command } from '#shared/wire.ts';
import type { RemoteOutcome } from './remote.ts';

export const changesSchema =
  'CREATE TABLE proposed_change (id TEXT PRIMARY KEY, at INTEGER NOT NULL, expires INTEGER NOT NULL, sealed TEXT NOT NULL) STRICT, WITHOUT ROWID';

const path = Type.Array(Type.Union([Type.String({ maxLength: 60 }), Type.Integer({ minimum: 0, maximum: 1_000 })]), {
  minItems: 1,
  maxItems: 8,
});
const edit = Type.Union([
  Type.Object({ kind: Type.Union([Type.Literal('set'), Type.Literal('add')]), path, value: Type.Unknown() }),
  Type.Object({ kind: Type.Literal('remove'), path }),
  Type.Object({
    kind: Type.Literal('secret'),
    path,
    text: Type.String({ minLength: 1, maxLength: 4_000 }),
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,60}$' }),
  }),
]);
const proposal = Type.Object({
  v: Type.Literal(1),
  note: Type.Optional(Type.String({ maxLength: 500 })),
  edits: Type.Array(edit, { minItems: 1, maxItems: 100 }),
});
export type ProposedEdit = Static<typeof edit>;
const check = Compile(proposal);

export type ProposedChange = {
  readonly id: string;
  readonly at: number;
  /** Not to be accepted after this. */
  readonly expires: number;
  readonly note: string;
  /** What it would change, one line each, without secrets. */
  readonly lines: readonly string[];
};
export type Changes = {
  /** What came from the collector; `allowed`: it need not be asked. Throws UserError when it cannot be read or is refused. */
  readonly propose: (
    command: Command,
    allowed: boolean,
  ) => Promise<{ readonly outcome: RemoteOutcome; readonly text: string }>;
  /** Those that wait for an answer, the oldest first. */
  readonly list: () => readonly ProposedChange[];
  /** Throws UserError when there is none of this id, or the agent would not start with the result. */
  readonly accept: (id: string) => Promise<{ readonly id: string; readonly text: string }>;
  readonly reject: (id: string) => { readonly id: string };
};

const maxWaiting = 20;

export function createChanges(options: {
  readonly db: Database;
  readonly tenant: string;
  readonly agent: string;
  /** PEM of this agent's private key. */
  readonly key: string;
  /** Checks the edits without writing; throws UserError. */
  readonly preview: (edits: readonly ProposedEdit[]) => Promise<void>;
  /** Writes them and makes them count; says whether the agent must be started anew. */
  readonly apply: (edits: readonly ProposedEdit[]) => Promise<string>;
  /** The collector is told what a person has decided. */
  readonly onDecided: (id: string, outcome: RemoteOutcome, text: string) => void;
  readonly clock: Clock;
}): Changes {
  const { db, key, clock, tenant, agent } = options;
  const add = db.prepare('INSERT OR REPLACE INTO proposed_change (id, at, expires, sealed) VALUES (?, ?, ?, ?)');
  const all = db.prepare('SELECT * FROM proposed_change WHERE expires >= ? ORDER BY at, id');
  const find = db.prepare('SELECT * FROM proposed_change WHERE id = ? AND expires >= ?');
  const remove = db.prepare('DELETE FROM proposed_change WHERE id = ?');
  const expire = db.prepare('DELETE FROM proposed_change WHERE expires < ?');

  const open = (sealed: string): Static<typeof proposal> =>
    decode(unseal({ key, sealed, context: configureContext({ tenant, agent }) }));

  function viewOf(row: Readonly<Record<string, unknown>>): ProposedChange {
    const { edits, note = '' } = open(String(row['sealed']));
    return {
      id: String(row['id']),
      at: Number(row['at']),
      expires: Number(row['expires']),
      note,
      lines: edits.map(lineOf),
    };
  }

  function waiting(id: string): Readonly<Record<string, unknown>> {
    const row = find.get(id, clock.now());
    if (row !== undefined) return row;
    throw new UserError(
      'Cannot find the proposed change ' +
        JSON.stringify(id.slice(0, 80)) +
        ': none waits by this id, expected one of change list',
    );
  }

  return {
    async propose(command, allowed) {
      const { sealed } = command.args;
      if (typeof sealed !== 'string')
        throw new UserError('Cannot change the configuration: nothing sealed was sent, expected argument sealed');
      const { edits } = open(sealed);
      refuseReach(edits);
      await options.preview(edits);
      if (allowed) return { outcome: 'done', text: await options.apply(edits) };
      expire.run(clock.now());
      if (all.all(clock.now()).length >= maxWaiting)
        throw new UserError('Cannot keep the change: ' + maxWaiting + ' wait for an answer already');
      add.run(command.id, Math.round(clock.now()), command.expires, sealed);
      return { outcome: 'waits', text: 'a person at the agent must accept it: mailferry change accept ' + command.id };
    },
    list: () => all.all(clock.now()).map(viewOf),
    async accept(id) {
      const { edits } = open(String(waiting(id)['sealed']));
      const text = await options.apply(edits);
      remove.run(id);
      options.onDecided(id, 'done', text);
      return { id, text };
    },
    reject(id) {
      waiting(id);
      remove.run(id);
      options.onDecided(id, 'refused', 'a person at the agent has rejected it');
      return { id };
    },
  };
}

function decode(text: string): Static<typeof proposal> {
  const value = parseJson(text);
  if (check.Check(value)) return value;
  const [first] = check.Errors(value);
  throw new UserError(
    'Cannot read the proposed change: ' +
      (first?.instancePath ?? '') +
      ' ' +
      (first?.message ?? 'unknown shape') +
      ', expected a list of edits',
  );
}

/** Who this is, what it keeps, who may do what: only by hand. */
const untouchable: ReadonlySet<unknown> = new Set(['tenant', 'agent', 'state', 'report', 'page']);

function refuseReach(edits: readonly ProposedEdit[]): void {
  for (const one of edits) {
    const name = one.path.join('.');
    if (untouchable.has(one.path[0]))
      throw new UserError('Cannot change option ' + name + ' from afar: expected it to be changed at the agent');
    if ('value' in one && namesFile(one.path.at(-1), one.value))
      throw new UserError(
        'Cannot set option ' +
          name +
          ' from afar: it names a file or a variable of the machine of the agent, expected a secret',
      );
  }
}

/** `{file: ...}`, `{env: ...}`, caFile and the like, at any depth. */
function namesFile(option: unknown, value: unknown): boolean {
  if (typeof option === 'string' && /(?:^file|File|^env)$/.test(option)) return true;
  if (Array.isArray(value)) return value.some((one) => namesFile(undefined, one));
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([name, one]) => namesFile(name, one));
}

function lineOf(one: ProposedEdit): string {
  const name = one.path.join('.');
  switch (one.kind) {
    case 'set':
      return name + ': ' + JSON.stringify(one.value);
    case 'add':
      return name + ': one more: ' + JSON.stringify(one.value);
    case 'remove':
      return name + ': removed';
    case 'secret':
      return name + ': another secret';
  }
}
