// The agent's configuration: one schema, one file, and the checks that a schema cannot express.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, idSchema, tlsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, loadConfig, parseConfig, portSchema } from '#shared/config.ts';
import type { Loaded } from '#shared/config.ts';
import { loginOptions } from './accounts/options.ts';
import { findAccountProblem } from './accounts/resolve.ts';
import { isLocalAddress } from './local/local-address.ts';
import { endpointOptions } from './net/endpoint-options.ts';
import { pageSchema } from './page/options.ts';
import { certificatesSchema } from './probe/certificate/certificate-options.ts';
import { dnsblSchema, findDnsblProblem } from './probe/dnsbl-options.ts';
import { domainCheckSchema, findDomainProblem } from './probe/domain/domain-options.ts';
import { hostOptionsSchema } from './probe/host/host-options.ts';
import { findTripProblem, roundTripSchema } from './probe/round-trip/trip-options.ts';
import { checkSchema, deliveryOptions, findCheckProblem, findDeliveryProblem } from './receive/delivery-options.ts';
import { fetchOptions } from './receive/fetch-options.ts';
import { findRelayProblem, loginOf, relaySchema } from './send/relay/relay-options.ts';
import type { RelayConfig } from './send/relay/relay-options.ts';
import { findSubmissionProblem, sendersOf, submissionSchema } from './send/submission/submission-options.ts';
import type { SubmissionOptions } from './send/submission/submission-options.ts';
import { reportSchema } from './telemetry/report-options.ts';

const localSchema = Type.Object(
  {
    protocol: explain(
      'How mail is handed over. LMTP keeps every byte; SMTP turns a bare CR or LF into CRLF.',
      Type.Union([Type.Literal('smtp'), Type.Literal('lmtp')], { default: 'smtp' }),
    ),
    host: explain('The local mail server.', hostSchema({ default: '127.0.0.1' })),
    port: explain('Its port; LMTP has no standard one.', portSchema(25)),
    tls: explain(
      'none: plain text; starttls: required, never optional; implicit: TLS from the first byte.',
      tlsSchema('none'),
    ),
    ...endpointOptions,
    domains: explain(
      'Mail is handed over only to recipients in these domains.',
      Type.Array(Type.String({ minLength: 1, pattern: '^[^@\\s]+$', description: 'a domain such as example.org' }), {
        minItems: 1,
      }),
    ),
    sessions: explain(
      'Sessions open at once; local servers fsync, so a few run faster than one.',
      Type.Integer({ minimum: 1, maximum: 16, default: 4 }),
    ),
  },
  closed,
);

const accountSchema = Type.Object(
  {
    id: explain('Name of the mailbox in reports, alerts and commands.', idSchema),
    ...loginOptions,
    ...endpointOptions,
    ...deliveryOptions,
    ...fetchOptions,
  },
  closed,
);

const probeSchema = Type.Object(
  {
    roundTrips: explain(
      'Probe mails that go out by the relay and come back by a mailbox; each leg is timed, lost and late ones are told.',
      Type.Optional(Type.Array(roundTripSchema, { maxItems: 8 })),
    ),
    domain: explain(
      'Looks at what receivers look at: MX, SPF, DKIM and DMARC of domains, dynamic names, names of addresses.',
      Type.Optional(domainCheckSchema),
    ),
    certificates: explain(
      'Looks at the TLS certificates of mail servers: whether they can be believed, and for how long.',
      Type.Optional(certificatesSchema),
    ),
    host: explain(
      'Readings of this machine: disk, load, memory, clock, local mail server. Told wherever there is a report.',
      Type.Optional(hostOptionsSchema),
    ),
    dnsbl: explain('Checks addresses and sender domains against DNS block lists.', Type.Optional(dnsblSchema)),
  },
  closed,
);

export const agentSchema = Type.Object(
  {
    tenant: explain('Whose site this is.', idSchema),
    agent: explain('Name of this agent; one a tenant.', idSchema),
    state: explain(
      'Folder of everything the agent must remember; relative to this file.',
      Type.String({ minLength: 1 }),
    ),
    logLevel: explain(
      'Least serious events that are logged.',
      Type.Union([Type.Literal('debug'), Type.Literal('info'), Type.Literal('warn'), Type.Literal('error')], {
        default: 'info',
      }),
    ),
    local: explain('The local mail server. Needed when there are accounts.', Type.Optional(localSchema)),
    accounts: explain('Mailboxes at the provider, fetched by POP3.', Type.Array(accountSchema, { default: [] })),
    check: explain(
      'Content check of fetched mails before they are handed over. Nothing is ever deleted by it.',
      Type.Optional(checkSchema),
    ),
    operator: explain(
      'Mailbox of whoever looks after this agent, in a domain of `local.domains`: told of failed mail whose sender is not local, of loops, and of relays that are out of service.',
      Type.Optional(
        Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'an address such as postmaster@example.org' }),
      ),
    ),
    relays: explain(
      "The provider's relays, for all mail or for that of some senders. Needed when there is submission.",
      Type.Array(relaySchema, { default: [] }),
    ),
    submission: explain(
      'Takes mail from clients and the local mail server, and sends it by the relays.',
      Type.Optional(submissionSchema),
    ),
    probe: explain('Watches the outside world.', Type.Optional(probeSchema)),
    page: explain(
      'The own page of the agent: set up, state, queue, quarantine, log. Without it there is none.',
      Type.Optional(pageSchema),
    ),
    report: explain('Reports to a collector. Without it nothing is reported.', Type.Optional(reportSchema)),
  },
  closed,
);

