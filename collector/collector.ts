// Composition root of the collector: builds every room and hands each what it may call.
import { join } from 'node:path';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import type { Loaded, Secret } from '#shared/config.ts';
import { readPem } from '#shared/pem.ts';
import { createLifecycle } from '#shared/lifecycle.ts';
import type { Lifecycle } from '#shared/lifecycle.ts';
import type { Log } from '#shared/log.ts';
import { createAlert } from './alert/alert.ts';
import type { Alert } from './alert/alert.ts';
import { checkRuleOverrides } from './alert/rules.ts';
import { createEmbeddedBroker } from './broker/embedded.ts';
import { createExternalBroker } from './broker/external.ts';
import type { CollectorConfig } from './config.ts';
import { createFleet } from './fleet/fleet.ts';
import type { Fleet, Origin } from './fleet/fleet.ts';
import { createIngest } from './ingest/ingest.ts';
import type { Ingest } from './ingest/ingest.ts';
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
type Broker = {
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  readonly problem: () => string | undefined;
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

type Base = {
  readonly loaded: Loaded<CollectorConfig>;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: () => number;
  readonly lifecycle: Lifecycle;
};

async function start(base: Base): Promise<void> {
  const { loaded, clock, log, lifecycle } = base;
  const config = loaded.value;
  checkRuleOverrides(loaded);
  const state = openState(loaded.path(config.state));
  lifecycle.onStop('state', state.close);
  const store = await openStore(base, state);
  lifecycle.onStop('store', store.close);
  const fleet = createFleet({
    db: state.db,
    clock,
    staleSeconds: config.staleSeconds,
    offlineSeconds: config.offlineSeconds,
    ...expectedAgents(config),
    log: log.child({ room: 'fleet' }),
  });
  const broker = await startIngest(base, state, { store, fleet });
  const alert = openAlert(base, state, fleet);
  lifecycle.onStop('alert', alert.stop);
  alert.start();
  const web = createWeb({
    config: config.web,
    ...optionalSecret(loaded, ['web', 'password'], config.web.password),
    fleet,
    store,
    alert,
    health: () => ({ broker: broker.problem(), store: store.problem(), alert: alert.problem() }),
    clock,
    log: log.child({ room: 'web' }),
  });
  lifecycle.onStop('web', web.stop);
  await web.start();
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

async function startIngest(
  base: Base,
  state: State,
  parts: { readonly store: Store; readonly fleet: Fleet },
): Promise<Broker> {
  const { clock, random, lifecycle } = base;
  const ingest = createIngest({ ...parts, db: state.db, clock, random, log: base.log.child({ room: 'ingest' }) });
  lifecycle.onStop('ingest', ingest.stop);
  const broker = openBroker(base, ingest);
  lifecycle.onStop('broker', broker.stop);
  await broker.start();
  return broker;
}

function openBroker(base: Base, ingest: Ingest): Broker {
  const { loaded, clock, random } = base;
  const { broker: config } = loaded.value;
  const log = base.log.child({ room: 'broker' });
  switch (config.kind) {
    case 'embedded': {
      const passwords = config.agents.map(
        ({ tenant, agent, password }, index) =>
          [tenant + '/' + agent, loaded.secret(['broker', 'agents', index, 'password'], password)] as const,
      );
      const pem = (name: 'keyFile' | 'certFile', file: string): string =>
        readPem(loaded, ['broker', 'tls', name], file);
      const tls =
        config.tls === undefined
          ? {}
          : { tls: { key: pem('keyFile', config.tls.keyFile), cert: pem('certFile', config.tls.certFile) } };
      return createEmbeddedBroker({ config, passwords: new Map(passwords), ...tls, ingest, log });
    }
    case 'external':
      return createExternalBroker({
        config,
        ...optionalSecret(loaded, ['broker', 'password'], config.password),
        ...optionalPem(loaded, ['broker', 'caFile'], config.caFile),
        ingest,
        clock,
        random,
        log,
      });
  }
}

/** The embedded broker knows every agent by its account; of an external one we hear only who speaks. */
function expectedAgents(config: CollectorConfig): { readonly isExpected?: (origin: Origin) => boolean } {
  if (config.broker.kind === 'external') return {};
  const names = new Set(config.broker.agents.map(({ tenant, agent }) => tenant + '/' + agent));
  return { isExpected: ({ tenant, agent }) => names.has(tenant + '/' + agent) };
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

type OptionPath = readonly (string | number)[];

function optionalSecret(
  loaded: Loaded<unknown>,
  path: OptionPath,
  secret: Secret | undefined,
): { readonly password?: string } {
  return secret === undefined ? {} : { password: loaded.secret(path, secret) };
}

function optionalPem(loaded: Loaded<unknown>, path: OptionPath, file: string | undefined): { readonly ca?: string } {
  return file === undefined ? {} : { ca: readPem(loaded, path, file) };
}
