// A question for a time series: checked against the catalogue, bounded in length, steps and values, in words a person can
// act on.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { findProblems } from '#shared/config-problems.ts';
import { isMetricName, metrics } from '#shared/metrics.ts';
import type { FieldSpec, MetricName } from '#shared/metrics.ts';
import type { Origin, Series, SeriesQuery } from '../store/store.ts';
import { HttpError } from './http-error.ts';
import { isoTime } from './items.ts';

export const maxSteps = 2_000;
export const maxValues = 100_000;
/** The embedded store answers within the collector's own process: a longer look is Grafana's. */
export const maxRangeMs = 31 * 86_400_000;

const aggregates = ['sum', 'last', 'max', 'mean'] as const;
const time = { pattern: '^([0-9]{1,15}|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{5,12}(Z|[+-][0-9]{2}:[0-9]{2}))$' };
const timeWords = 'a time such as 2030-01-31T12:00:00Z, or milliseconds since 1970';

export const seriesQuerySchema = Type.Object(
  {
    metric: Type.Union(Object.keys(metrics).map((name) => Type.Literal(name))),
    field: Type.String({ pattern: '^[a-z_]{1,40}$', description: 'a field of the metric' }),
    from: Type.Optional(Type.String({ ...time, description: timeWords })),
    to: Type.Optional(Type.String({ ...time, description: timeWords })),
    step: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,6}$', description: 'whole seconds from 1' })),
    aggregate: Type.Optional(Type.Union(aggregates.map((name) => Type.Literal(name)))),
  },
  { additionalProperties: false },
);
type Raw = Static<typeof seriesQuerySchema>;

export type CheckedQuery = SeriesQuery & { readonly unit: string };

/** Throws HttpError bad-request that names the parameter, what was found and what was expected. */
export function parseSeriesQuery(raw: unknown, origin: Origin, now: number): CheckedQuery {
  const [problem] = findProblems(seriesQuerySchema, raw);
  if (problem !== undefined) throw refuse(String(problem.path[0] ?? 'question'), problem.found, problem.expected);
  const query = raw as Raw; // findProblems() has checked it against this very schema
  const metric = String(query.metric);
  if (!isMetricName(metric)) throw refuse('metric', metric, 'one of ' + Object.keys(metrics).join(', '));
  const spec = numberField(metric, query.field);
  const to = query.to === undefined ? now : timeOf('to', query.to);
  const from = query.from === undefined ? to - 3_600_000 : timeOf('from', query.from);
  if (from < 0 || to <= from) throw refuse('from', isoTime(from) ?? '1970', 'a time before `to` (' + isoTime(to) + ')');
  if (to - from > maxRangeMs) {
    throw refuse('from', Math.ceil((to - from) / 86_400_000) + ' days before `to`', 'at most 31 days');
  }
  const stepMs = query.step === undefined ? standardStep(to - from) : Number(query.step) * 1_000;
  if ((to - from) / stepMs > maxSteps) {
    const least = Math.ceil((to - from) / maxSteps / 1_000);
    throw refuse('step', stepMs / 1_000 + ' s', 'at least ' + least + ' s for this range (' + maxSteps + ' steps)');
  }
  const aggregate =
    aggregates.find((name) => name === query.aggregate) ?? (metrics[metric].kind === 'event' ? 'sum' : 'last');
  return { ...origin, metric, field: query.field, from, to, stepMs, aggregate, unit: spec.unit };
}

export function seriesAnswer(query: CheckedQuery, series: readonly Series[]) {
  const values = series.reduce((sum, one) => sum + one.values.length, 0);
  if (values > maxValues) {
    const found = series.length + ' series with ' + values + ' values';
    throw new HttpError(
      'too-large',
      'Cannot answer: ' + found + ', expected at most ' + maxValues + '; ask for a larger step or a shorter range',
    );
  }
  return {
    metric: query.metric,
    field: query.field,
    unit: query.unit,
    aggregate: query.aggregate,
    from: isoTime(query.from),
    to: isoTime(query.to),
    step: query.stepMs / 1_000,
    series,
  };
}

function numberField(metric: MetricName, field: string): FieldSpec {
  const fields: Readonly<Record<string, FieldSpec>> = metrics[metric].fields;
  const spec = Object.hasOwn(fields, field) ? fields[field] : undefined;
  if (spec?.type === 'number') return spec;
  const numbers = Object.keys(fields).filter((name) => fields[name]?.type === 'number');
  throw refuse('field', field, 'a number of ' + metric + ': ' + numbers.join(', '));
}

function timeOf(name: string, text: string): number {
  const ms = /^[0-9]+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isFinite(ms) && ms >= 0 && ms < 8.64e15) return ms;
  throw refuse(name, text, timeWords);
}

/** About 300 steps, in whole minutes once a step is that long. */
function standardStep(rangeMs: number): number {
  const ms = Math.ceil(rangeMs / 300 / 1_000) * 1_000;
  return ms < 60_000 ? ms : Math.ceil(ms / 60_000) * 60_000;
}

function refuse(name: string, found: string, expected: string): HttpError {
  return new HttpError('bad-request', 'Cannot read ' + name + ': found ' + found + ', expected ' + expected);
}
