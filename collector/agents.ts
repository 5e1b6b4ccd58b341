// The composition of all that deals with agents: broker, ingest, enrolment, commands, and what a person may do to them.
import { join } from 'node:path';
import type { MqttClient } from 'mqtt';
import { describe } from '#shared/failure.ts';
import { readPem } from '#shared/pem.ts';
import type { Leaf } from '#shared/topics.ts';
import { userOf } from '#shared/topics.ts';
import { decodeReply } from '#shared/wire.ts';
import { optionalPem, optionalSecret } from './base.ts';
import type { Base } from './base.ts';
import { backUp } from './backup.ts';
import { manageFiles } from './broker/access-files.ts';
import { namesOf, openAuthority } from './broker/authority.ts';
import type { Authority, ServerTls } from './broker/authority.ts';
import { manageDynamicSecurity } from './broker/dynamic-security.ts';
import { createEmbeddedBroker } from './broker/embedded.ts';
import type { Broker, BrokerAccounts, EmbeddedBroker, OnOther } from './broker/embedded.ts';
import { createExternalBroker } from './broker/external.ts';
import { createVerbs } from './cli/verbs.ts';
import type { Verb } from './cli/verbs.ts';
import { hasOwnAuthority } from './config.ts';
import type { ExternalBrokerConfig } from './config.ts';
import type { Accounts } from './fleet/accounts.ts';
import { createCommands } from './fleet/commands.ts';
import { createEnrolment } from './fleet/enrolment.ts';
import type { Fleet, Origin } from './fleet/fleet.ts';
import { createIngest } from './ingest/ingest.ts';
import type { Ingest } from './ingest/ingest.ts';
import { createSiteWords } from './site.ts';
import type { SiteWords } from './site.ts';
import type { State } from './state.ts';
import type { Store } from './store/store.ts';

type Parts = { readonly store: Store; readonly fleet: Fleet; readonly accounts: Accounts };
export type Agents = {
  readonly broker: { readonly problem: () => string | undefined };
  readonly ingest: Ingest;
  readonly verbs: ReadonlyMap<string, Verb>;
};

const renewMs = 12 * 3_600_000;

export async function startAgents(base: Base, state: State, parts: Parts): Promise<Agents> {
  const { loaded, clock, random, lifecycle } = base;
  const { db } = state;
  const { fleet, accounts, store } = parts;
  const { limits, broker: config } = loaded.value;
  const ingest = createIngest({
    store,
    fleet,
    db,
    clock,
    random,
    seriesPerTenant: limits.seriesPerTenant,
    log: base.log.child({ room: 'ingest' }),
  });
  lifecycle.onStop('ingest', ingest.stop);
  const authority = await openOwnAuthority(base, state);
  const tls = authority?.tls() ?? readTls(base);
  const send = (origin: Origin, leaf: Leaf, payload: string): void => broker.send(origin, leaf, payload);
  const commands = createCommands({ db, clock, accounts, publish: (origin, payload) => send(origin, 'cmd', payload) });
  const enrolment = createEnrolment({
    accounts,
    broker: { enrolled: (origin, secret) => broker.accounts.enrolled(origin, secret) },
    answer: (origin, payload) => send(origin, 'enrolled', payload),
    log: base.log.child({ room: 'fleet' }),
  });
  const onOther: OnOther = (origin, leaf, payload) => {
    if (leaf === 'enrol') void enrolment.received(origin, payload);
    const reply = leaf === 'reply' ? decodeReply(payload) : undefined;
    if (reply?.ok === true) commands.replied(origin, reply.value);
  };
  const broker: Broker = openBroker(base, { ingest, accounts, onOther, tls });
  const chain =
    tls?.cert ?? (config.kind === 'external' ? optionalPem(loaded, ['broker', 'caFile'], config.caFile).ca : undefined);
  const site = createSiteWords({ urls: config.urls, authority, chain, clock });
  fleet.onBirth((origin) => {
    tellSite(broker, site, origin);
    commands.resume(origin);
  });
  lifecycle.onStop('broker', broker.stop);
  await broker.start();
  const renewed = (): void => renewal(broker, authority, fleet, site);
  if (authority !== undefined) keepRenewing(base, authority, renewed);
  const verbs = createVerbs({
    accounts,
    commands,
    fleet,
    broker: broker.accounts,
    code: site.code,
    renewAuthority: authority === undefined ? undefined : () => renewAuthority(authority, renewed),
    backup: (folder) => backUp(state, folder),
    rejected: (limit) => listRejected(state, limit),
  });
  return {
    broker: { problem: () => broker.problem() ?? authority?.problem() },
    ingest,
    verbs,
  };
}

