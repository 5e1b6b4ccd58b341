// The collector's configuration: one schema, one file, and the checks that a schema cannot express.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { certificateSchema, closed, idSchema, secondsSchema, tlsSchema } from '#shared/config-fields.ts';
import { urlPattern } from '#shared/enrolment.ts';
import { explain, hostSchema, loadConfig, portSchema, secretSchema } from '#shared/config.ts';
import type { Loaded } from '#shared/config.ts';
import { isLoopback } from '#shared/net.ts';

const maxSeconds = 604_800;
const seconds = (standard: number) => secondsSchema(standard, { maximum: maxSeconds });
const optionalSeconds = Type.Optional(
  Type.Integer({ minimum: 0, maximum: maxSeconds, description: 'whole seconds, 0 to 604800' }),
);

const brokerUrls = explain(
  'Addresses by which agents reach the broker, first choice first. `mailferry-collector enrol` puts them into its codes, and agents that are enrolled already learn new ones here.',
  Type.Array(
    Type.String({
      pattern: urlPattern,
      description: 'mqtts://HOST:PORT, wss://HOST/PATH, or mqtt:// and ws:// without TLS',
    }),
    { default: [], maxItems: 4 },
  ),
);

const embeddedBroker = Type.Object(
  {
    kind: explain('The broker runs inside the collector.', Type.Literal('embedded')),
    host: explain('Address to listen on.', hostSchema({ default: '127.0.0.1' })),
    port: explain('Port to listen on.', portSchema(1883)),
    tls: explain(
      'Without it, and with `urls` that ask for TLS, the broker makes an authority and a certificate of its own, and renews them. Needed in one of the two ways when `host` is not a loopback address.',
      Type.Optional(certificateSchema),
    ),
    urls: brokerUrls,
    websocketPort: explain(
      'Another port for MQTT in WebSockets, for networks that let out nothing but HTTPS: ws://, or wss:// with TLS.',
      Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'a port, 1 to 65535' })),
    ),
    maxConnections: explain(
      'Connections at the same time.',
      Type.Integer({ minimum: 10, maximum: 1_000_000, default: 10_000, description: 'a number from 10 to 1000000' }),
    ),
    maxConnectionsPerAddress: explain(
      'Of them, from one address; a reverse proxy in front of `websocketPort` is one address.',
      Type.Integer({ minimum: 1, maximum: 1_000_000, default: 500, description: 'a number from 1 to 1000000' }),
    ),
    agents: explain(
      'One account an agent; its name at the broker is TENANT/AGENT. Agents that enrol need none here.',
      Type.Array(
        Type.Object(
          {
            tenant: explain('Tenant of the agent.', idSchema),
            agent: explain('Name of the agent.', idSchema),
            password: explain('Password of the account.', secretSchema),
          },
          closed,
        ),
        { default: [] },
      ),
    ),
  },
  { ...closed, description: '{kind: embedded, ...}' },
);
const dynamicSecurity = Type.Object(
  {
    kind: explain(
      "mosquitto's dynamic-security plugin, while it runs; `user` must have the role `admin`.",
      Type.Literal('dynamic-security'),
    ),
  },
  { ...closed, description: '{kind: dynamic-security}' },
);
const accessFiles = Type.Object(
  {
    kind: explain("Files in mosquitto's formats.", Type.Literal('files')),
    passwordFile: explain('Lines of other accounts in it stay.', Type.String({ minLength: 1 })),
    aclFile: explain('Written anew at each change.', Type.String({ minLength: 1 })),
    pidFile: explain(
      'Of the broker, which is sent SIGHUP after a change. Without it somebody must tell the broker.',
      Type.Optional(Type.String({ minLength: 1 })),
    ),
  },
  { ...closed, description: '{kind: files, ...}' },
);
const externalBroker = Type.Object(
  {
    kind: explain('The collector is a client of a broker that runs elsewhere.', Type.Literal('external')),
    url: explain(
      'Where it is.',
      Type.String({ pattern: '^mqtts?://[^/]+$', description: 'mqtt://HOST:PORT or mqtts://HOST:PORT' }),
    ),
    user: explain("The collector's account there.", Type.Optional(Type.String({ minLength: 1 }))),
    password: explain('Its password.', Type.Optional(secretSchema)),
    caFile: explain(
      "PEM file of the authority that signed the broker's certificate, when it is not a public one.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    urls: brokerUrls,
    manage: explain(
      'How accounts get there when agents enrol. Without it they are made there by hand.',
      Type.Optional(Type.Union([dynamicSecurity, accessFiles])),
    ),
  },
  { ...closed, description: '{kind: external, ...}' },
);

const sqliteStore = Type.Object(
  { kind: explain('A file in the state folder.', Type.Literal('sqlite')) },
  { ...closed, description: '{kind: sqlite}' },
);
const influxStore = Type.Object(
  {
    kind: explain('An InfluxDB 1.x database.', Type.Literal('influxdb')),
    host: explain('Where it is.', hostSchema({ default: '127.0.0.1' })),
    port: explain('Its HTTP port.', portSchema(8086)),
    protocol: explain(
      'With https the certificate is verified.',
      Type.Union([Type.Literal('http'), Type.Literal('https')], { default: 'http' }),
    ),
    database: explain(
      'Made when it is not there.',
      Type.String({
        minLength: 1,
        pattern: '^[A-Za-z0-9_-]+$',
        default: 'mailferry',
        description: 'a name of letters, digits, _ and -',
      }),
    ),
    user: explain('Account at the database, when it asks for one.', Type.Optional(Type.String({ minLength: 1 }))),
    password: explain('Its password.', Type.Optional(secretSchema)),
  },
  { ...closed, description: '{kind: influxdb, ...}' },
);

const emailSchema = Type.Object(
  {
    host: explain('SMTP server that takes the alerts.', hostSchema()),
    port: explain('Its port.', portSchema(587)),
    tls: explain(
      'none: plain text; starttls: required, never optional; implicit: TLS from the first byte.',
      tlsSchema('starttls'),
    ),
    caFile: explain(
      "PEM file of the authority that signed the server's certificate, when it is not a public one.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    user: explain('Login name, when the server asks for one.', Type.Optional(Type.String({ minLength: 1 }))),
    password: explain('Its password.', Type.Optional(secretSchema)),
    from: explain(
      'Sender of the alerts.',
      Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' }),
    ),
    to: explain(
      'Who gets them.',
      Type.Array(Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' }), { minItems: 1 }),
    ),
  },
  closed,
);
const telegramSchema = Type.Object(
  {
    token: explain('Token of the bot.', secretSchema),
    chats: explain(
      'Chat ids as text, since group ids are negative and long.',
      Type.Array(
        Type.String({ pattern: '^(-?[0-9]+|@[A-Za-z0-9_]+)$', description: 'a chat id in quotes, or @channel' }),
        { minItems: 1 },
      ),
    ),
    apiRoot: explain(
      'Address of the Bot API, for a local Bot API server.',
      Type.String({ pattern: '^https?://', default: 'https://api.telegram.org' }),
    ),
  },
  closed,
);

export const collectorSchema = Type.Object(
  {
    state: explain(
      'Folder of everything the collector must remember; relative to this file.',
      Type.String({ minLength: 1 }),
    ),
    logLevel: explain(
      'Least serious events that are logged.',
      Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')], {
        default: 'info',
      }),
    ),
    web: explain(
      'The page and the API.',
      Type.Object(
        {
          host: explain('Address to listen on.', hostSchema({ default: '127.0.0.1' })),
          port: explain('Port to listen on.', portSchema(8420)),
          url: explain(
            'Address of the page as people reach it, for links in alerts; by default http://HOST:PORT of above.',
            Type.Optional(
              Type.String({ pattern: '^https?://[^/\\s]+(?:/[^\\s]*)?$', description: 'http://HOST or https://HOST' }),
            ),
          ),
          password: explain(
            'Asked of every visitor (name `mailferry`); required when `host` is not a loopback address.',
            Type.Optional(secretSchema),
          ),
        },
        { ...closed, default: {} },
      ),
    ),
    broker: explain(
      'Where the agents report.',
      Type.Union([embeddedBroker, externalBroker], { default: { kind: 'embedded' } }),
    ),
    store: explain(
      'Where the measurements are kept.',
      Type.Union([sqliteStore, influxStore], { default: { kind: 'sqlite' } }),
    ),
    limits: explain(
      'What agents may cost.',
      Type.Object(
        {
          seriesPerTenant: explain(
            'Series that one tenant may have in the store; points of more are left out and counted.',
            Type.Integer({ minimum: 100, maximum: 100_000_000, default: 100_000, description: 'a number from 100 up' }),
          ),
          clockSkewSeconds: explain(
            'An agent whose clock differs by more is told of; its points keep its own times.',
            seconds(300),
          ),
        },
        { ...closed, default: {} },
      ),
    ),
    heartbeat: explain(
      'Who watches the watcher: while all is well, this address is asked for; whoever answers there raises the alarm when the questions stop.',
      Type.Optional(
        Type.Object(
          {
            url: explain(
              'The address.',
              Type.String({ pattern: '^https?://[^/\\s]+', description: 'http:// or https://' }),
            ),
            everySeconds: explain('How often.', seconds(60)),
          },
          closed,
        ),
      ),
    ),
    staleSeconds: explain('An agent that says nothing for so long is stale.', seconds(60)),
    offlineSeconds: explain('And for so long, offline; more than staleSeconds.', seconds(300)),
    alerts: explain(
      'Who is told when something is wrong.',
      Type.Object(
        {
          email: explain('Alerts by e-mail.', Type.Optional(emailSchema)),
          telegram: explain('Alerts by Telegram.', Type.Optional(telegramSchema)),
          rules: explain(
            'By the id of a rule (see below); only what is given here differs from the default.',
            Type.Record(
              Type.String(),
              Type.Object(
                {
                  forSeconds: explain('The condition must hold so long before the alert is raised.', optionalSeconds),
                  clearSeconds: explain(
                    'The clear condition must hold so long before it is resolved.',
                    optionalSeconds,
                  ),
                  fireAbove: explain('Threshold that raises the alert.', Type.Optional(Type.Number())),
                  clearBelow: explain('Threshold that resolves it.', Type.Optional(Type.Number())),
                  enabled: explain('false switches the rule off.', Type.Optional(Type.Boolean())),
                },
                closed,
              ),
              { default: {} },
            ),
          ),
          evaluateSeconds: explain('How often the rules are evaluated.', seconds(5)),
        },
        { ...closed, default: {} },
      ),
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
  if (broker.kind === 'embedded' && broker.tls === undefined && !isLoopback(broker.host) && !hasOwnAuthority(broker)) {
    throw loaded.refuse(
      ['broker', 'tls'],
      'nothing',
      'keyFile and certFile, or urls with mqtts:// or wss:// for a certificate that the broker makes, since host ' +
        broker.host +
        ' is not a loopback address and passwords must not travel in clear',
    );
  }
  if (broker.kind === 'external' && broker.manage !== undefined && broker.user === undefined)
    throw loaded.refuse(['broker', 'user'], 'nothing', "the collector's account there, since broker.manage is given");
  const { email } = loaded.value.alerts;
  if (email?.user !== undefined && email.tls === 'none' && !isLoopback(email.host)) {
    throw loaded.refuse(
      ['alerts', 'email', 'tls'],
      'none',
      'starttls or implicit, since host ' +
        email.host +
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

/** The broker makes its certificate itself. */
export function hasOwnAuthority(broker: EmbeddedBrokerConfig): boolean {
  return broker.tls === undefined && broker.urls.some((url) => /^(?:mqtts|wss):/.test(url));
}
