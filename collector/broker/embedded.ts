// The embedded MQTT broker (aedes, MQTT 3.1.1): who may do what stands in rights.ts, who may come in in doors.ts.
import type { EventEmitter } from 'node:events';
import { Aedes } from 'aedes';
import type { Client } from 'aedes';
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { parseTopic, topicOf } from '#shared/topics.ts';
import type { Address, Leaf } from '#shared/topics.ts';
import type { EmbeddedBrokerConfig } from '../config.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { ServerTls } from './authority.ts';
import { createDoors } from './doors.ts';
import type { Doors } from './doors.ts';
import { createRights, identifyBy } from './rights.ts';
import type { Identify } from './rights.ts';

export type Broker = {
  /** Throws UserError when the port cannot be had. */
  readonly start: () => Promise<void>;
  readonly stop: () => Promise<void>;
  /** Undefined when well, else why not. */
  readonly problem: () => string | undefined;
  /** To an agent that is connected; lost when it is not. `retain`: also for the next connection. */
  readonly send: (origin: Address, leaf: Leaf, payload: string, retain?: boolean) => void;
  /** What is to be done at the broker when accounts change. */
  readonly accounts: BrokerAccounts;
};
export type BrokerAccounts = {
  /** Each resolves when the broker goes by it, and throws when it cannot be told. */
  readonly invited: (origin: Address, secret: string) => Promise<void>;
  /** From now on the agent logs in with this secret. Whoever is logged in as the agent is thrown out. */
  readonly enrolled: (origin: Address, secret: string) => Promise<void>;
  /** Whoever is logged in is thrown out, having lost all rights before. */
  readonly revoked: (origin: Address) => Promise<void>;
};
export type EmbeddedBroker = Broker & {
  readonly address: () => { readonly host: string; readonly port: number; readonly websocketPort: number | undefined };
  readonly renewTls: (tls: ServerTls) => void;
  /** Connections that have logged in. */
  readonly connections: () => number;
};
/** What agents say beside reports: `enrol`, `reply`. */
export type OnOther = (origin: Address, leaf: Leaf, payload: Uint8Array) => void;

const connectTimeoutMs = 10_000;
/** An agent says something every 30 s or so; a connection that may be silent for ever would never end. */
const keepaliveLimitSeconds = 3_600;

export function createEmbeddedBroker(options: {
  readonly config: Pick<EmbeddedBrokerConfig, 'host' | 'port'> & Partial<EmbeddedBrokerConfig>;
  /** By TENANT/AGENT, from the configuration. */
  readonly passwords: ReadonlyMap<string, string>;
  /** Agents that have enrolled, and those that come with a code. */
  readonly identify?: Identify;
  readonly tls?: ServerTls;
  readonly ingest: Pick<Ingest, 'receive' | 'onAck'>;
  readonly onOther?: OnOther;
  readonly clock?: Clock;
  readonly log: Log;
}): EmbeddedBroker {
  const { config, ingest, log } = options;
  const addresses = new WeakMap<object, string>();
  /** By client id. */
  const online = new Map<string, Client>();
  const configured = identifyBy(options.passwords);
  const rights = createRights({
    identify: (user, password) => configured(user, password) ?? options.identify?.(user, password),
    addressOf: (client) => addresses.get(client.conn) ?? '',
    isOnline: (id) => online.has(id),
    clock: options.clock ?? systemClock,
    log,
  });
  let aedes: Aedes | undefined;
  let doors: Doors | undefined;

  function received(client: Client | null, topic: string, payload: Uint8Array): void {
    const parsed = client === null ? undefined : parseTopic(topic);
    if (parsed === undefined) return;
    const origin = { tenant: parsed.tenant, agent: parsed.agent };
    if (parsed.leaf === 'up' || parsed.leaf === 'status') ingest.receive(origin, parsed.leaf, payload);
    else options.onOther?.(origin, parsed.leaf, payload);
  }

  function send(origin: Address, leaf: Leaf, payload: string, retain = false): void {
    aedes?.publish({ cmd: 'publish', topic: topicOf(origin, leaf), payload, qos: 1, retain, dup: false }, (error) => {
      if (error) log.warn({ ...origin, leaf, error: describe(error) }, 'a message to an agent could not be sent');
    });
  }

  function listenTo(broker: Aedes): void {
    broker.on('client', (client) => void online.set(client.id, client));
    broker.on('clientDisconnect', (client) => {
      if (online.get(client.id) === client) online.delete(client.id);
    });
    const emitter: EventEmitter = broker; // its types leave this event out; without a listener it would end the process
    emitter.on('error', (error: unknown) => log.error({ error: describe(error) }, 'broker error'));
    broker.on('clientError', (client, error) =>
      log.debug({ client: client.id, error: describe(error) }, 'client error'),
    );
    broker.on('connectionError', (_client, error) => log.debug({ error: describe(error) }, 'connection refused'));
    broker.on('publish', (packet, client) => received(client, packet.topic, Buffer.from(packet.payload)));
  }

  function disconnect(origin: Address, kinds: readonly string[]): void {
    for (const client of online.values()) {
      const own = rights.identityOf(client);
      if (own?.origin.tenant !== origin.tenant || own.origin.agent !== origin.agent || !kinds.includes(own.kind))
        continue;
      rights.forget(client);
      client.close();
    }
  }

  return {
    async start() {
      const { preConnect, authenticate, authorizePublish, authorizeSubscribe, authorizeForward } = rights;
      const broker = await Aedes.createBroker({
        preConnect,
        authenticate,
        authorizePublish,
        authorizeSubscribe,
        authorizeForward,
        connectTimeout: connectTimeoutMs,
        keepaliveLimit: keepaliveLimitSeconds,
        // One agent that reads nothing must not hold up the others.
        drainTimeout: 15_000,
        maxClientsIdLength: 128,
      });
      aedes = broker;
      listenTo(broker);
      ingest.onAck((origin, payload) => send(origin, 'ack', payload));
      doors = createDoors({
        host: config.host,
        port: config.port,
        websocketPort: config.websocketPort,
        tls: options.tls,
        maxConnections: config.maxConnections ?? 10_000,
        maxConnectionsPerAddress: config.maxConnectionsPerAddress ?? 500,
        enter(stream, address) {
          addresses.set(stream, address);
          broker.handle(stream);
        },
      });
      await doors.open();
    },
    async stop() {
      await new Promise<void>((resolve) => (aedes === undefined ? resolve() : aedes.close(() => resolve())));
      await doors?.close();
    },
    problem: () => (doors?.isOpen() === true ? undefined : 'the broker does not listen'),
    send,
    // Who may log in is asked at each login: nothing is kept here.
    accounts: {
      invited: async () => {},
      enrolled: async (origin) => disconnect(origin, ['agent']),
      revoked: async (origin) => disconnect(origin, ['agent', 'enrol']),
    },
    address: () => ({
      host: config.host,
      port: doors?.ports().mqtt ?? config.port,
      websocketPort: doors?.ports().websocket,
    }),
    renewTls: (tls) => doors?.renew(tls),
    connections: () => online.size,
  };
}
