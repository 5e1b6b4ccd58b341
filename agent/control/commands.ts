// The one table of commands: names, arguments, help, and whether a command only reads (rule of safety 9: whoever is allowed
// to read only gets just those). The local socket runs it, the command line and docs/commands.md are made from it.
import { Type } from 'typebox';
import type { Static, TObject } from 'typebox';
import { changeArguments, changeRuns, changeSpecs } from './change-commands.ts';
import type { ChangeWork } from './change-commands.ts';
import { findProblems, nearest } from '#shared/config-problems.ts';
import { UserError } from '#shared/failure.ts';
import { troublesOf } from './answers.ts';
import type {
  AgentStatus,
  Checked,
  DroppedMail,
  Fetched,
  Flushed,
  HeldList,
  HeldMail,
  QueueChange,
  QueueEntry,
  QueueList,
  ReleasedMail,
  Reloaded,
  ShownMail,
} from './answers.ts';

export type { AgentStatus, QueueEntry } from './answers.ts';

export type CommandSpec = {
  readonly help: string;
  /** Changes nothing at the agent. */
  readonly readOnly: boolean;
  /** Properties in the order of the command line; each has a `description`. */
  readonly arguments: TObject;
  /** After this the caller is told that there is no result yet; the work itself may go on. */
  readonly timeoutSeconds: number;
};
export type Command = CommandSpec & {
  /** Throws UserError when it cannot be done. The result is JSON. */
  readonly run: (given: unknown) => Promise<unknown>;
};
export type CommandTable = ReadonlyMap<string, Command>;

const closed = { additionalProperties: false } as const;
const none = Type.Object({}, closed);
const showArguments = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 200, description: 'the id of a mail, as `queue list` shows it' }) },
  closed,
);
const heldArguments = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 200, description: 'the id of a mail, as `quarantine list` shows it' }) },
  closed,
);
const fetchArguments = Type.Object(
  {
    account: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'the id of one account; all accounts when absent' }),
    ),
  },
  closed,
);

const confirmArguments = Type.Object(
  {
    account: Type.String({ minLength: 1, maxLength: 200, description: 'the id of the account that asks' }),
    answer: Type.Optional(
      Type.Union(
        [
          Type.Literal('known'),
          Type.Literal('new'),
          Type.String({ pattern: '^since:\\d{4}-\\d{2}-\\d{2}$', description: 'since:YYYY-MM-DD' }),
        ],
        {
          description:
            'what mails are that the agent does not know: known (they stay there), new (they are delivered), or since:YYYY-MM-DD (new from that day on; not for a moved mailbox)',
        },
      ),
    ),
  },
  closed,
);

const whatArguments = Type.Object(
  {
    what: Type.Union([Type.Literal('dnsbl'), Type.Literal('domain'), Type.Literal('tls'), Type.Literal('roundtrip')], {
      description: 'dnsbl, domain, tls or roundtrip',
    }),
    now: Type.Optional(
      Type.Literal('now', {
        description: 'now: look now and wait for it, instead of telling what the last look found',
      }),
    ),
  },
  closed,
);

export const commandSpecs = {
  status: {
    help: 'Shows mailboxes, relays, queue, block lists and the report to the collector.',
    readOnly: true,
    arguments: none,
    timeoutSeconds: 10,
  },
  check: {
    help: 'Shows what is found about block lists, the own domains, certificates or round trips, for people and for monitoring.',
    readOnly: true,
    arguments: whatArguments,
    timeoutSeconds: 300,
  },
  'queue list': {
    help: 'Lists the mails that wait to be sent, the oldest first.',
    readOnly: true,
    arguments: none,
    timeoutSeconds: 10,
  },
  'queue show': {
    help: 'Shows one mail of the queue with its recipients and the last replies.',
    readOnly: true,
    arguments: showArguments,
    timeoutSeconds: 10,
  },
  'queue hold': {
    help: 'Keeps one mail from being sent until it is released.',
    readOnly: false,
    arguments: showArguments,
    timeoutSeconds: 10,
  },
  'queue release': {
    help: 'Sends a held mail after all; says to whom it may have gone already.',
    readOnly: false,
    arguments: showArguments,
    timeoutSeconds: 10,
  },
  'queue retry': {
    help: 'Tries one mail now instead of at its next time; says to whom it may have gone already.',
    readOnly: false,
    arguments: showArguments,
    timeoutSeconds: 10,
  },
  'queue drop': {
    help: 'Removes one mail from the queue for good; its sender is not told.',
    readOnly: false,
    arguments: showArguments,
    timeoutSeconds: 10,
  },
  'queue flush': {
    help: 'Tries all mails now that wait for their next time, but for those that may have gone already.',
    readOnly: false,
    arguments: none,
    timeoutSeconds: 10,
  },
  fetch: {
    help: 'Fetches mail now instead of at the next round, and tells how it went.',
    readOnly: false,
    arguments: fetchArguments,
    timeoutSeconds: 300,
  },
  confirm: {
    help: 'Answers what an account asks: that a shorter keep is meant so, or what mails are that the agent does not know.',
    readOnly: false,
    arguments: confirmArguments,
    timeoutSeconds: 300,
  },
  adopt: {
    help: 'Says that this state is to be used on this machine, after it was copied, moved or restored.',
    readOnly: false,
    arguments: none,
    timeoutSeconds: 60,
  },
  reload: {
    help: 'Reads the configuration again and takes up what is new, without a restart; says what needs one.',
    readOnly: false,
    arguments: none,
    timeoutSeconds: 60,
  },
  'quarantine list': {
    help: 'Lists fetched mails that were not handed over, and why, the oldest first.',
    readOnly: true,
    arguments: none,
    timeoutSeconds: 30,
  },
  'quarantine show': {
    help: 'Shows one mail in quarantine with its header and the place of its file.',
    readOnly: true,
    arguments: heldArguments,
    timeoutSeconds: 10,
  },
  'quarantine release': {
    help: 'Hands one mail over without another check, to those who have not got it yet.',
    readOnly: false,
    arguments: heldArguments,
    timeoutSeconds: 900,
  },
  'quarantine drop': {
    help: "Removes one mail from quarantine; the provider's copy may be deleted when its keeping time is over.",
    readOnly: false,
    arguments: heldArguments,
    timeoutSeconds: 30,
  },
  ...changeSpecs,
} as const satisfies Readonly<Record<string, CommandSpec>>;
export type CommandName = keyof typeof commandSpecs;

