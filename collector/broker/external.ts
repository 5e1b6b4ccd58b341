// An external MQTT broker: the collector is one of its clients. Clean session and no queue of the client library: what is
// not acknowledged by us is sent again by the agents.
import { randomBytes } from 'node:crypto';
import { connect } from 'mqtt';
import type { MqttClient } from 'mqtt';
import { createBackoff } from '#shared/backoff.ts';
import type { Clock } from '#shared/clock.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { filterOf, parseTopic, topicOf } from '#shared/topics.ts';
import type { Address, Leaf } from '#shared/topics.ts';
import type { ExternalBrokerConfig } from '../config.ts';
import type { Ingest } from '../ingest/ingest.ts';
import type { Broker, BrokerAccounts, OnOther } from './embedded.ts';

const connectTimeoutMs = 10_000;
const stableMs = 60_000;

export function createExternalBroker(options: {
  readonly config: Pick<ExternalBrokerConfig, 'url'> & Partial<ExternalBrokerConfig>;
  readonly password?: string;
  readonly ca?: string;
  readonly ingest: Pick<Ingest, 'receive' | 'onAck'>;
  readonly onOther?: OnOther;
  /** Told the connection of each session, before anything is asked of the broker. */
  readonly manage?: (client: MqttClient) => Promise<BrokerAccounts>;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Broker {
  const { config, ingest, clock, random, log } = options;
  const stopping = new AbortController();
  const backoff = createBackoff({ firstMs: 1_000, maxMs: 30_000, random, floor: 0.2 });
  let client: MqttClient | undefined;
  let problem: string | undefined = 'not connected yet';
  let running: Promise<void> | undefined;
  let manager: BrokerAccounts | undefined;

  function received(origin: Address, leaf: Leaf, payload: Buffer, retained: boolean): void {
    if (leaf === 'up' || leaf === 'status') ingest.receive(origin, leaf, payload, retained);
    else if (!retained) options.onOther?.(origin, leaf, payload);
  }

  function send(origin: Address, leaf: Leaf, payload: string, retain = false): void {
    // Not connected: the agent asks again by sending the batch again.
    if (client?.connected === true) client.publish(topicOf(origin, leaf), payload, { qos: 1, retain }, () => {});
  }

  function open(): MqttClient {
    return connect(config.url, {
      protocolVersion: 4,
      clientId: 'mailferry-collector-' + randomBytes(4).toString('hex'),
      clean: true,
      reconnectPeriod: 0,
      connectTimeout: connectTimeoutMs,
      keepalive: 30,
      queueQoSZero: false,
      resubscribe: false,
      ...(config.user === undefined ? {} : { username: config.user }),
      ...(options.password === undefined ? {} : { password: options.password }),
      ...(options.ca === undefined ? {} : { ca: options.ca }),
    });
  }

  /** One connection, from its start to its end; resolves with why it ended. */
  async function session(): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const current = open();
    client = current;
    let reason = 'the broker closed the connection';
    const begin = (): void => {
      const filters = [filterOf('status'), filterOf('up'), filterOf('reply'), filterOf('enrol')];
      current.subscribe(filters, { qos: 1 }, (error, granted) => {
        const refused = granted?.some(({ qos }) => qos === 128) === true;
        if (error || refused) {
          reason = refused ? 'the broker refuses the subscription' : describe(error);
          current.end(true);
          return;
        }
        if (problem !== undefined) log.info({ url: config.url }, 'connected to the broker');
        problem = undefined;
      });
    };
    current.on('connect', () => {
      if (options.manage === undefined) return begin();
      // First: it may be what gives us the right to subscribe.
      options.manage(current).then(
        (accounts) => {
          manager = accounts;
          begin();
        },
        (error: unknown) => {
          reason = describe(error);
          current.end(true);
        },
      );
    });
    current.on('message', (topic, payload, packet) => {
      const parsed = parseTopic(topic);
      if (parsed !== undefined)
        received({ tenant: parsed.tenant, agent: parsed.agent }, parsed.leaf, payload, packet.retain);
    });
    current.on('error', (error) => {
      reason = describe(error);
      current.end(true);
    });
    current.on('close', () => {
      current.end(true);
      resolve(reason);
    });
    current.on('end', () => resolve(reason)); // a client that is ended before it was connected never says close
    return promise;
  }

  async function attempt(): Promise<string> {
    try {
      return await session();
    } catch (error) {
      return describe(error); // an address that nobody can connect to, such as port 99999
    }
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const since = clock.monotonic();
      const reason = await attempt();
      if (stopping.signal.aborted) return;
      const text =
        'Cannot reach the broker ' +
        config.url +
        ': ' +
        reason +
        ', expected an MQTT broker that takes this user; check option broker';
      if (problem !== text) log.error(text);
      problem = text;
      if (clock.monotonic() - since > stableMs) backoff.reset();
      await clock.sleep(backoff.next(), stopping.signal);
    }
  }

  async function managed(): Promise<BrokerAccounts> {
    if (client?.connected !== true) throw new UserError(problem ?? 'Cannot reach the broker ' + config.url);
    if (manager === undefined)
      throw new UserError(
        'Cannot change accounts at the broker ' +
          config.url +
          ': it is not managed by the collector, expected option broker.manage; or change them there by hand',
      );
    return manager;
  }

  return {
    start() {
      ingest.onAck((origin, payload) => send(origin, 'ack', payload));
      running = run();
      return Promise.resolve();
    },
    async stop() {
      stopping.abort();
      const current = client;
      if (current !== undefined) await new Promise<void>((resolve) => current.end(true, {}, () => resolve()));
      await running;
    },
    problem: () => problem,
    send,
    accounts: {
      invited: async (origin, secret) => (await managed()).invited(origin, secret),
      enrolled: async (origin, secret) => (await managed()).enrolled(origin, secret),
      revoked: async (origin) => (await managed()).revoked(origin),
    },
  };
}
