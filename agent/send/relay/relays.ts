// The relays of a running agent: what is known about each, and who sends for whom now. No I/O but reading the index.
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import type { Database } from '#shared/sqlite.ts';
import type { SendLimits } from '../../accounts/presets.ts';
import { createLoginMemory } from '../../accounts/login-memory.ts';
import type { SecretSource } from '../../accounts/secret.ts';
import type { RelayConfig } from '../../config.ts';
import type { Endpoint } from '../../net/socket.ts';
import { openBudget } from './budget.ts';
import type { Budget, BudgetLeft } from './budget.ts';
import type { QueueClock } from '../queue/queue-clock.ts';
import { createRelayHealth } from './relay-health.ts';
import type { Logins, Pause, RelayHealth } from './relay-health.ts';
import { chainOf, createRouteOf, standInOf } from './route.ts';
import { createSources } from './runner.ts';
import { retryWaitMs } from './schedule.ts';
import type { RetryPace } from './schedule.ts';

/** One of the provider's relays, with all that its sessions need. */
export type RelaySetup = {
  readonly config: RelayConfig;
  readonly endpoint: Endpoint;
  readonly secret: SecretSource;
  /** What the provider allows. */
  readonly limits: SendLimits;
  /** File and option, for the log. */
  readonly origin: string;
};
export type Relay = {
  readonly id: string;
  readonly setup: RelaySetup;
  readonly health: RelayHealth;
  readonly budget: Budget;
  readonly pace: RetryPace;
  /** File or environment hold another secret than the refused one. */
  readonly secretChanged: () => boolean;
  /** Written by the line of its sessions. */
  readonly use: { sessions: number };
};
export type RelayState = {
  readonly id: string;
  readonly up: boolean;
  /** Why it takes no mail; empty when it works. */
  readonly problem: string;
  /** Why mail waits although the relay works: the budget is used up. Empty when it does not. */
  readonly waits: string;
  /** Open now. */
  readonly sessions: number;
  /** What of the budget is left, where there is one. */
  readonly budget?: BudgetLeft;
  /** The relay that sends in its place now. */
  readonly standIn?: string;
};
export type Relays = {
  readonly all: readonly Relay[];
  readonly find: (id: string) => Relay | undefined;
  readonly routeOf: (sender: string) => string | undefined;
  readonly paceOf: (id: string) => {
    readonly retryWaitMs: (attempts: number) => number;
    readonly unknownRetryMs: number;
  };
  /** Whose mail goes by this relay now. */
  readonly sourcesOf: (id: string) => readonly { readonly relay: string; readonly standIn: boolean }[];
  readonly states: () => readonly RelayState[];
  /** What keeps the mail of this relay; empty when nothing does. */
  readonly problemOf: (id: string) => string;
  /** Somebody asks for a try now. */
  readonly retry: () => void;
};

export function openRelays(options: {
  readonly setups: readonly RelaySetup[];
  readonly db: Database;
  readonly queueClock: QueueClock;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly onChange: () => void;
}): Relays {
  const { queueClock, random } = options;
  // Limits are those of a login: relays with the same one, for several senders, spend of the same.
  const budgets = new Map<string, Budget>();
  const budgetOf = ({ config, endpoint, limits }: RelaySetup): Budget => {
    const relay = endpoint.host + ':' + endpoint.port + ' ' + config.user;
    const budget = budgets.get(relay) ?? openBudget({ db: options.db, queueClock, relay, limits });
    budgets.set(relay, budget);
    return budget;
  };
  const all = options.setups.map((setup) => openRelay(options, setup, budgetOf(setup)));
  const first = all[0];
  if (first === undefined) throw new Error('Cannot send: no relay, expected at least one');
  const routes = all.map((relay) => routeParts(relay.setup.config));
  const find = (id: string): Relay | undefined => all.find((relay) => relay.id === id);

  function isOut(id: string): boolean {
    const relay = find(id);
    if (relay === undefined) return true;
    const patienceMs = relay.setup.config.fallbackAfterSeconds * 1_000;
    return relay.health.isOut() || relay.budget.waitMs(false) > patienceMs;
  }

  function stateOf({ budget, health, id, use }: Relay): RelayState {
    const waitMs = budget.waitMs(false);
    const until = new Date(queueClock.toWall(queueClock.now() + waitMs)).toTimeString().slice(0, 5);
    const left = budget.left();
    const chain = chainOf(routes, id);
    const now = chain.length > 1 ? standInOf(chain, isOut) : id;
    return {
      ...health.status(),
      sessions: use.sessions,
      waits: waitMs === 0 ? '' : 'Its limits are used up, mail waits until ' + until,
      ...(left === undefined ? {} : { budget: left }),
      ...(now === undefined || now === id ? {} : { standIn: now }),
    };
  }

  return {
    all,
    find,
    routeOf: createRouteOf(routes),
    paceOf(id) {
      const { pace, setup } = find(id) ?? first;
      return {
        retryWaitMs: (attempts) => retryWaitMs(pace, attempts, random),
        unknownRetryMs: setup.config.unknownRetrySeconds * 1_000,
      };
    },
    sourcesOf: createSources(routes, isOut),
    states: () => all.map(stateOf),
    problemOf(id) {
      const relay = find(id);
      if (relay === undefined) return '';
      const { problem, standIn, waits } = stateOf(relay);
      return standIn === undefined ? problem || waits : '';
    },
    retry() {
      for (const relay of all) relay.health.retry();
    },
  };
}

