// Mail comes in: fetches the mailboxes at the provider into the local mail server, all accounts at once.
// Promise: nothing is deleted at the provider before the local server has answered 250, that fact is on disk, and its
// keeping time is over. How each file keeps its part stands in the README of this room.
import { join } from 'node:path';
import type { Reached } from '#shared/checkpoint.ts';
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Journal } from '#shared/journal.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import type { Database } from '#shared/sqlite.ts';
import { passwordSource } from '../accounts/secret.ts';
import type { LoginMemory } from '../accounts/login-memory.ts';
import type { SecretSource } from '../accounts/secret.ts';
import type { AccountConfig } from '../config.ts';
import type { Local } from '../local/local.ts';
import type { Endpoint, openSocket } from '../net/socket.ts';
import { createAccount } from './account.ts';
import type { Account, AccountStatus } from './account.ts';
import { createBodyStore } from './delivery/body.ts';
import type { ScannerState } from './check/check.ts';
import { createLedger } from './ledger/ledger.ts';
import { createQuarantine } from './quarantine/quarantine.ts';
import { readAnswer } from './known/question.ts';
import { createQuarantineDesk } from './quarantine/quarantine-desk.ts';
import type { QuarantineDesk } from './quarantine/quarantine-desk.ts';
import { openCheck } from './check/scanners.ts';
import type { CheckSetup } from './check/scanners.ts';
import { createWake } from './wake.ts';
import type { Wake } from './wake.ts';
import type { Pop3Timeouts } from './pop3/wire.ts';

export type { AccountStatus };
export type AccountSetup = {
  readonly config: AccountConfig;
  readonly endpoint: Endpoint;
  /** A text that never changes, or where to read what the login needs. */
  readonly password: string | SecretSource;
  /** The provider's minimum between two logins; no setting, no wake and no command goes below it. Default 0. */
  readonly minIntervalSeconds?: number;
  /** Wake by IMAP IDLE at this place, with the account's login. */
  readonly wake?: Endpoint;
  /** File and option, for the log; the id when absent. */
  readonly origin?: string;
};
export type ReceiveOptions = {
  readonly accounts: readonly AccountSetup[];
  readonly db: Database;
  readonly journal: Journal;
  readonly local: Local;
  /** Local sessions: so many mails of an account are handed over at once. */
  readonly sessions: number;
  readonly meter: Meter;
  readonly clock: Clock;
  /** Even chance in [0, 1). */
  readonly random: () => number;
  readonly log: Log;
  readonly reached: Reached;
  /** Names this agent in the trace header. */
  readonly traceId: string;
  /** Holds incoming/ (temporary) and quarantine/. */
  readonly folder: string;
  /** What is known of the logins of an account's former lives; nothing when absent. */
  readonly logins?: (account: string) => LoginMemory;
  /** Names the last time that a person said that this state is to be used here. */
  readonly adoption?: string;
  /** Content check; none when absent. */
  readonly check?: CheckSetup;
  readonly timeouts?: Partial<Pop3Timeouts>;
  /** Sockets of another kind, for tests. */
  readonly connect?: typeof openSocket;
};
export type Receive = {
  /** All accounts at once, until aborted. The trouble of one is its status, not an error. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** A round now, of one account or of all, ending pauses; resolves when they are over. Throws UserError for an unknown account. */
  readonly fetchNow: (accountId?: string) => Promise<readonly AccountStatus[]>;
  /** Answers what an account asks, then a round of it; see Account.confirm. Throws UserError for an unknown account or answer. */
  readonly confirm: (accountId: string, answer?: string) => Promise<readonly AccountStatus[]>;
  readonly status: () => readonly AccountStatus[];
  readonly quarantine: Omit<QuarantineDesk, 'prepare'>;
  /** The scanners of the content check. */
  readonly scanners: () => readonly ScannerState[];
};

