// The agent's configuration: one schema, one file, and the checks that a schema cannot express.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { hostSchema, loadConfig, portSchema, secretSchema } from '#shared/config.ts';
import type { Loaded } from '#shared/config.ts';
import { isLoopback } from '#shared/net.ts';
import { namePattern } from '#shared/topics.ts';

const closed = { additionalProperties: false } as const;
const seconds = (standard: number, minimum = 1) =>
  Type.Integer({ minimum, maximum: 86_400, default: standard, description: 'whole seconds, ' + minimum + ' to 86400' });
const idSchema = Type.String({ pattern: namePattern, description: 'a short name of a-z, 0-9 and -' });
const addressSchema = Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' });
/** none: plain text; starttls: required, never optional; implicit: TLS from the first byte. */
const tlsSchema = (standard: 'none' | 'starttls' | 'implicit') =>
  Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('implicit')], { default: standard });
const endpoint = {
  /** PEM file of the authority that signed the server's certificate, when it is not a public one. */
  caFile: Type.Optional(Type.String({ minLength: 1 })),
  /** Name expected in the certificate, when it differs from `host`. */
  serverName: Type.Optional(Type.String({ minLength: 1 })),
};

const localSchema = Type.Object(
  {
    protocol: Type.Union([Type.Literal('smtp'), Type.Literal('lmtp')], { default: 'smtp' }),
    host: hostSchema({ default: '127.0.0.1' }),
    port: portSchema(25),
    tls: tlsSchema('none'),
    ...endpoint,
    /** Mail is handed over only to recipients in these domains. */
    domains: Type.Array(
      Type.String({ minLength: 1, pattern: '^[^@\\s]+$', description: 'a domain such as example.org' }),
      { minItems: 1 },
    ),
    /** Sessions open at once; local servers fsync, so a few run faster than one. */
    sessions: Type.Integer({ minimum: 1, maximum: 16, default: 4 }),
  },
  closed,
);

const accountSchema = Type.Object(
  {
    id: idSchema,
    host: hostSchema(),
    port: portSchema(995),
    tls: tlsSchema('implicit'),
    ...endpoint,
    user: Type.String({ minLength: 1 }),
    password: secretSchema,
    /** Every mail of this mailbox goes to these local addresses. */
    recipients: Type.Array(addressSchema, { minItems: 1 }),
    /** How long a mail that was handed over stays at the provider. */
    keep: Type.Union(
      [
        Type.Literal('none'),
        Type.Literal('forever'),
        Type.Object({ days: Type.Integer({ minimum: 1, maximum: 3_650 }) }, closed),
      ],
      { default: { days: 14 }, description: 'none, forever or {days: N}' },
    ),
    /** Pause between two rounds. */
    intervalSeconds: seconds(15),
  },
  closed,
);

const relaySchema = Type.Object(
  {
    id: Type.String({ pattern: namePattern, default: 'provider', description: 'a short name of a-z, 0-9 and -' }),
    host: hostSchema(),
    port: portSchema(587),
    tls: tlsSchema('starttls'),
    ...endpoint,
    user: Type.String({ minLength: 1 }),
    password: secretSchema,
    sessions: Type.Integer({ minimum: 1, maximum: 8, default: 2 }),
    /** Retry pause of a mail: doubles from the first to the longest. */
    retryFirstSeconds: seconds(60),
    retryMaxSeconds: seconds(3_600),
    /** One late retry of a mail whose last try ended without a known outcome. */
    unknownRetrySeconds: seconds(900),
    /** A mail that could not be sent for so long is reported to its sender and held. */
    expireHours: Type.Integer({ minimum: 1, maximum: 720, default: 120 }),
  },
  closed,
);

const submissionSchema = Type.Object(
  {
    host: hostSchema({ default: '127.0.0.1' }),
    port: portSchema(2525),
    /** The name in the greeting. */
    name: hostSchema({ default: 'localhost' }),
    /** Without a certificate the listener takes passwords only on the loopback address. */
    tls: Type.Optional(
      Type.Object({ keyFile: Type.String({ minLength: 1 }), certFile: Type.String({ minLength: 1 }) }, closed),
    ),
    users: Type.Array(
      Type.Object(
        {
          name: Type.String({ minLength: 1 }),
          password: secretSchema,
          /** Allowed envelope senders: whole addresses, or `@domain`. */
          senders: Type.Array(
            Type.String({ pattern: '^[^@\\s<>]*@[^@\\s<>]+$', description: 'an address, or @domain' }),
            { minItems: 1 },
          ),
        },
        closed,
      ),
      { minItems: 1 },
    ),
    maxSizeBytes: Type.Integer({ minimum: 1_024, maximum: 1_073_741_824, default: 52_428_800 }),
    maxRecipients: Type.Integer({ minimum: 1, maximum: 10_000, default: 100 }),
  },
  closed,
);