/** A longer queue is cut in the list; the total is told. */
const maxListed = 1_000;

type CheckKind = Static<typeof whatArguments>['what'];

/** What the composition root hands in. */
export type CommandWork = {
  readonly status: () => AgentStatus;
  /** The oldest first. */
  readonly queueList: () => readonly QueueEntry[];
  readonly queueShow: (id: string) => QueueEntry | undefined;
  /** Undefined when no submission is configured. What cannot be done is a UserError. */
  readonly queue: () => QueueWork | undefined;
  /** Throws UserError when nothing of the kind is configured. */
  readonly check?: (what: CheckKind, now: boolean) => Promise<Checked>;
  /** Resolves with the state of the accounts after their round. */
  readonly fetch: (account: string | undefined) => Promise<Fetched['accounts']>;
  /** The same, after an account's question was answered. */
  readonly confirm?: (account: string, answer: string | undefined) => Promise<Fetched['accounts']>;
  /** Starts the rooms of a state that was held; gives why it was, empty when it was not. */
  readonly adopt?: () => Promise<string>;
  /** Reads the configuration again. What cannot be used is a UserError, and nothing is changed. */
  readonly reload?: () => Promise<Reloaded>;
  /** What the collector proposes and has asked for; undefined when no report is configured. */
  readonly changes?: () => ChangeWork | undefined;
  /** Undefined when no account is configured. An unknown id is a UserError. */
  readonly quarantine: () => QuarantineWork | undefined;
};
export type QueueWork = {
  readonly hold: (id: string) => QueueChange;
  readonly release: (id: string) => Promise<QueueChange>;
  readonly retry: (id: string) => QueueChange;
  readonly drop: (id: string) => QueueChange;
  readonly flush: () => Flushed;
};
export type QuarantineWork = {
  readonly summary: () => { readonly count: number };
  /** The oldest first. */
  readonly list: () => Promise<readonly HeldMail[]>;
  readonly show: (id: string) => Promise<ShownMail>;
  readonly release: (id: string) => Promise<ReleasedMail>;
  readonly drop: (id: string) => Promise<DroppedMail>;
};

