// The panels: each answers one question, has a unit, a description, a legend, and limits from the alert rules.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  GraphDrawStyle,
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  StackingConfigBuilder,
  StackingMode,
} from '@grafana/grafana-foundation-sdk/common';
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { accountErrors, dnsblStates } from '#shared/metrics.ts';
import type { AccountError } from '#shared/metrics.ts';
import { lastReports } from './last-reports.ts';
import { curve, everyAgent, limitsOf, number, perAgent, states, steps, words } from './panel-kinds.ts';
import { target } from './query.ts';
import { probePanels } from './probe-panels.ts';
import { relayPanels } from './relay-panels.ts';

export const panels: readonly (() => Builder<Panel>)[] = [
  () =>
    number('Mail in', 'short', 'Mails that the local servers took in the chosen time').withTarget(
      target('A', {
        metric: 'mail_in',
        field: 'count',
        select: 'sum',
        where: { outcome: 'delivered' },
        by: [],
        alias: 'mails',
      }),
    ),
  () =>
    number('Mail out', 'short', 'Mails that the relays took in the chosen time').withTarget(
      target('A', {
        metric: 'mail_out',
        field: 'count',
        select: 'sum',
        where: { outcome: 'sent' },
        by: [],
        alias: 'mails',
      }),
    ),
  () =>
    number(
      'Delivery delay, p95',
      's',
      "From the provider's Received date to the local 250, for 95 of 100 mails; an estimate",
    ).withTarget(
      target('A', { metric: 'mail_in', field: 'delay_seconds', select: { percentile: 95 }, by: [], alias: 'p95' }),
    ),
  () =>
    number('Oldest mail in a queue', 's', 'The longest wait of an outgoing mail, per agent, as last reported')
      .thresholds(steps(limitsOf('queue-old')))
      .withTarget(
        target('A', { metric: 'queue', field: 'oldest_seconds', select: 'last', by: everyAgent, alias: perAgent }),
      ),
  () =>
    curve('Mail in', 'short', 'Mails handed over to the local server, per minute and agent')
      .drawStyle(GraphDrawStyle.Bars)
      .stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'))
      .withTarget(
        target('A', {
          metric: 'mail_in',
          field: 'count',
          select: 'sum',
          where: { outcome: 'delivered' },
          by: everyAgent,
          over: 'minute',
          alias: perAgent,
        }),
      ),
  () =>
    curve('Mail out', 'short', 'Mails handed over to the relay, per minute and agent')
      .drawStyle(GraphDrawStyle.Bars)
      .stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A'))
      .withTarget(
        target('A', {
          metric: 'mail_out',
          field: 'count',
          select: 'sum',
          where: { outcome: 'sent' },
          by: everyAgent,
          over: 'minute',
          alias: perAgent,
        }),
      ),
  () =>
    curve(
      'Delivery delay',
      's',
      "From the provider's Received date to the local 250: half of the mails were faster than p50, 95 of 100 faster than p95",
    )
      .withTarget(
        target('A', {
          metric: 'mail_in',
          field: 'delay_seconds',
          select: { percentile: 50 },
          by: everyAgent,
          over: 'minute',
          alias: perAgent + ' p50',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'mail_in',
          field: 'delay_seconds',
          select: { percentile: 95 },
          by: everyAgent,
          over: 'minute',
          alias: perAgent + ' p95',
        }),
      ),
  () =>
    curve('Queue depth', 'short', 'Outgoing mails that wait, per agent').withTarget(
      target('A', {
        metric: 'queue',
        field: 'depth',
        select: 'max',
        by: everyAgent,
        over: 'interval',
        alias: perAgent,
      }),
    ),
  () =>
    curve('Oldest mail in the queue', 's', 'Age of the oldest outgoing mail; the line is where the alert fires')
      .thresholds(steps(limitsOf('queue-old')))
      // Hidden by default.
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Line))
      .withTarget(
        target('A', {
          metric: 'queue',
          field: 'oldest_seconds',
          select: 'max',
          by: everyAgent,
          over: 'interval',
          alias: perAgent,
        }),
      ),
  () =>
    curve(
      'Reports that wait',
      'short',
      'Batches in the outbox of an agent: more than a few mean that the way to the collector or the database is broken',
    ).withTarget(
      target('A', {
        metric: 'agent',
        field: 'outbox_batches',
        select: 'max',
        by: everyAgent,
        over: 'interval',
        alias: perAgent,
      }),
    ),
  () =>
    states(
      'DNS block lists',
      'Each address or domain at each list. Refused and error say nothing about the address',
      dnsblWords,
    ).withTarget(
      target('A', {
        metric: 'dnsbl',
        field: 'state',
        select: 'last',
        by: [...everyAgent, 'target', 'zone'],
        over: 'interval',
        alias: perAgent + ' $tag_target $tag_zone',
      }),
    ),
  () =>
    states(
      'Mailboxes and relays',
      'Whether the last fetch of a mailbox and the last session with the relay succeeded',
      upWords,
    )
      .withTarget(
        target('A', {
          metric: 'account',
          field: 'up',
          select: 'last',
          by: [...everyAgent, 'account'],
          over: 'interval',
          alias: perAgent + ' mailbox $tag_account',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'relay',
          field: 'up',
          select: 'last',
          by: [...everyAgent, 'relay'],
          over: 'interval',
          alias: perAgent + ' relay $tag_relay',
        }),
      ),
  () =>
    states(
      'Trouble of mailboxes',
      'Why a mailbox is not fetched, or not all of it: a word for the kind; the account says more',
      errorWords,
    ).withTarget(
      target('A', {
        metric: 'account',
        field: 'error',
        select: 'last',
        by: [...everyAgent, 'account'],
        over: 'interval',
        alias: perAgent + ' $tag_account',
      }),
    ),
  () =>
    phases.reduce(
      (panel, [field, word], index) =>
        panel.withTarget(
          target(String.fromCharCode(65 + index), {
            metric: 'account',
            field,
            select: 'mean',
            by: everyAgent,
            over: 'interval',
            alias: perAgent + ' ' + word,
          }),
        ),
      curve(
        'Parts of a round',
        's',
        'How long a round takes until the first byte of a mail: name and TCP, TLS, login, listing, first byte; means of all mailboxes of an agent',
      ).stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A')),
    ),
  () =>
    curve(
      'Time of a mail',
      's',
      'Reading it from the provider, and handing it over (content check and local server): 95 of 100 mails were faster',
    )
      .withTarget(
        target('A', {
          metric: 'mail_in',
          field: 'retrieve_seconds',
          select: { percentile: 95 },
          by: everyAgent,
          over: 'minute',
          alias: perAgent + ' retrieve',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'mail_in',
          field: 'handover_seconds',
          select: { percentile: 95 },
          by: everyAgent,
          over: 'minute',
          alias: perAgent + ' hand-over',
        }),
      ),
  () =>
    curve(
      'Mails at the provider',
      'short',
      'What each mailbox holds, handed over or not, as the provider says',
    ).withTarget(
      target('A', {
        metric: 'account',
        field: 'mailbox_mails',
        select: 'last',
        by: [...everyAgent, 'account'],
        over: 'interval',
        alias: perAgent + ' $tag_account',
      }),
    ),
  () =>
    curve('Size of the mailboxes', 'decbytes', 'What they hold at the provider, as it says').withTarget(
      target('A', {
        metric: 'account',
        field: 'mailbox_bytes',
        select: 'last',
        by: [...everyAgent, 'account'],
        over: 'interval',
        alias: perAgent + ' $tag_account',
      }),
    ),
  () =>
    curve('Quarantine', 'short', 'Fetched mails that were not handed over and wait for a person, per agent').withTarget(
      target('A', {
        metric: 'quarantine',
        field: 'count',
        select: 'max',
        by: everyAgent,
        over: 'interval',
        alias: perAgent,
      }),
    ),
  () =>
    curve('Oldest mail in quarantine', 's', 'For how long a mail waits for a person; the line is where the alert fires')
      .thresholds(steps(limitsOf('quarantine-waits')))
      .thresholdsStyle(new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Line))
      .withTarget(
        target('A', {
          metric: 'quarantine',
          field: 'oldest_seconds',
          select: 'max',
          by: everyAgent,
          over: 'interval',
          alias: perAgent,
        }),
      ),
  () =>
    states('Agents that are held', 'Whether mail moves at a site, or a person must decide first', heldWords).withTarget(
      target('A', {
        metric: 'hold',
        field: 'held',
        select: 'last',
        by: everyAgent,
        over: 'interval',
        alias: perAgent,
      }),
    ),
  ...relayPanels,
  ...probePanels,
  lastReports,
];