const probeSchema = Type.Object(
  {
    dnsbl: Type.Object(
      {
        /** The resolver, as ADDRESS or ADDRESS:PORT ([ADDRESS]:PORT for IPv6); by default the system's. */
        resolver: Type.Optional(Type.String({ minLength: 1 })),
        zones: Type.Array(Type.String({ minLength: 3 }), {
          default: ['zen.spamhaus.org', 'bl.spamcop.net', 'dbl.spamhaus.org'],
        }),
        /** Public addresses of this site, IPv4 or IPv6. */
        addresses: Type.Array(Type.String({ minLength: 3 }), { default: [] }),
        /** Sender domains. */
        domains: Type.Array(Type.String({ minLength: 3 }), { default: [] }),
        intervalSeconds: seconds(1_800),
      },
      { ...closed },
    ),
  },
  closed,
);

const reportSchema = Type.Object(
  {
    /** mqtt://HOST:PORT or mqtts://HOST:PORT of the collector. */
    url: Type.String({ pattern: '^mqtts?://[^/]+$', description: 'mqtt://HOST:PORT or mqtts://HOST:PORT' }),
    /** The agent's account at the broker; by default TENANT/AGENT. */
    user: Type.Optional(Type.String({ minLength: 1 })),
    password: secretSchema,
    caFile: Type.Optional(Type.String({ minLength: 1 })),
    /** How often gauges are written and batches are made. */
    flushSeconds: seconds(5),
    /** The outbox drops its oldest batches above this size; at default rates this is far more than 7 days. */
    maxOutboxBytes: Type.Integer({ minimum: 1_048_576, maximum: 10_737_418_240, default: 268_435_456 }),
  },
  closed,
);

export const agentSchema = Type.Object(
  {
    tenant: idSchema,
    agent: idSchema,
    /** Folder of everything the agent must remember; relative to this file. */
    state: Type.String({ minLength: 1 }),
    logLevel: Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')], {
      default: 'info',
    }),
    local: Type.Optional(localSchema),
    accounts: Type.Array(accountSchema, { default: [] }),
    relay: Type.Optional(relaySchema),
    submission: Type.Optional(submissionSchema),
    probe: Type.Optional(probeSchema),
    report: Type.Optional(reportSchema),
  },
  closed,
);

export type AgentConfig = Static<typeof agentSchema>;
export type LocalConfig = Static<typeof localSchema>;
export type AccountConfig = Static<typeof accountSchema>;
export type RelayConfig = Static<typeof relaySchema>;
export type SubmissionConfig = Static<typeof submissionSchema>;
export type ProbeConfig = Static<typeof probeSchema>;
export type ReportConfig = Static<typeof reportSchema>;

export function loadAgentConfig(file: string): Loaded<AgentConfig> {
  const loaded = loadConfig({ file, schema: agentSchema });
  checkLocal(loaded);
  checkSubmission(loaded);
  return loaded;
}

function checkLocal(loaded: Loaded<AgentConfig>): void {
  const { accounts, local } = loaded.value;
  const ids = new Set<string>();
  for (const [index, account] of accounts.entries()) {
    if (local === undefined)
      throw loaded.refuse(['local'], 'nothing', 'the local mail server, since there are accounts to fetch');
    if (ids.has(account.id))
      throw loaded.refuse(
        ['accounts', index, 'id'],
        JSON.stringify(account.id) + ' for the second time',
        'a name that no other account has',
      );
    ids.add(account.id);
    for (const [n, recipient] of account.recipients.entries()) {
      if (isLocalAddress(local, recipient)) continue;
      const expected =
        'an address in a domain of local.domains (' +
        local.domains.join(', ') +
        '), so that fetched mail never leaves the house';
      throw loaded.refuse(['accounts', index, 'recipients', n], JSON.stringify(recipient), expected);
    }
  }
}

function checkSubmission(loaded: Loaded<AgentConfig>): void {
  const { submission, relay } = loaded.value;
  if (submission !== undefined && relay === undefined)
    throw loaded.refuse(['relay'], 'nothing', 'the relay that sends what submission takes');
  if (submission === undefined || submission.tls !== undefined || isLoopback(submission.host)) return;
  throw loaded.refuse(
    ['submission', 'tls'],
    'nothing',
    'keyFile and certFile, since host ' +
      submission.host +
      ' is not a loopback address and passwords must not travel in clear',
  );
}

/** Rule of safety 5: mail is injected only to recipients that are known as local. */
export function isLocalAddress(local: Pick<LocalConfig, 'domains'>, address: string): boolean {
  const domain = address.slice(address.lastIndexOf('@') + 1).toLowerCase();
  return local.domains.some((known) => known.toLowerCase() === domain);
}
