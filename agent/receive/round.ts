// One session with one mailbox: STAT; when something may have changed: listing, what is new, RETR, hand over, record, DELE
// what may go, QUIT, record that it is gone.
// Promises: DELE only for what the ledger says was handed over, and never in a session that broke; a round that finds
// nothing new writes nothing to disk.
import type { SecretSource } from '../accounts/secret.ts';
import type { Endpoint, openSocket } from '../net/socket.ts';
import type { BodyStore } from './delivery/body.ts';
import { deleteDue } from './deletion.ts';
import { fetchNew } from './fetching.ts';
import type { HandOverDeps } from './delivery/handover.ts';
import { lookInto } from './known/mailbox.ts';
import { loginDelayOf, openPop3 } from './pop3/pop3.ts';
import { Pop3Error } from './pop3/pop3-error.ts';
import type { Pop3 } from './pop3/pop3.ts';
import { troubleOf } from './problem.ts';
import type { Trouble } from './problem.ts';
import { Question } from './known/question.ts';
import type { Answer } from './known/question.ts';
import { showKeep } from './retention.ts';
import type { Keep } from './retention.ts';
import { countSettled, isOversized, timesOfSocket } from './round-run.ts';
import type { Run, Times } from './round-run.ts';
import type { Unnamed } from './known/unnamed.ts';
import type { Pop3Timeouts } from './pop3/wire.ts';

export type RoundDeps = HandOverDeps & {
  readonly endpoint: Endpoint;
  /** Read before each login. */
  readonly secret: SecretSource;
  readonly bodies: BodyStore;
  /** Local sessions, and so mails handed over at once. */
  readonly sessions: number;
  readonly timeouts?: Partial<Pop3Timeouts>;
  /** Sockets of another kind, for tests. */
  readonly connect?: typeof openSocket;
};
/** What an account remembers between rounds; lost with the process, harmlessly. */
export type Memory = {
  /** Mails that failed, by ledger id: not before `dueAt` (monotonic). */
  readonly retries: Map<number, { readonly dueAt: number; readonly text: string }>;
  /** Records that could not be written, by ledger id. */
  readonly owed: Map<number, () => void>;
  /** Mails that the local server refused one after the other, and what it said last. */
  refusedInRow: number;
  lastRefusal: string;
  /** What a person said about mails that the ledger does not know. */
  answer: Answer | undefined;
  /** How the mailbox stood after the last listing that left nothing to do. */
  calm: Calm | undefined;
  /**
   * Mails whose listed size is not the recorded one, by ledger id, as they were found at that size. `changed`: the provider
   * has changed the mail itself, so it stays there.
   */
  readonly looked: Map<number, { readonly sizeBytes: number | undefined; readonly found: 'same' | 'changed' }>;
  /** The seen day on which known mails were looked at last, or this life began. */
  checkedDay?: number;
  /** Contents of which all mails were compared once, by SHA-256. */
  compared?: Set<string>;
  /** Mails without a usable UIDL, as they were read last. */
  unnamed?: Unnamed | undefined;
};
export type Calm = Pick<RoundResult, 'waiting' | 'hint' | 'counts'> & {
  readonly count: number;
  readonly sizeBytes: number;
  readonly today: number;
  /** Rounds since, with STAT alone. */
  rounds: number;
};
export type RoundOptions = {
  readonly memory: Memory;
  /** Try failed mails now. */
  readonly impatient: boolean;
  /** Ends the fetching at once. */
  readonly signal: AbortSignal;
  /** Ends mails that are on their way to the local server. */
  readonly handOverSignal: AbortSignal;
};
export type RoundResult = {
  readonly trouble: Trouble | undefined;
  /** Mails that wait although the round went well: why. */
  readonly waiting: string;
  /** What a person may want to know although all is well. */
  readonly hint: string;
  /** What a person must decide before the account goes on; empty when nothing. */
  readonly question: string;
  /** Undefined when the session did not get as far as a listing. */
  readonly counts:
    | { readonly backlog: number; readonly kept: number; readonly oversized: number; readonly passedOver: number }
    | undefined;
  readonly times: Times;
  /** As STAT said. */
  readonly mailbox: Stat | undefined;
  /** Mails that were handed over, or put into quarantine. */
  readonly brought: number;
  /** There is more to do at once. */
  readonly more: boolean;
  /** What the server wants between two logins. */
  readonly loginDelaySeconds: number;
};