function openRelay(options: Parameters<typeof openRelays>[0], setup: RelaySetup, budget: Budget): Relay {
  const { clock, db, log, onChange, queueClock, random } = options;
  const { config, origin } = setup;
  const { id } = config;
  const pace = { firstMs: config.retryFirstSeconds * 1_000, maxMs: config.retryMaxSeconds * 1_000 };
  const { secretChanged, ...logins } = openLogins(options, setup);
  const health = createRelayHealth({
    id,
    origin,
    clock,
    queueClock,
    random,
    log,
    onChange,
    fallbackAfterMs: config.fallbackAfterSeconds * 1_000,
    // A relay is probed every minute at least; a login at most four times an hour, or the provider locks the account.
    linePace: { firstMs: Math.min(pace.firstMs, 5_000), maxMs: Math.min(pace.maxMs, 60_000) },
    loginPace: { firstMs: Math.min(pace.firstMs, 60_000), maxMs: Math.min(pace.maxMs, 900_000) },
    ...pauseIn(db, id),
    logins,
  });
  const use = { sessions: 0 };
  return { id, setup, health, pace, use, secretChanged, budget };
}

function openLogins(
  options: Parameters<typeof openRelays>[0],
  { config, secret }: RelaySetup,
): Logins & Pick<Relay, 'secretChanged'> {
  const { clock, db, log } = options;
  // Accounts of receiving have plain ids in the same table.
  const memory = createLoginMemory({ db, account: 'relay ' + config.id, now: clock.now, log });
  const past = memory.begin(false);
  const stored = past.refusals > 0 ? secret.stored() : undefined;
  /** The secret that the last life saw refused, until this one has tried it. */
  let former = stored !== undefined && past.isRefused(stored) ? stored : undefined;
  return {
    past: former === undefined ? undefined : { refusals: past.refusals, sinceMs: past.sinceRefusalMs },
    refused(refusals) {
      former = undefined;
      memory.refused(refusals, secret.stored());
    },
    well() {
      former = undefined;
      memory.well();
    },
    // What cannot be read is no change.
    secretChanged: () => (former === undefined ? secret.changed() : (secret.stored() ?? former) !== former),
  };
}

function routeParts({ fallback, id, senders }: RelayConfig) {
  return { id, fallback, ...(senders === undefined ? {} : { senders }) };
}

/** What a provider said about the account, in the table of the queue's own facts. */
function pauseIn(db: Database, id: string) {
  const key = 'pause ' + id;
  const write = db.prepare(
    'INSERT INTO spool (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
  );
  const remove = db.prepare('DELETE FROM spool WHERE key = ?');
  const found = db.prepare('SELECT value FROM spool WHERE key = ?').get(key)?.['value'];
  const [until = '', ...text] = String(found ?? '').split(' ');
  return {
    pause: found === undefined ? undefined : { untilMs: Number(until), text: text.join(' ') },
    keepPause: (pause: Pause | undefined) =>
      pause === undefined ? remove.run(key) : write.run(key, Math.round(pause.untilMs) + ' ' + pause.text),
  };
}
