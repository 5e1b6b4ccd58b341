// The panels of the probes: round trips and their legs, domains, certificates, and the machine itself.
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import {
  GraphThresholdsStyleConfigBuilder,
  GraphThresholdsStyleMode,
  StackingConfigBuilder,
  StackingMode,
} from '@grafana/grafana-foundation-sdk/common';
import type { Panel } from '@grafana/grafana-foundation-sdk/dashboard';
import { tripStates } from '#shared/metrics.ts';
import { curve, everyAgent, limitsOf, perAgent, states, steps, words } from './panel-kinds.ts';
import { target } from './query.ts';

const tripColors = ['green', 'orange', 'red', 'red', 'red', 'gray'] as const;
const tripWords = words(tripStates.map((state, value) => [value, state, tripColors[value] ?? 'gray'] as const));
const levelWords = words([
  [0, 'well', 'green'],
  [1, 'worth knowing', 'blue'],
  [2, 'warning', 'orange'],
  [3, 'critical', 'red'],
  [4, 'not known', 'gray'],
]);
const legs = [
  ['local_seconds', 'local'],
  ['queue_seconds', 'queue'],
  ['relay_seconds', 'relay'],
  ['return_seconds', 'return'],
] as const;
const line = () => new GraphThresholdsStyleConfigBuilder().mode(GraphThresholdsStyleMode.Line);

export const probePanels: readonly (() => Builder<Panel>)[] = [
  () =>
    states(
      'Round trips',
      'A mail that goes out by the relay and comes back by a mailbox: ok, late, lost, bounced, refused (nobody took it)',
      tripWords,
    ).withTarget(
      target('A', {
        metric: 'round_trip',
        field: 'state',
        select: 'last',
        by: [...everyAgent, 'trip'],
        over: 'interval',
        alias: perAgent + ' $tag_trip',
      }),
    ),
  () =>
    legs.reduce(
      (panel, [field, word], index) =>
        panel.withTarget(
          target(String.fromCharCode(65 + index), {
            metric: 'round_trip_done',
            field,
            select: 'mean',
            by: [...everyAgent, 'trip'],
            over: 'interval',
            alias: perAgent + ' $tag_trip ' + word,
          }),
        ),
      curve(
        'Legs of the round trips',
        's',
        "To the agent's queue, in the queue, the dialog with the relay, and from there until it is back; together the whole way",
      ).stacking(new StackingConfigBuilder().mode(StackingMode.Normal).group('A')),
    ),
  () =>
    curve(
      'Round trips by outcome',
      'short',
      'Probes per minute and outcome; lost and bounced ones are mails that people lose too',
    ).withTarget(
      target('A', {
        metric: 'round_trip_done',
        field: 'count',
        select: 'sum',
        by: [...everyAgent, 'trip', 'outcome'],
        over: 'minute',
        alias: perAgent + ' $tag_trip $tag_outcome',
      }),
    ),
  () =>
    states(
      'Domains',
      'What receivers look at: MX, SPF, DKIM, DMARC, dynamic names, names of addresses, and what they said of a probe',
      levelWords,
    ).withTarget(
      target('A', {
        metric: 'domain',
        field: 'level',
        select: 'last',
        by: [...everyAgent, 'domain', 'check'],
        over: 'interval',
        alias: perAgent + ' $tag_domain $tag_check',
      }),
    ),
  () =>
    states(
      'Certificates',
      'Whether the TLS of mail servers can be believed, and will be for a while',
      levelWords,
    ).withTarget(
      target('A', {
        metric: 'certificate',
        field: 'level',
        select: 'last',
        by: [...everyAgent, 'server'],
        over: 'interval',
        alias: perAgent + ' $tag_server',
      }),
    ),
  () =>
    curve('Days left of certificates', 'short', 'Until the first certificate of the verified path expires').withTarget(
      target('A', {
        metric: 'certificate',
        field: 'days_left',
        select: 'last',
        by: [...everyAgent, 'server'],
        over: 'interval',
        alias: perAgent + ' $tag_server',
      }),
    ),
  () =>
    curve('TLS handshakes', 's', 'The handshake alone, without the way to it').withTarget(
      target('A', {
        metric: 'certificate',
        field: 'handshake_seconds',
        select: 'last',
        by: [...everyAgent, 'server'],
        over: 'interval',
        alias: perAgent + ' $tag_server',
      }),
    ),
  () =>
    curve('Free on the disk', 'percentunit', 'Of the disk of the state folder; the line is where the alert fires')
      .thresholds(steps(limitsOf('disk-low')))
      .thresholdsStyle(line())
      .withTarget(
        target('A', {
          metric: 'host',
          field: 'disk_free_share',
          select: 'last',
          by: everyAgent,
          over: 'interval',
          alias: perAgent,
        }),
      ),
  () =>
    curve('Clock', 's', 'By how much the clock is off, as servers outside say; the line is where the alert fires')
      .thresholds(steps(limitsOf('clock-wrong')))
      .thresholdsStyle(line())
      .withTarget(
        target('A', {
          metric: 'host',
          field: 'clock_off_seconds',
          select: 'max',
          by: everyAgent,
          over: 'interval',
          alias: perAgent,
        }),
      ),
  () =>
    curve(
      'Load and delay',
      'short',
      'Load per processor, and the longest time in which the agent could not react, seconds',
    )
      .withTarget(
        target('A', {
          metric: 'host',
          field: 'load',
          select: 'mean',
          by: everyAgent,
          over: 'interval',
          alias: perAgent + ' load',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'host',
          field: 'event_loop_delay_seconds',
          select: 'max',
          by: everyAgent,
          over: 'interval',
          alias: perAgent + ' delay',
        }),
      ),
  () =>
    curve('Memory', 'decbytes', "Free on the machine, and the agent's own heap")
      .withTarget(
        target('A', {
          metric: 'host',
          field: 'memory_free_bytes',
          select: 'last',
          by: everyAgent,
          over: 'interval',
          alias: perAgent + ' free',
        }),
      )
      .withTarget(
        target('B', {
          metric: 'host',
          field: 'heap_bytes',
          select: 'last',
          by: everyAgent,
          over: 'interval',
          alias: perAgent + ' heap',
        }),
      ),
];
