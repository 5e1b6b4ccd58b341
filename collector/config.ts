// The collector's configuration: one schema, one file, and the checks that a schema cannot express.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { hostSchema, loadConfig, portSchema, secretSchema } from '#shared/config.ts';
import type { Loaded } from '#shared/config.ts';
import { isLoopback } from '#shared/net.ts';
import { namePattern } from '#shared/topics.ts';

const closed = { additionalProperties: false } as const;
const seconds = (standard: number, minimum = 1) =>
  Type.Integer({
    minimum,
    maximum: 604_800,
    default: standard,
    description: 'whole seconds, ' + minimum + ' to 604800',
  });
const idSchema = Type.String({ pattern: namePattern, description: 'a short name of a-z, 0-9 and -' });
const optionalSeconds = Type.Optional(
  Type.Integer({ minimum: 0, maximum: 604_800, description: 'whole seconds, 0 to 604800' }),
);

const embeddedBroker = Type.Object(
  {
    kind: Type.Literal('embedded'),
    host: hostSchema({ default: '127.0.0.1' }),
    port: portSchema(1883),
    tls: Type.Optional(
      Type.Object({ keyFile: Type.String({ minLength: 1 }), certFile: Type.String({ minLength: 1 }) }, closed),
    ),
    /** One account an agent; its name at the broker is TENANT/AGENT. */
    agents: Type.Array(Type.Object({ tenant: idSchema, agent: idSchema, password: secretSchema }, closed), {
      default: [],
    }),
  },
  { ...closed, description: '{kind: embedded, ...}' },
);
const externalBroker = Type.Object(
  {
    kind: Type.Literal('external'),
    url: Type.String({ pattern: '^mqtts?://[^/]+$', description: 'mqtt://HOST:PORT or mqtts://HOST:PORT' }),
    user: Type.Optional(Type.String({ minLength: 1 })),
    password: Type.Optional(secretSchema),
    caFile: Type.Optional(Type.String({ minLength: 1 })),
  },
  { ...closed, description: '{kind: external, ...}' },
);

const sqliteStore = Type.Object({ kind: Type.Literal('sqlite') }, { ...closed, description: '{kind: sqlite}' });
const influxStore = Type.Object(
  {
    kind: Type.Literal('influxdb'),
    host: hostSchema({ default: '127.0.0.1' }),
    port: portSchema(8086),
    protocol: Type.Union([Type.Literal('http'), Type.Literal('https')], { default: 'http' }),
    database: Type.String({
      minLength: 1,
      pattern: '^[A-Za-z0-9_-]+$',
      default: 'mailferry',
      description: 'a name of letters, digits, _ and -',
    }),
    user: Type.Optional(Type.String({ minLength: 1 })),
    password: Type.Optional(secretSchema),
  },
  { ...closed, description: '{kind: influxdb, ...}' },
);

const emailSchema = Type.Object(
  {
    host: hostSchema(),
    port: portSchema(587),
    tls: Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('implicit')], {
      default: 'starttls',
    }),
    caFile: Type.Optional(Type.String({ minLength: 1 })),
    user: Type.Optional(Type.String({ minLength: 1 })),
    password: Type.Optional(secretSchema),
    from: Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' }),
    to: Type.Array(Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' }), { minItems: 1 }),
  },
  closed,
);
const telegramSchema = Type.Object(
  {
    token: secretSchema,
    /** Chat ids as text, since group ids are negative and long. */
    chats: Type.Array(
      Type.String({ pattern: '^(-?[0-9]+|@[A-Za-z0-9_]+)$', description: 'a chat id in quotes, or @channel' }),
      { minItems: 1 },
    ),
    /** Address of the Bot API, for a local Bot API server. */
    apiRoot: Type.String({ pattern: '^https?://', default: 'https://api.telegram.org' }),
  },
  closed,
);

export const collectorSchema = Type.Object(
  {
    /** Folder of everything the collector must remember; relative to this file. */
    state: Type.String({ minLength: 1 }),
    logLevel: Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')], {
      default: 'info',
    }),
    web: Type.Object(
      {
        host: hostSchema({ default: '127.0.0.1' }),
        port: portSchema(8420),
        /** Asked of every visitor (name `mailferry`); required when `host` is not a loopback address. */
        password: Type.Optional(secretSchema),
      },
      { ...closed, default: {} },
    ),
    broker: Type.Union([embeddedBroker, externalBroker], { default: { kind: 'embedded' } }),
    store: Type.Union([sqliteStore, influxStore], { default: { kind: 'sqlite' } }),
    /** An agent that says nothing for so long is stale, then offline. */
    staleSeconds: seconds(60),
    offlineSeconds: seconds(300),
    alerts: Type.Object(
      {
        email: Type.Optional(emailSchema),
        telegram: Type.Optional(telegramSchema),
        /** Rules are named in the documentation; only what is given here differs from the default. */
        rules: Type.Record(
          Type.String(),
          Type.Object(
            {
              forSeconds: optionalSeconds,
              clearSeconds: optionalSeconds,
              fireAbove: Type.Optional(Type.Number()),
              clearBelow: Type.Optional(Type.Number()),
              enabled: Type.Optional(Type.Boolean()),
            },
            closed,
          ),
          { default: {} },
        ),
        evaluateSeconds: seconds(5),
      },
      { ...closed, default: {} },
    ),
  },
  closed,
);

export type CollectorConfig = Static<typeof collectorSchema>;
export type EmbeddedBrokerConfig = Static<typeof embeddedBroker>;
export type ExternalBrokerConfig = Static<typeof externalBroker>;
export type InfluxStoreConfig = Static<typeof influxStore>;
export type EmailConfig = Static<typeof emailSchema>;
export type TelegramConfig = Static<typeof telegramSchema>;
export type AlertsConfig = CollectorConfig['alerts'];

export function loadCollectorConfig(file: string): Loaded<CollectorConfig> {
  const loaded = loadConfig({ file, schema: collectorSchema });
  const { web, broker, staleSeconds, offlineSeconds } = loaded.value;
  if (web.password === undefined && !isLoopback(web.host)) {
    throw loaded.refuse(
      ['web', 'password'],
      'nothing',
      'a password, since host ' + web.host + ' is not a loopback address and the page shows every customer',
    );
  }
  if (offlineSeconds <= staleSeconds) {
    throw loaded.refuse(['offlineSeconds'], String(offlineSeconds), 'more than staleSeconds (' + staleSeconds + ')');
  }
  if (broker.kind === 'embedded' && broker.tls === undefined && !isLoopback(broker.host)) {
    throw loaded.refuse(
      ['broker', 'tls'],
      'nothing',
      'keyFile and certFile, since host ' +
        broker.host +
        ' is not a loopback address and passwords must not travel in clear',
    );
  }
  if (broker.kind === 'embedded') {
    const names = broker.agents.map((agent) => agent.tenant + '/' + agent.agent);
    const twice = names.findIndex((name, index) => names.indexOf(name) !== index);
    if (twice >= 0)
      throw loaded.refuse(['broker', 'agents', twice], names[twice] + ' for the second time', 'every agent once');
  }
  return loaded;
}