export function createCommands(work: CommandWork): CommandTable {
  const status = async () => {
    const now = work.status();
    return { ...now, troubles: troublesOf(now) };
  };
  const list = async (): Promise<QueueList> => {
    const entries = work.queueList();
    const depth = work.status().queue?.depth ?? 0;
    return { total: Math.max(depth, entries.length), entries: entries.slice(0, maxListed) };
  };
  const show = async ({ id }: Static<typeof showArguments>) => {
    const entry = work.queueShow(id);
    if (entry !== undefined) return entry;
    throw new UserError('Cannot show mail ' + quote(id) + ': it is not in the queue, expected an id of queue list');
  };
  const queue = (act: string): QueueWork => {
    const desk = work.queue();
    if (desk !== undefined) return desk;
    throw new UserError('Cannot ' + act + ': no submission is configured, expected `relays` and `submission`');
  };
  const change = (act: 'hold' | 'release' | 'retry' | 'drop'): Command => {
    const name = 'queue ' + act;
    const run = async ({ id }: Static<typeof showArguments>) => queue(act + ' a mail')[act](id);
    return { ...commandSpecs[`queue ${act}`], run: checked(name, showArguments, run) };
  };
  const flush = async () => queue('flush the queue').flush();
  const fetch = async ({ account }: Static<typeof fetchArguments>) => {
    checkAccount(work.status().accounts, account);
    const accounts = await work.fetch(account);
    return { accounts, troubles: troublesOf({ accounts }) };
  };
  const confirm = async ({ account, answer }: Static<typeof confirmArguments>) => {
    checkAccount(work.status().accounts, account);
    const accounts = (await work.confirm?.(account, answer)) ?? [];
    return { accounts, troubles: troublesOf({ accounts }) };
  };
  const check = ({ now, what }: Static<typeof whatArguments>) => {
    if (work.check === undefined) throw new UserError('Cannot check ' + what + ': the agent has no probes');
    return work.check(what, now === 'now');
  };
  const adopt = async () => ({ was: (await work.adopt?.()) ?? '' });
  const reload = async () => {
    const { restart = [], ...rest } = (await work.reload?.()) ?? { changes: [], reopened: [] };
    const troubles = restart.map((option) => 'option ' + option + ' counts from the next start on');
    return { ...rest, restart, troubles };
  };
  const quarantine = (act: string): QuarantineWork => {
    const desk = work.quarantine();
    if (desk !== undefined) return desk;
    throw new UserError('Cannot ' + act + ': no account is configured, expected at least one under `accounts`');
  };
  const listHeld = async (): Promise<HeldList> => {
    const desk = quarantine('list the quarantine');
    const entries = await desk.list();
    return { total: Math.max(desk.summary().count, entries.length), entries: entries.slice(0, maxListed) };
  };
  const showHeld = ({ id }: Static<typeof heldArguments>) => quarantine('show a mail').show(id);
  const release = ({ id }: Static<typeof heldArguments>) => quarantine('release a mail').release(id);
  const drop = ({ id }: Static<typeof heldArguments>) => quarantine('drop a mail').drop(id);
  const asked = changeRuns(() => work.changes?.());
  const table: Readonly<Record<CommandName, Command>> = {
    status: { ...commandSpecs.status, run: checked('status', none, status) },
    check: { ...commandSpecs.check, run: checked('check', whatArguments, check) },
    'queue list': { ...commandSpecs['queue list'], run: checked('queue list', none, list) },
    'queue show': { ...commandSpecs['queue show'], run: checked('queue show', showArguments, show) },
    'queue hold': change('hold'),
    'queue release': change('release'),
    'queue retry': change('retry'),
    'queue drop': change('drop'),
    'queue flush': { ...commandSpecs['queue flush'], run: checked('queue flush', none, flush) },
    fetch: { ...commandSpecs.fetch, run: checked('fetch', fetchArguments, fetch) },
    confirm: { ...commandSpecs.confirm, run: checked('confirm', confirmArguments, confirm) },
    adopt: { ...commandSpecs.adopt, run: checked('adopt', none, adopt) },
    reload: { ...commandSpecs.reload, run: checked('reload', none, reload) },
    'quarantine list': { ...commandSpecs['quarantine list'], run: checked('quarantine list', none, listHeld) },
    'quarantine show': { ...commandSpecs['quarantine show'], run: checked('quarantine show', heldArguments, showHeld) },
    'quarantine release': {
      ...commandSpecs['quarantine release'],
      run: checked('quarantine release', heldArguments, release),
    },
    'change list': { ...changeSpecs['change list'], run: checked('change list', none, asked.list) },
    'change accept': { ...changeSpecs['change accept'], run: checked('change accept', changeArguments, asked.accept) },
    'change reject': { ...changeSpecs['change reject'], run: checked('change reject', changeArguments, asked.reject) },
    key: { ...changeSpecs.key, run: checked('key', none, asked.key) },
    audit: { ...changeSpecs.audit, run: checked('audit', none, asked.audit) },
    'quarantine drop': { ...commandSpecs['quarantine drop'], run: checked('quarantine drop', heldArguments, drop) },
  };
  return new Map(Object.entries(table));
}

/** Throws UserError naming the argument. */
export function checkArguments(name: string, schema: TObject, given: unknown): void {
  const [first] = findProblems(schema, given);
  if (first === undefined) return;
  const what = first.path.length === 0 ? 'its arguments' : 'argument ' + first.path.join('.');
  const expected = Object.keys(schema.properties).length === 0 ? 'no argument' : first.expected;
  throw new UserError('Cannot run ' + name + ': ' + what + ': found ' + first.found + ', expected ' + expected);
}

function checked<S extends TObject>(name: string, schema: S, run: (given: Static<S>) => Promise<unknown>) {
  return async (given: unknown): Promise<unknown> => {
    checkArguments(name, schema, given);
    return run(given as Static<S>); // checkArguments() has checked it against this very schema
  };
}

function checkAccount(accounts: AgentStatus['accounts'], wanted: string | undefined): void {
  const ids = accounts.map((account) => account.id);
  if (ids.length === 0)
    throw new UserError('Cannot fetch: no account is configured, expected at least one under `accounts`');
  if (wanted === undefined || ids.includes(wanted)) return;
  const near = nearest(wanted, ids);
  const expected = near === undefined ? 'one of ' + ids.join(', ') : near + ' (the nearest known account)';
  throw new UserError('Cannot fetch account ' + quote(wanted) + ': unknown, expected ' + expected);
}

function quote(text: string): string {
  return JSON.stringify(text.slice(0, 80));
}