/** So often, in rounds, the mailbox is listed although STAT says that nothing has changed. */
const listEvery = 20;

export async function runRound(deps: RoundDeps, options: RoundOptions): Promise<RoundResult> {
  const { memory } = options;
  const run = beginRun(deps, options);
  let loginDelaySeconds = 0;
  let question = '';
  let stat: Stat | undefined;
  let brought = 0;
  let pop3: Pop3 | undefined;
  try {
    for (const [id, write] of memory.owed) {
      write();
      memory.owed.delete(id);
    }
    pop3 = await openPop3({
      endpoint: deps.endpoint,
      user: deps.account.user,
      password: await deps.secret.read(options.signal),
      auth: deps.account.auth ?? 'auto',
      signal: options.signal,
      clock: deps.clock,
      watch: timesOfSocket(run.times, deps.clock.monotonic),
      ...(deps.timeouts === undefined ? {} : { timeouts: deps.timeouts }),
      ...(deps.connect === undefined ? {} : { connect: deps.connect }),
    });
    loginDelaySeconds = loginDelayOf(pop3.capabilities);
    const { connectMs = 0, tlsMs = 0 } = run.times;
    run.times.loginMs = deps.clock.monotonic() - run.startedAt - connectMs - tlsMs;
    stat = await pop3.stat();
    const { calm } = memory;
    if (calm !== undefined && isCalm(run, calm, stat)) {
      await pop3.quit();
      calm.rounds += 1;
      const { waiting, hint, counts } = calm;
      const { times } = run;
      const known = { waiting, hint, counts, times, mailbox: stat, question };
      return { ...known, trouble: undefined, more: false, brought: 0, loginDelaySeconds };
    }
    memory.calm = undefined;
    const listedAt = deps.clock.monotonic();
    await lookInto(run, pop3, stat);
    run.times.listMs = deps.clock.monotonic() - listedAt;
    const unseen = (run.items ?? []).filter(({ entry }) => entry.state === 'seen');
    await fetchNew(run, pop3).finally(() => (brought = countSettled(unseen)));
    const endedBadly = run.trouble !== undefined && run.trouble.kind !== 'local';
    if (!options.signal.aborted && !endedBadly) await deleteDue(run, pop3, keepNow(run));
  } catch (error) {
    if (error instanceof Question) question = error.message;
    else run.trouble = troubleOf(error, deps.account.id, deps.endpoint);
    if (error instanceof Pop3Error) loginDelaySeconds = Math.max(loginDelaySeconds, error.loginDelaySeconds);
  } finally {
    pop3?.close();
  }
  const { trouble, more, times } = run;
  const told = { waiting: waitingOf(run), hint: hintOf(run), counts: countsOf(run) };
  if (stat !== undefined && question === '') memory.calm = calmOf(run, stat, told);
  return { ...told, trouble, question, more, times, mailbox: stat, brought, loginDelaySeconds };
}

type Stat = { readonly count: number; readonly sizeBytes: number };

function beginRun(deps: RoundDeps, options: RoundOptions): Run {
  return {
    deps,
    options,
    today: deps.ledger.sawDay(deps.clock.now(), deps.clock.monotonic()),
    startedAt: deps.clock.monotonic(),
    items: undefined,
    since: undefined,
    inDoubt: false,
    known: undefined,
    seenAgain: new Set(),
    listingKey: '',
    contents: new Map(),
    unnamed: 0,
    keepQuestion: '',
    more: false,
    unfinished: false,
    trouble: undefined,
    gone: new Set(),
    times: {},
  };
}

