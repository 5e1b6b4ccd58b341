// Composition root of the collector: builds every room and hands each what it may call.
import { join } from 'node:path';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import { createLifecycle } from '#shared/lifecycle.ts';
import type { Log } from '#shared/log.ts';
import { userOf } from '#shared/topics.ts';
import { startAgents } from './agents.ts';
import { createAlert } from './alert/alert.ts';
import type { Alert } from './alert/alert.ts';
import { checkRuleOverrides } from './alert/rules.ts';
import type { CollectorConfig } from './config.ts';
import { optionalPem, optionalSecret } from './base.ts';
import type { Base } from './base.ts';
import { createSocket, socketPath } from './cli/socket.ts';
import { createAccounts } from './fleet/accounts.ts';
import type { Accounts } from './fleet/accounts.ts';
import { createFleet } from './fleet/fleet.ts';
import type { Fleet, Origin } from './fleet/fleet.ts';
import { startHeartbeat } from './heartbeat.ts';
import { openState } from './state.ts';
import type { State } from './state.ts';
import { openInfluxStore } from './store/influxdb.ts';
import { openSqliteStore } from './store/sqlite.ts';
import type { Store } from './store/store.ts';
import { createWeb } from './web/web.ts';

export type Collector = {
  /** Resolves when every part runs. Throws UserError on wrong options. */
  readonly start: () => Promise<void>;
  /** Idempotent, bounded. */
  readonly stop: () => Promise<void>;
};

export function createCollector(options: {
  readonly loaded: Loaded<CollectorConfig>;
  readonly log: Log;
  readonly clock?: Clock;
  readonly random?: () => number;
}): Collector {
  const { loaded, log } = options;
  const lifecycle = createLifecycle({ log });
  const clock = options.clock ?? systemClock;
  const random = options.random ?? Math.random;
  return {
    async start() {
      try {
        await start({ loaded, log, clock, random, lifecycle });
      } catch (error) {
        await lifecycle.stop();
        throw error;
      }
    },
    stop: () => lifecycle.stop(),
  };
}

async function start(base: Base): Promise<void> {
  const { loaded, clock, log, lifecycle } = base;
  const config = loaded.value;
  checkRuleOverrides(loaded);
  const state = openState(loaded.path(config.state));
  lifecycle.onStop('state', state.close);
  const store = await openStore(base, state);
  lifecycle.onStop('store', store.close);
  const accounts = createAccounts({ db: state.db, clock });
  const fleet = createFleet({
    db: state.db,
    clock,
    staleSeconds: config.staleSeconds,
    offlineSeconds: config.offlineSeconds,
    clockSkewSeconds: config.limits.clockSkewSeconds,
    ...expectedAgents(config, accounts),
    log: log.child({ room: 'fleet' }),
  });
  const { broker, ingest, verbs } = await startAgents(base, state, { store, fleet, accounts });
  const alert = openAlert(base, state, fleet);
  lifecycle.onStop('alert', alert.stop);
  alert.start();
  const health = () => ({
    broker: broker.problem(),
    store: store.problem() ?? ingest.problem(),
    alert: alert.problem(),
  });
  const web = createWeb({
    config: config.web,
    ...optionalSecret(loaded, ['web', 'password'], config.web.password),
    fleet,
    store,
    alert,
    health,
    clock,
    log: log.child({ room: 'web' }),
  });
  lifecycle.onStop('web', web.stop);
  await web.start();
  const socket = createSocket({ path: socketPath(state.folder), verbs, log: log.child({ room: 'cli' }) });
  lifecycle.onStop('socket', socket.stop);
  await socket.start();
  if (config.heartbeat !== undefined) {
    const problem = (): string | undefined => Object.values(health()).find((one) => one !== undefined);
    const heartbeat = startHeartbeat({ ...config.heartbeat, problem, clock, log: log.child({ room: 'heartbeat' }) });
    lifecycle.onStop('heartbeat', heartbeat.stop);
  }
  const { host, port } = web.address();
  log.info({ page: 'http://' + host + ':' + port }, 'collector started');
}

async function openStore(base: Base, state: State): Promise<Store> {
  const { store } = base.loaded.value;
  const log = base.log.child({ room: 'store' });
  switch (store.kind) {
    case 'sqlite':
      return openSqliteStore({ path: join(state.folder, 'metrics.db'), clock: base.clock, log });
    case 'influxdb':
      return openInfluxStore({
        config: store,
        ...optionalSecret(base.loaded, ['store', 'password'], store.password),
        clock: base.clock,
        log,
      });
  }
}

/** The embedded broker knows every agent by its account; of an external one we hear only who speaks. */
function expectedAgents(
  config: CollectorConfig,
  accounts: Accounts,
): { readonly isExpected?: (origin: Origin) => boolean } {
  if (config.broker.kind === 'external') return {};
  const names = new Set(config.broker.agents.map(userOf));
  return { isExpected: (origin) => names.has(userOf(origin)) || accounts.isKnown(origin) };
}

function openAlert(base: Base, state: State, fleet: Fleet): Alert {
  const { loaded, clock, random, log } = base;
  const { alerts, web } = loaded.value;
  const { email, telegram } = alerts;
  return createAlert({
    config: alerts,
    secrets: {
      ...(email?.password === undefined
        ? {}
        : { emailPassword: loaded.secret(['alerts', 'email', 'password'], email.password) }),
      ...(telegram === undefined
        ? {}
        : { telegramToken: loaded.secret(['alerts', 'telegram', 'token'], telegram.token) }),
    },
    ...optionalPem(loaded, ['alerts', 'email', 'caFile'], email?.caFile),
    db: state.db,
    fleet,
    clock,
    random,
    log: log.child({ room: 'alert' }),
    link: (web.url ?? 'http://' + web.host + ':' + web.port).replace(/\/+$/, ''),
  });
}