export type AgentConfig = Static<typeof agentSchema>;
export type LocalConfig = Static<typeof localSchema>;
export type AccountConfig = Static<typeof accountSchema>;
export { loginOf };
export type { RelayConfig };
export type { ReportConfig } from './telemetry/report-options.ts';
export type SubmissionConfig = SubmissionOptions;
export type ProbeConfig = Static<typeof probeSchema>;

export function loadAgentConfig(file: string): Loaded<AgentConfig> {
  return checkAgentConfig(loadConfig({ file, schema: agentSchema }));
}

/** The same of a text that is not in the file yet. */
export function parseAgentConfig(file: string, text: string): Loaded<AgentConfig> {
  return checkAgentConfig(parseConfig({ file, text, schema: agentSchema }));
}

function checkAgentConfig(loaded: Loaded<AgentConfig>): Loaded<AgentConfig> {
  checkPins(loaded);
  checkLocal(loaded);
  checkOperator(loaded);
  const check = findCheckProblem(loaded.value.check ?? {});
  if (check !== undefined) throw loaded.refuse(['check', ...check.path], check.found, check.expected);
  checkSubmission(loaded);
  checkProbe(loaded);
  return loaded;
}

/** Those of accounts and relays are checked with them. */
function checkPins(loaded: Loaded<AgentConfig>): void {
  const { local } = loaded.value;
  if (local?.pins === undefined || local.tls !== 'none') return;
  throw loaded.refuse(['local', 'pins'], 'pins although tls is none', 'tls: implicit or starttls with pins');
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
    const problem = findAccountProblem(account);
    if (problem !== undefined)
      throw loaded.refuse(['accounts', index, ...problem.path], problem.found, problem.expected);
    const delivery = findDeliveryProblem(local, account);
    if (delivery !== undefined)
      throw loaded.refuse(['accounts', index, ...delivery.path], delivery.found, delivery.expected);
  }
}

function checkProbe(loaded: Loaded<AgentConfig>): void {
  const { accounts, probe, submission } = loaded.value;
  const site = { accounts: accounts.map(({ id }) => id), sends: submission !== undefined };
  const lists = probe?.dnsbl && findDnsblProblem(probe.dnsbl);
  if (lists !== undefined) throw loaded.refuse(['probe', 'dnsbl', ...lists.path], lists.found, lists.expected);
  const domain = probe?.domain && findDomainProblem(probe.domain);
  if (domain !== undefined) throw loaded.refuse(['probe', 'domain', ...domain.path], domain.found, domain.expected);
  const problem = findTripProblem(probe?.roundTrips ?? [], site);
  if (problem !== undefined)
    throw loaded.refuse(['probe', 'roundTrips', ...problem.path], problem.found, problem.expected);
}

/** Notes go through the local server alone: never through the relay that may be their subject. */
function checkOperator(loaded: Loaded<AgentConfig>): void {
  const { local, operator } = loaded.value;
  if (operator === undefined || (local !== undefined && isLocalAddress(local, operator))) return;
  const domains = local === undefined ? 'a local mail server, under `local`' : local.domains.join(', ');
  throw loaded.refuse(['operator'], JSON.stringify(operator), 'an address in a domain of local.domains: ' + domains);
}

function checkSubmission(loaded: Loaded<AgentConfig>): void {
  const { submission, relays } = loaded.value;
  if (submission !== undefined && relays.length === 0)
    throw loaded.refuse(['relays'], 'nothing', 'a relay that sends what submission takes');
  const problem = findRelayProblem(relays, submission === undefined ? [] : sendersOf(submission));
  if (problem !== undefined) throw loaded.refuse(problem.path, problem.found, problem.expected);
  const wrong = submission === undefined ? undefined : findSubmissionProblem(submission);
  if (wrong !== undefined) throw loaded.refuse(['submission', ...wrong.path], wrong.found, wrong.expected);
}
