// The fleet in Prometheus' text exposition format 0.0.4. Names: mailferry_<metric>_<field> from the catalogue, `_total` for
// events whose totals the fleet keeps. Numbers only: free text as a label would make a new series with every word.
// The readings of an offline agent are left out: what is not known any more must not look like the present.
import { isMetricName, metrics } from '#shared/metrics.ts';
import type { FieldSpec, MetricName } from '#shared/metrics.ts';
import type { AgentView } from '../fleet/agent-view.ts';
import type { ShownAlert } from './sources.ts';

export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

type Labels = Readonly<Record<string, string>>;
type Family = {
  readonly type: 'counter' | 'gauge';
  readonly help: string;
  readonly samples: { readonly labels: Labels; readonly value: number }[];
};

export function metricsText(options: {
  readonly views: readonly AgentView[];
  readonly alerts: readonly ShownAlert[];
  readonly health: Readonly<Record<string, string | undefined>>;
}): string {
  const families = new Map<string, Family>();
  const add = (name: string, type: Family['type'], help: string, labels: Labels, value: number): void => {
    const family = families.get(name) ?? { type, help, samples: [] };
    families.set(name, family);
    family.samples.push({ labels, value });
  };
  for (const [part, problem] of Object.entries(options.health)) {
    const help = 'Part of the collector: 1 when it is well, 0 when not.';
    add('mailferry_collector_part_up', 'gauge', help, { part }, problem === undefined ? 1 : 0);
  }
  for (const severity of ['critical', 'warning', 'info'] as const) {
    const count = options.alerts.filter((alert) => alert.severity === severity).length;
    add('mailferry_alerts_active', 'gauge', 'Active alerts (unit: alerts).', { severity }, count);
  }
  for (const view of options.views) {
    addAgent(view, add);
    if (view.state !== 'offline') addReadings(view, add);
  }
  return [...families].map(([name, family]) => familyText(name, family)).join('');
}

type Add = (name: string, type: Family['type'], help: string, labels: Labels, value: number) => void;

function addAgent(view: AgentView, add: Add): void {
  const labels = { tenant: view.tenant, agent: view.id };
  add(
    'mailferry_agent_up',
    'gauge',
    'Agent: 1 when it is online, 0 when not.',
    labels,
    view.state === 'online' ? 1 : 0,
  );
  for (const state of ['online', 'stale', 'offline'] as const) {
    const help = 'State of the agent: 1 for the state it is in, 0 for the others.';
    add('mailferry_agent_state', 'gauge', help, { ...labels, state }, view.state === state ? 1 : 0);
  }
  if (view.lastSeenAt > 0) {
    const help = 'When the agent was last heard, by the clock of the collector (unit: s since 1970).';
    add('mailferry_agent_last_seen_timestamp_seconds', 'gauge', help, labels, view.lastSeenAt / 1_000);
  }
  const totals = [
    ['mail_in', 'delivered', view.mailIn.count],
    ['mail_out', 'sent', view.mailOut.count],
  ] as const;
  for (const [metric, outcome, count] of totals) {
    const help = metrics[metric].help + '. Since the agent is known (unit: ' + metrics[metric].fields.count.unit + ').';
    add('mailferry_' + metric + '_count_total', 'counter', help, { ...labels, outcome }, count);
  }
}

function addReadings(view: AgentView, add: Add): void {
  for (const point of view.readings) {
    // A database of a newer version may hold what this one does not know.
    if (!isMetricName(point.name) || metrics[point.name].kind !== 'gauge') continue;
    const fields = fieldsOf(point.name);
    const tags = metrics[point.name].tags.map((tag) => [tag, point.tags[tag] ?? ''] as const);
    const labels = { tenant: view.tenant, agent: view.id, ...Object.fromEntries(tags) };
    for (const [field, value] of Object.entries(point.fields)) {
      const spec = fields[field];
      if (spec?.type !== 'number' || typeof value !== 'number') continue;
      const help = metrics[point.name].help + ': ' + spec.help + ' (unit: ' + spec.unit + ').';
      add('mailferry_' + point.name + '_' + field, 'gauge', help, labels, value);
    }
  }
}

function fieldsOf(name: MetricName): Readonly<Record<string, FieldSpec>> {
  return metrics[name].fields;
}

function familyText(name: string, family: Family): string {
  const head = ['# HELP ' + name + ' ' + escapeHelp(family.help), '# TYPE ' + name + ' ' + family.type];
  const lines = family.samples.map(({ labels, value }) => {
    const pairs = Object.entries(labels).map(([label, text]) => label + '="' + escapeLabel(text) + '"');
    return name + '{' + pairs.join(',') + '} ' + String(value);
  });
  return [...head, ...lines, ''].join('\n');
}

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}
function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"');
}
