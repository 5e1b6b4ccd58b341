// A receive room on a bench: a real ledger, a real local room, a POP3 and an SMTP server of the test's choice.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { neverCrash } from '#shared/checkpoint.ts';
import type { Checkpoint } from '#shared/checkpoint.ts';
import { systemClock } from '#shared/clock.ts';
import { createJournal, journalSchema } from '#shared/journal.ts';
import { createLog } from '#shared/log.ts';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { openDatabase } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import type { AccountConfig, LocalConfig } from '../../../agent/config.ts';
import { createLocal } from '../../../agent/local/local.ts';
import type { Endpoint, openSocket } from '../../../agent/net/socket.ts';
import { ledgerSchema } from '../../../agent/receive/ledger/ledger.ts';
import { createReceive } from '../../../agent/receive/receive.ts';
import type { AccountStatus, Receive } from '../../../agent/receive/receive.ts';
import type { CheckSetup } from '../../../agent/receive/check/scanners.ts';
import type { Pop3Timeouts } from '../../../agent/receive/pop3/wire.ts';
import type { Lab } from '../../lab/lab.ts';

export type BenchAccount = Partial<AccountConfig> & {
  readonly endpoint: Endpoint;
  readonly secret?: string;
  /** Wake by IMAP IDLE. */
  readonly wake?: Endpoint;
  /** Without firstRun. */
  readonly undecided?: boolean;
};
export type Bench = {
  readonly db: Database;
  readonly folder: string;
  /** One round of all accounts (or one), begun now. */
  readonly fetch: (account?: string) => Promise<readonly AccountStatus[]>;
  readonly status: () => readonly AccountStatus[];
  /** What mail_in the journal holds, oldest first. */
  readonly mailIn: () => readonly Point[];
  /** What was said through the meter. */
  readonly gauges: readonly Point[];
  /** Time passes. */
  readonly passDays: (days: number) => void;
  /** Somebody sets the wall clock, by days. */
  readonly setClock: (days: number) => void;
  readonly confirm: (account: string, answer?: string) => Promise<readonly AccountStatus[]>;
  readonly quarantine: Receive['quarantine'];
  readonly scanners: Receive['scanners'];
  readonly stop: () => Promise<void>;
};

/** With an interval of an hour by default, so that every round is one that the test asks for. */
export async function createBench(
  t: TestContext,
  lab: Lab,
  options: {
    readonly accounts: readonly BenchAccount[];
    readonly local: Endpoint;
    readonly protocol?: LocalConfig['protocol'];
    readonly sessions?: number;
    readonly name?: string;
    readonly reached?: (checkpoint: Checkpoint, db: Database) => void;
    readonly timeouts?: Partial<Pop3Timeouts>;
    readonly check?: CheckSetup;
    /** Sockets of another kind. */
    readonly connect?: typeof openSocket;
    /** The last time that a person adopted the state. */
    readonly adoption?: string;
  },
): Promise<Bench> {
  const folder = join(lab.dir, options.name ?? 'agent');
  mkdirSync(folder, { recursive: true });
  const db = openDatabase({ path: join(folder, 'agent.db'), schema: [[journalSchema, ledgerSchema].join(';\n')] });
  const journal = createJournal(db);
  const gauges: Point[] = [];
  let offsetMs = 0;
  let jumpMs = 0;
  const clock = {
    ...systemClock,
    now: () => Date.now() + offsetMs + jumpMs,
    monotonic: () => systemClock.monotonic() + offsetMs,
  };
  const log = createLog({ level: 'silent', name: 'test' });
  const { host, port, tls } = options.local;
  const sessions = options.sessions ?? 4;
  const config: LocalConfig = {
    protocol: options.protocol ?? 'smtp',
    host,
    port,
    tls,
    domains: ['example.org'],
    sessions,
  };
  const local = createLocal({ config, endpoint: options.local, name: 'agent.test', clock, log });
  const reached = options.reached ?? neverCrash;
  const receive = createReceive({
    accounts: options.accounts.map(setupOf),
    db,
    journal,
    local,
    sessions,
    meter: createMeter({ clock, sink: (point) => void gauges.push(point) }),
    clock,
    random: () => 0.5,
    log,
    reached: (checkpoint) => reached(checkpoint, db),
    traceId: 'abc123',
    folder,
    adoption: options.adoption ?? '',
    ...(options.check && { check: options.check }),
    ...(options.connect && { connect: options.connect }),
    timeouts: { connectMs: 5_000, replyMs: 5_000, progressMs: 5_000, ...options.timeouts },
  });
  const controller = new AbortController();
  let running: Promise<void> | undefined;
  let closed = false;
  const stop = async (): Promise<void> => {
    controller.abort();
    await running;
    await local.close();
    if (!closed) db.close();
    closed = true;
  };
  t.after(stop);
  return {
    db,
    folder,
    fetch(account) {
      running ??= receive.run(controller.signal);
      return receive.fetchNow(account);
    },
    status: receive.status,
    mailIn: () => journal.read(0, 10_000).points.filter(({ name }) => name === 'mail_in'),
    gauges,
    passDays: (days) => void (offsetMs += days * 86_400_000),
    setClock: (days) => void (jumpMs += days * 86_400_000),
    confirm: receive.confirm,
    quarantine: receive.quarantine,
    scanners: receive.scanners,
    stop,
  };
}

function setupOf({ endpoint, secret, undecided, wake, ...config }: BenchAccount) {
  const { host, port, tls } = endpoint;
  const standard = {
    id: 'info',
    host,
    port,
    tls,
    user: 'info@example.org',
    password: { env: 'UNUSED' },
    recipients: ['info@example.org'],
    keep: 'none' as const,
    ...(undecided === true ? {} : { firstRun: 'all' as const }),
    intervalSeconds: 3_600,
  };
  return { config: { ...standard, ...config }, endpoint, password: secret ?? 'right', ...(wake && { wake }) };
}
