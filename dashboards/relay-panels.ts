// The panels of the relays: what became of tries, what waits by which relay, where the time of a mail goes, what is left of
// the provider's limits.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import { GraphDrawStyle, StackingConfigBuilder, StackingMode } from '@grafana/grafana-foundation-sdk/common';
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { curve, everyAgent, perAgent, states, words } from './panel-kinds.ts';
import { target } from './query.ts';

const everyRelay = [...everyAgent, 'relay'] as const;
const perRelay = perAgent + ' $tag_relay';
const stacked = () => new StackingConfigBuilder().mode(StackingMode.Normal).group('A');

const parts = [
  ['queue_seconds', 'in the queue'],
  ['connect_seconds', 'connect'],
  ['tls_seconds', 'TLS'],
  ['login_seconds', 'login'],
  ['envelope_seconds', 'envelope'],
  ['data_seconds', 'data'],
] as const;
const standInWords = words([
  [0, 'sends itself', 'green'],
  [1, 'another relay sends', 'orange'],
]);

export const relayPanels: readonly (() => Builder<Panel>)[] = [
  () =>
    curve(
      'Mail out by outcome',
      'short',
      'Per minute and relay: sent, failed (bounced or expired), deferred, held, and unknown (no answer after the dot)',
    )
      .drawStyle(GraphDrawStyle.Bars)
      .stacking(stacked())
      .withTarget(
        target('A', {
          metric: 'mail_out',
          field: 'count',
          select: 'sum',
          by: [...everyRelay, 'outcome'],
          over: 'minute',
          alias: perRelay + ' $tag_outcome',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'mail_try',
          field: 'count',
          select: 'sum',
          by: [...everyRelay, 'outcome'],
          over: 'minute',
          alias: perRelay + ' $tag_outcome',
        }),
      ),
  () =>
    curve(
      'Queue by relay and state',
      'short',
      'Mails that wait, are held, or may have arrived, for each relay',
    ).withTarget(
      target('A', {
        metric: 'queue_state',
        field: 'mails',
        select: 'max',
        by: [...everyRelay, 'state'],
        over: 'interval',
        alias: perRelay + ' $tag_state',
      }),
    ),
  () =>
    curve('Size of the queue', 'decbytes', 'Bytes of the mails in each state, for each relay').withTarget(
      target('A', {
        metric: 'queue_state',
        field: 'bytes',
        select: 'max',
        by: [...everyRelay, 'state'],
        over: 'interval',
        alias: perRelay + ' $tag_state',
      }),
    ),
  () =>
    curve(
      'Oldest mail by relay and state',
      's',
      'Age of the oldest mail in each state, for each relay: a relay that is stuck is seen beside one that works',
    ).withTarget(
      target('A', {
        metric: 'queue_state',
        field: 'oldest_seconds',
        select: 'max',
        by: [...everyRelay, 'state'],
        over: 'interval',
        alias: perRelay + ' $tag_state',
      }),
    ),
  () =>
    parts.reduce(
      (panel, [field, word], index) =>
        panel.withTarget(
          target(String.fromCharCode(65 + index), {
            metric: 'mail_out',
            field,
            select: { percentile: 95 },
            where: { outcome: 'sent' },
            by: everyRelay,
            over: 'minute',
            alias: perRelay + ' ' + word,
          }),
        ),
      curve(
        'Time of a mail to the relay',
        's',
        '95 of 100 mails were faster: in the queue, opening the session (connect, TLS, login), envelope, data',
      ),
    ),
  () =>
    curve(
      "Left of the provider's limits",
      'short',
      'Mails and recipients that may still be sent now, of the window nearest to its end; nothing where there is no limit',
    )
      .withTarget(
        target('A', {
          metric: 'relay',
          field: 'budget_mails',
          select: 'last',
          by: everyRelay,
          over: 'interval',
          alias: perRelay + ' mails',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'relay',
          field: 'budget_recipients',
          select: 'last',
          by: everyRelay,
          over: 'interval',
          alias: perRelay + ' recipients',
        }),
      ),
  () =>
    states(
      'Stand-ins',
      'Whether a relay sends its mail itself, or another one does in its place',
      standInWords,
    ).withTarget(
      target('A', {
        metric: 'relay',
        field: 'stood_in',
        select: 'last',
        by: everyRelay,
        over: 'interval',
        alias: perRelay,
      }),
    ),
];
