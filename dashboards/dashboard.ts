// The dashboard file: classic JSON (schema 42), which every Grafana from 12.2 on takes from a file.
import {
  DashboardBuilder,
  DashboardCursorSync,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { datasource } from './query.ts';
import { panels } from './panels.ts';

export const dashboardUid = 'mailferry-mail';
export const datasourceUid = 'mailferry-influx';
export const datasourceName = 'mailferry InfluxDB';

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export function buildDashboard(): Json {
  const builder = new DashboardBuilder('mailferry: mail')
    .uid(dashboardUid)
    .description('Mail in, mail out, delay, queues and block lists of every site')
    .tags(['mailferry', 'mail'])
    .readonly()
    .timezone('browser')
    .weekStart('monday')
    .refresh('1m')
    .time({ from: 'now-6h', to: 'now' })
    .tooltip(DashboardCursorSync.Crosshair)
    .withVariable(
      new DatasourceVariableBuilder('ds')
        .label('Data source')
        .type('influxdb')
        .current({ selected: true, text: datasourceName, value: datasourceUid }),
    )
    .withVariable(variable('tenant', 'Customer', 'SHOW TAG VALUES FROM "agent" WITH KEY = "tenant"'))
    .withVariable(
      variable(
        'agent',
        'Agent',
        'SHOW TAG VALUES FROM "agent" WITH KEY = "agent" WHERE "tenant" =~ /^${tenant:regex}$/',
      ),
    );
  for (const panel of panels) builder.withPanel(panel());
  return finish(toJson(builder.build()));
}

function variable(name: string, label: string, query: string): QueryVariableBuilder {
  return new QueryVariableBuilder(name)
    .label(label)
    .datasource(datasource)
    .query(query)
    .refresh(VariableRefresh.OnTimeRangeChanged)
    .sort(VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue('.*')
    .current({ selected: true, text: ['All'], value: ['$__all'] });
}

/** As Grafana reads it: what is no JSON (functions, undefined) is gone. */
function toJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value)) as Json; // JSON by construction
}

/** What the SDK leaves out or sets wrongly: panels without id, placements that hide links and annotations. */
function finish(dashboard: Json): Json {
  if (!isObject(dashboard) || !Array.isArray(dashboard['panels']))
    throw new Error('Cannot finish the dashboard: no panels');
  const withIds = (dashboard['panels'] as readonly Json[]).map((panel, index) =>
    isObject(panel) ? { ...panel, id: index + 1 } : panel,
  ); // an array, see above
  return withoutKey(
    { ...dashboard, panels: withIds },
    'placement',
    (path) => path.includes('links') || path.includes('annotations'),
  );
}

function withoutKey(
  value: Json,
  key: string,
  where: (path: readonly string[]) => boolean,
  path: readonly string[] = [],
): Json {
  if (Array.isArray(value)) return (value as readonly Json[]).map((item) => withoutKey(item, key, where, path)); // an array, see above
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([name]) => name !== key || !where(path));
  return Object.fromEntries(entries.map(([name, child]) => [name, withoutKey(child, key, where, [...path, name])]));
}

function isObject(value: Json): value is { readonly [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
