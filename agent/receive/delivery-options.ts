// The options of an account that say who gets its mails, and those of the content check.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed } from '#shared/config-fields.ts';
import { explain, secretSchema, hostSchema, portSchema } from '#shared/config.ts';
import { isLocalAddress } from '../local/local-address.ts';

const addressSchema = Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'a mail address' });
const domainSchema = Type.String({ pattern: '^[^@\\s]+$', description: 'a domain such as example.org' });

const multidropSchema = Type.Object(
  {
    header: explain(
      "The header line in which the provider writes a mail's envelope recipient: X-Envelope-To, Delivered-To, X-Original-To ... One copy for each address in it. To and Cc are never looked at.",
      Type.String({
        pattern: '^(?!(?:[Tt][Oo]|[Bb]?[Cc][Cc])$)[!-9;-~]+$',
        description: 'a header name other than To, Cc and Bcc',
      }),
    ),
    domains: explain(
      'Addresses in these domains are accepted; each must be one of `local.domains`.',
      Type.Array(domainSchema, { minItems: 1 }),
    ),
    fallback: explain('The local address for mails without an accepted one.', addressSchema),
    provider: explain(
      "The host, or a domain of hosts, that the provider's own Received line names after `by`. The header line counts only above it, when it is the topmost one: what stands below, a sender can forge.",
      hostSchema(),
    ),
  },
  closed,
);

export const deliveryOptions = {
  recipients: explain(
    'Every mail of this mailbox goes to these local addresses. Either this or `multidrop`.',
    Type.Optional(Type.Array(addressSchema, { minItems: 1 })),
  ),
  multidrop: explain(
    'For a mailbox that collects the mail of many addresses: the recipients stand in a header line of the provider.',
    Type.Optional(multidropSchema),
  ),
  sender: explain(
    'The envelope sender at the hand-over. original: as the provider noted it in Return-Path; null: none, so that no bounce can leave; or an address.',
    Type.Optional(
      Type.Union([Type.Literal('original'), Type.Literal('null'), Type.Null(), addressSchema], {
        default: 'original',
        description: 'original, null or a mail address',
      }),
    ),
  ),
};

const onFailure = (standard: 'deliver' | 'wait') =>
  explain(
    'When it does not answer. deliver: the mail is handed over unchecked, its header says so; wait: it stays at the provider and is tried again.',
    Type.Union([Type.Literal('deliver'), Type.Literal('wait')], { default: standard }),
  );
const timeout = (standard: number) =>
  explain(
    'It has failed when nothing moved for so long.',
    Type.Integer({ minimum: 1, maximum: 3_600, default: standard, description: 'whole seconds, 1 to 3600' }),
  );
const maxBytes = explain(
  'Larger mails are handed over unchecked, their header says so.',
  Type.Integer({ minimum: 1_024, maximum: 1_073_741_824, default: 26_214_400 }),
);
const bad = (standard: 'quarantine' | 'deliver') =>
  Type.Union([Type.Literal('quarantine'), Type.Literal('deliver')], { default: standard });

const rspamdSchema = Type.Object(
  {
    url: explain(
      'http://HOST:PORT or https://HOST:PORT of a normal worker (11333), or of the controller (11334, with its password).',
      Type.String({ pattern: '^https?://[^/?#@\\s]+/?$', description: 'http://HOST:PORT or https://HOST:PORT' }),
    ),
    password: explain("The controller's password.", Type.Optional(secretSchema)),
    caFile: explain(
      "PEM file of the authority that signed the server's certificate, when it is not a public one.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    timeoutSeconds: timeout(30),
    onFailure: onFailure('deliver'),
    reject: explain(
      'What becomes of a mail that rspamd wants rejected. deliver: handed over with X-Spam: Yes.',
      bad('quarantine'),
    ),
    maxBytes,
  },
  closed,
);

const clamdSchema = Type.Object(
  {
    socket: explain('Path of its unix socket. Either this or `host`.', Type.Optional(Type.String({ minLength: 1 }))),
    host: explain('Its host.', Type.Optional(hostSchema())),
    port: explain('Its port.', portSchema(3_310)),
    timeoutSeconds: timeout(60),
    onFailure: onFailure('wait'),
    found: explain(
      'What becomes of a mail in which it finds something. deliver: handed over with X-Virus-Found.',
      bad('quarantine'),
    ),
    maxBytes,
  },
  closed,
);

export const checkSchema = Type.Object(
  {
    rspamd: explain('Asks an rspamd; its verdict goes into X-Spam header lines.', Type.Optional(rspamdSchema)),
    clamd: explain('Asks a clamd (INSTREAM).', Type.Optional(clamdSchema)),
  },
  closed,
);
export type CheckConfig = Static<typeof checkSchema>;

type Problem = { readonly path: readonly (string | number)[]; readonly found: string; readonly expected: string };
type Delivery = {
  readonly recipients?: readonly string[];
  readonly multidrop?: Static<typeof multidropSchema>;
};

/** What the schema cannot express; `path` begins at the account. Undefined when all is well. */
export function findDeliveryProblem(
  local: { readonly domains: readonly string[] },
  account: Delivery,
): Problem | undefined {
  const { recipients, multidrop } = account;
  const one = 'either recipients or multidrop, so that it is clear who gets the mails';
  if (recipients === undefined && multidrop === undefined)
    return { path: ['recipients'], found: 'nothing', expected: one };
  if (recipients !== undefined && multidrop !== undefined) return { path: ['multidrop'], found: 'both', expected: one };
  const ours =
    'a domain of local.domains (' + local.domains.join(', ') + '), so that fetched mail never leaves the house';
  const problem = (path: Problem['path'], value: string, what: string): Problem => ({
    path,
    found: JSON.stringify(value),
    expected: what + ours,
  });
  for (const [index, address] of (recipients ?? []).entries())
    if (!isLocalAddress(local, address)) return problem(['recipients', index], address, 'an address in ');
  if (multidrop === undefined) return undefined;
  for (const [index, domain] of multidrop.domains.entries())
    if (!isLocalAddress(local, '@' + domain)) return problem(['multidrop', 'domains', index], domain, '');
  return isLocalAddress(local, multidrop.fallback)
    ? undefined
    : problem(['multidrop', 'fallback'], multidrop.fallback, 'an address in ');
}

export function findCheckProblem(check: CheckConfig): Problem | undefined {
  const { clamd } = check;
  if (clamd === undefined || (clamd.socket === undefined) !== (clamd.host === undefined)) return undefined;
  const found = clamd.socket === undefined ? 'nothing' : 'both';
  return {
    path: ['clamd', 'socket'],
    found,
    expected: 'either socket or host, so that it is clear where clamd listens',
  };
}