export function createReceive(options: ReceiveOptions): Receive {
  const { log, folder } = options;
  const bodies = createBodyStore({ folder: join(folder, 'incoming') });
  const quarantine = createQuarantine({ folder: join(folder, 'quarantine') });
  const ledger = createLedger({ db: options.db, journal: options.journal, sessions: options.sessions });
  const { sessions, meter, clock, random, reached, traceId, timeouts } = options;
  const check = openCheck(options.check, { clock, log });
  // A scanner that must be asked is a part of the way to the local server: when it is away, so is the local server.
  const local: Local = { ...options.local, problem: () => options.local.problem() ?? check.problem() };
  const stopping = new AbortController();
  const { signal } = stopping;
  const desk = createQuarantineDesk({ quarantine, db: options.db, ledger, local, clock, log, traceId, signal });
  const rest = {
    ...(timeouts === undefined ? {} : { timeouts }),
    ...(options.connect === undefined ? {} : { connect: options.connect }),
  };
  const common = {
    local,
    sessions,
    meter,
    clock,
    random,
    log,
    reached,
    traceId,
    bodies,
    quarantine,
    check,
    ledger,
    ...rest,
  };
  const wakes: Wake[] = [];
  const accounts = options.accounts.map(
    ({ config, endpoint, password, minIntervalSeconds = 0, wake: place, origin }) => {
      const secret = typeof password === 'string' ? passwordSource(() => password) : password;
      const onMail = (): void => account.wakeUp();
      const onState = (): void => account.wakeChanged();
      const about = { account: config.id, user: config.user, secret, onMail, onState, clock, random, log };
      const wake = place && createWake({ endpoint: place, ...about });
      if (wake !== undefined) wakes.push(wake);
      const account = createAccount({
        account: config,
        endpoint,
        secret,
        minIntervalMs: minIntervalSeconds * 1_000,
        origin: origin ?? 'account ' + config.id,
        ...(wake && { wakeState: wake.state }),
        ...(options.logins && { logins: options.logins(config.id) }),
        ...common,
      });
      return account;
    },
  );

  function choose(what: string, accountId: string | undefined): readonly Account[] {
    const asked = accounts.filter((account) => accountId === undefined || account.status().id === accountId);
    if (asked.length > 0 || accountId === undefined) return asked;
    const known = accounts.map((account) => account.status().id).join(', ');
    throw new UserError('Cannot ' + what + ' account ' + accountId + ': unknown, expected one of ' + known);
  }

  function beginLife(): void {
    try {
      const doubt = ledger.lives.begin(clock.now(), options.adoption ?? '');
      if (doubt === undefined) return;
      log.warn(doubt + '; mails that it does not know wait for a word of yours');
      ledger.accounts.askAll();
    } catch (error) {
      log.error({ error: describe(error) }, 'a new life cannot be noted');
    }
  }

  function endLife(): void {
    try {
      ledger.lives.end();
    } catch (error) {
      log.warn({ error: describe(error) }, 'the end cannot be noted: after some days this state looks like an old one');
    }
  }

  return {
    async run(signal) {
      signal.addEventListener('abort', () => stopping.abort(), { once: true });
      for (const [name, part] of Object.entries({
        incoming: bodies,
        quarantine,
        'quarantine of a former life': desk,
      })) {
        await part.prepare().catch((error: unknown) => {
          // Mails that need the folder will wait; the others still come in.
          log.error({ folder: name, error: describe(error) }, 'folder cannot be prepared');
        });
      }
      beginLife();
      await Promise.all([...accounts, ...wakes].map((part) => part.run(signal)));
      await ledger.close();
      endLife();
    },
    fetchNow: (accountId) => Promise.all(choose('fetch', accountId).map((account) => account.fetchNow())),
    async confirm(accountId, text) {
      const answer = text === undefined ? undefined : readAnswer(text);
      if (text !== undefined && answer === undefined)
        throw new UserError('Cannot confirm: found ' + text + ', expected known, new or since:YYYY-MM-DD');
      return Promise.all(choose('confirm', accountId).map((account) => account.confirm(answer)));
    },
    status: () => accounts.map((account) => account.status()),
    quarantine: desk,
    scanners: check.states,
  };
}