/** Nothing has changed and nothing is due: the listing would say what is known. */
function isCalm(run: Run, calm: Calm, stat: Stat): boolean {
  const { impatient, memory } = run.options;
  const now = run.deps.clock.monotonic();
  const same = calm.count === stat.count && calm.sizeBytes === stat.sizeBytes && calm.today === run.today;
  const retryDue = [...memory.retries.values()].some(({ dueAt }) => dueAt <= now);
  return same && !impatient && !retryDue && calm.rounds + 1 < (run.deps.account.listEvery ?? listEvery);
}

function calmOf(run: Run, stat: Stat, told: Pick<RoundResult, 'waiting' | 'hint' | 'counts'>): Calm | undefined {
  const { trouble, more, unfinished, items, today } = run;
  if (trouble !== undefined || more || unfinished || items === undefined) return undefined;
  const { memory } = run.options;
  const untried = items.some(
    (item) => item.entry.state === 'seen' && !memory.retries.has(item.entry.id) && !isOversized(run.deps.account, item),
  );
  if (untried) return undefined;
  const gone = items.filter(({ entry }) => run.gone.has(entry.id));
  // An unknown size makes NaN, which is no size that STAT can say.
  const goneBytes = gone.reduce((sum, { listed }) => sum + (listed.sizeBytes ?? NaN), 0);
  return { ...told, count: stat.count - gone.length, sizeBytes: stat.sizeBytes - goneBytes, today, rounds: 0 };
}

/** The keeping time in force; undefined when nothing may be deleted today because days have passed. */
function keepNow(run: Run): Keep | undefined {
  const { account, ledger } = run.deps;
  const { keep, kept } = ledger.accounts.keepInForce(account.id, account.keep);
  if (kept > 0)
    run.keepQuestion =
      account.id +
      ': keep was shortened from ' +
      showKeep(keep) +
      ' to ' +
      showKeep(account.keep) +
      ', so that mails kept at the provider (' +
      kept +
      ' now) go earlier; until that is confirmed (`mailferry confirm ' +
      account.id +
      '`) the old time holds';
  return keep !== 'none' && ledger.isDayInDoubt() ? undefined : keep;
}

function countsOf(run: Run): RoundResult['counts'] {
  const { items } = run;
  if (items === undefined) return undefined;
  const count = (...states: readonly string[]): number =>
    items.filter(({ entry }) => states.includes(entry.state) && !run.gone.has(entry.id)).length;
  const oversized = items.filter((item) => isOversized(run.deps.account, item)).length;
  return {
    backlog: count('seen') - oversized + run.unnamed,
    kept: count('handed-over', 'delete-pending'),
    oversized,
    passedOver: count('passed-over'),
  };
}

function hintOf(run: Run): string {
  const counts = countsOf(run);
  if (counts === undefined) return '';
  const { oversized, passedOver } = counts;
  const hints = [];
  if (oversized > 0) hints.push(oversized + ' mails above maxSizeBytes stay at the provider');
  if (passedOver > 0) hints.push(passedOver + ' mails that are not wanted stay at the provider');
  return hints.join(', ');
}

function waitingOf(run: Run): string {
  const { id } = run.deps.account;
  const { retries } = run.options.memory;
  const texts = (run.items ?? []).flatMap(({ entry }) =>
    entry.state === 'seen' ? (retries.get(entry.id)?.text ?? []) : [],
  );
  const [first] = texts;
  const reasons = run.keepQuestion === '' ? [] : [run.keepQuestion];
  if (first !== undefined)
    reasons.push(
      id +
        ': mails that wait at the provider and are tried again: ' +
        texts.length +
        ', the first because of: ' +
        first,
    );
  if (run.unnamed > 0)
    reasons.push(
      id + ': mails that cannot be fetched because the provider gives no usable UIDL for them: ' + run.unnamed,
    );
  return reasons.join('; ');
}
