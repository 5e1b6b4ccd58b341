// The small interface behind which the time series live: embedded SQLite or InfluxDB.
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import type { FieldSpec, MetricName } from '#shared/metrics.ts';

export type Origin = { readonly tenant: string; readonly agent: string };

export type SeriesQuery = {
  readonly metric: MetricName;
  readonly field: string;
  readonly tenant: string;
  readonly agent: string;
  /** Milliseconds since 1970; `from` is included, `to` is not. */
  readonly from: number;
  readonly to: number;
  readonly stepMs: number;
  /** How the points of one step become one value. */
  readonly aggregate: 'sum' | 'last' | 'max' | 'mean';
};
/** Only numbers make a series; the name comes from outside and becomes a part of the question to the database. */
export function isNumberField(query: Pick<SeriesQuery, 'metric' | 'field'>): boolean {
  const fields: Readonly<Record<string, FieldSpec>> = metrics[query.metric].fields;
  return Object.hasOwn(fields, query.field) && fields[query.field]?.type === 'number';
}

export type Series = {
  readonly tags: Readonly<Record<string, string>>;
  /** Start of the step in milliseconds since 1970, value; steps without points are left out. */
  readonly values: readonly (readonly [number, number])[];
};

/** What one agent said. */
export type Part = { readonly origin: Origin; readonly points: readonly Point[] };

export type Store = {
  /**
   * Resolves when the database has the points durably. Writing the same points again changes nothing.
   * Throws when the store is out of reach: the caller keeps the batches and tries again.
   */
  readonly write: (parts: readonly Part[], signal: AbortSignal) => Promise<{ readonly refused: number }>;
  readonly query: (query: SeriesQuery) => Promise<readonly Series[]>;
  /** Undefined when well, else why not. */
  readonly problem: () => string | undefined;
  readonly close: () => Promise<void>;
};