const phases = [
  ['connect_seconds', 'connect'],
  ['tls_seconds', 'TLS'],
  ['login_seconds', 'login'],
  ['list_seconds', 'list'],
  ['first_byte_seconds', 'first byte'],
] as const;

const dnsblColors = ['green', 'red', 'blue', 'orange', 'purple', 'gray'] as const;
const dnsblWords = words(
  dnsblStates.map((state, value) => [value, state.replaceAll('-', ' '), dnsblColors[value] ?? 'gray'] as const),
);
const upWords = words([
  [0, 'failing', 'red'],
  [1, 'well', 'green'],
]);
const heldWords = words([
  [0, 'mail moves', 'green'],
  [1, 'held', 'red'],
]);
/** green: well; blue: will pass; orange: at the provider or on the way; red: a person is needed. */
const errorColors: Readonly<Record<AccountError, string>> = {
  none: 'green',
  connect: 'orange',
  tls: 'red',
  certificate: 'red',
  'not-pop3': 'red',
  'no-login': 'red',
  token: 'orange',
  login: 'red',
  busy: 'blue',
  server: 'orange',
  protocol: 'orange',
  timeout: 'orange',
  lost: 'orange',
  local: 'red',
  disk: 'red',
  question: 'red',
  waiting: 'blue',
  other: 'orange',
};
const errorWords = words(
  accountErrors.map((error) => [error, error === 'none' ? 'well' : error, errorColors[error]] as const),
);
