// InfluxQL as data: names come from the catalogue, so a misspelt field is a type error and not an empty panel.
import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog';
import type { MetricName, metrics } from '#shared/metrics.ts';

export const datasource = { type: 'influxdb', uid: '${ds}' } as const;

type FieldOf<N extends MetricName> = keyof (typeof metrics)[N]['fields'] & string;
type TagOf<N extends MetricName> = (typeof metrics)[N]['tags'][number] | 'tenant' | 'agent';

export type Selection<N extends MetricName> = {
  readonly metric: N;
  readonly field: FieldOf<N>;
  readonly select: 'sum' | 'last' | 'max' | 'mean' | 'count' | { readonly percentile: number };
  /** Only points with this value of a tag. */
  readonly where?: Readonly<Partial<Record<TagOf<N>, string>>>;
  readonly by: readonly TagOf<N>[];
  /** Steps of the time axis; without it one value for the whole range. */
  readonly over?: 'interval' | 'minute';
};

/** The variables of the dashboard limit every query; `:regex` makes it independent of how a version interpolates. */
const scope = '"tenant" =~ /^${tenant:regex}$/ AND "agent" =~ /^${agent:regex}$/ AND $timeFilter';

export function influxQl<N extends MetricName>(selection: Selection<N>): string {
  const { metric, field, select } = selection;
  const value = typeof select === 'string' ? `${select}("${field}")` : `percentile("${field}", ${select.percentile})`;
  const where = Object.entries<string | undefined>(selection.where ?? {}).map(
    ([tag, wanted]) => `"${tag}" = '${wanted ?? ''}'`,
  );
  const groups = [
    ...(selection.over === undefined ? [] : [selection.over === 'minute' ? 'time(1m)' : 'time($__interval)']),
    ...selection.by.map((tag) => `"${tag}"`),
  ];
  // fill(none): an agent whose steps are longer than the interval must not look as if it came and went.
  const group =
    groups.length === 0 ? '' : ' GROUP BY ' + groups.join(', ') + (selection.over === undefined ? '' : ' fill(none)');
  return `SELECT ${value} FROM "${metric}" WHERE ${[...where, scope].join(' AND ')}${group}`;
}

/** The SDK knows no InfluxDB: its documented way for a query type of one's own. */
export function target<N extends MetricName>(
  refId: string,
  selection: Selection<N> & { readonly alias: string; readonly format?: 'time_series' | 'table' },
): Builder<Dataquery> {
  const query = {
    refId,
    datasource,
    query: influxQl(selection),
    rawQuery: true,
    resultFormat: selection.format ?? 'time_series',
    alias: selection.alias,
    _implementsDataqueryVariant: () => {},
  };
  return { build: () => query };
}