function openBroker(
  base: Base,
  parts: {
    readonly ingest: Ingest;
    readonly accounts: Accounts;
    readonly onOther: OnOther;
    readonly tls: ServerTls | undefined;
  },
): Broker {
  const { loaded, clock, random } = base;
  const { broker: config } = loaded.value;
  const { ingest, accounts, onOther, tls } = parts;
  const log = base.log.child({ room: 'broker' });
  switch (config.kind) {
    case 'embedded': {
      const passwords = config.agents.map(
        (agent, index) =>
          [userOf(agent), loaded.secret(['broker', 'agents', index, 'password'], agent.password)] as const,
      );
      return createEmbeddedBroker({
        config,
        ingest,
        onOther,
        clock,
        log,
        passwords: new Map(passwords),
        identify: accounts.identify,
        ...(tls === undefined ? {} : { tls }),
      });
    }
    case 'external':
      return createExternalBroker({
        config,
        ingest,
        onOther,
        clock,
        random,
        log,
        ...optionalSecret(loaded, ['broker', 'password'], config.password),
        ...optionalPem(loaded, ['broker', 'caFile'], config.caFile),
        ...manageBroker(base, config),
      });
  }
}

function manageBroker(
  { loaded }: Base,
  { manage, user = '' }: ExternalBrokerConfig,
): { readonly manage?: (client: MqttClient) => Promise<BrokerAccounts> } {
  if (manage === undefined) return {};
  if (manage.kind === 'dynamic-security') return { manage: (client) => manageDynamicSecurity(client, user) };
  const files = manageFiles({
    passwordFile: loaded.path(manage.passwordFile),
    aclFile: loaded.path(manage.aclFile),
    pidFile: manage.pidFile === undefined ? undefined : loaded.path(manage.pidFile),
    user,
  });
  return { manage: () => Promise.resolve(files) };
}

async function openOwnAuthority(base: Base, state: State): Promise<Authority | undefined> {
  const { broker } = base.loaded.value;
  if (broker.kind !== 'embedded' || !hasOwnAuthority(broker)) return undefined;
  const authority = openAuthority({
    folder: join(state.folder, 'authority'),
    names: namesOf(broker.urls),
    now: base.clock.now,
    log: base.log.child({ room: 'broker' }),
  });
  await authority.renew();
  return authority;
}

function readTls({ loaded }: Base): ServerTls | undefined {
  const { broker } = loaded.value;
  if (broker.kind !== 'embedded' || broker.tls === undefined) return undefined;
  const { keyFile, certFile } = broker.tls;
  return {
    key: readPem(loaded, ['broker', 'tls', 'keyFile'], keyFile),
    cert: readPem(loaded, ['broker', 'tls', 'certFile'], certFile),
  };
}

function keepRenewing({ clock, log, lifecycle }: Base, authority: Authority, renewed: () => void): void {
  const run = async (): Promise<void> => {
    while (!lifecycle.signal.aborted) {
      await clock.sleep(renewMs, lifecycle.signal);
      if (lifecycle.signal.aborted) return;
      try {
        if (await authority.renew()) renewed();
      } catch (error) {
        log.error({ error: describe(error) }, "the broker's certificate could not be renewed");
      }
    }
  };
  const running = run();
  lifecycle.onStop('renewal', () => running);
}

/** The server shows what is new, and the agents that are connected hear of it; the others do when they come. */
function renewal(broker: Broker, authority: Authority | undefined, fleet: Fleet, site: SiteWords): void {
  if (authority !== undefined && isEmbedded(broker)) broker.renewTls(authority.tls());
  for (const { tenant, id, state } of fleet.views())
    if (state !== 'offline') tellSite(broker, site, { tenant, agent: id });
}

const isEmbedded = (broker: Broker): broker is EmbeddedBroker => 'renewTls' in broker;

function tellSite(broker: Broker, site: SiteWords, origin: Origin): void {
  const message = site.message();
  if (message !== undefined) broker.send(origin, 'site', message);
}

async function renewAuthority(authority: Authority, renewed: () => void): Promise<readonly string[]> {
  await authority.renew({ next: true });
  renewed();
  return [
    'The next authority was made; it signs in half a year. Agents that are connected know it now, the others when they come.',
  ];
}

function listRejected({ db }: State, limit: number): readonly string[] {
  return db
    .prepare(
      'SELECT at, tenant, agent, leaf, problem, length(payload) AS bytes FROM dead_letter ORDER BY id DESC LIMIT ?',
    )
    .all(limit)
    .map((row) =>
      [
        new Date(Number(row['at'])).toISOString(),
        String(row['tenant']) + '/' + String(row['agent']),
        String(row['leaf']),
        String(row['bytes']) + ' bytes',
        String(row['problem']),
      ].join('  '),
    );
}
