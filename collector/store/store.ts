// The small interface behind which the time series live: embedded SQLite or InfluxDB.
import type { Point } from '#shared/meter.ts';
import type { MetricName } from '#shared/metrics.ts';

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
export type Series = {
  readonly tags: Readonly<Record<string, string>>;
  /** Start of the step in milliseconds since 1970, value; steps without points are left out. */
  readonly values: readonly (readonly [number, number])[];
};

export type Store = {
  /**
   * Resolves when the database has the points durably. Writing the same points again changes nothing.
   * Throws when the store is out of reach: the caller keeps the batch and tries again.
   */
  readonly write: (
    origin: Origin,
    points: readonly Point[],
    signal: AbortSignal,
  ) => Promise<{ readonly refused: number }>;
  readonly query: (query: SeriesQuery) => Promise<readonly Series[]>;
  /** Undefined when well, else why not. */
  readonly problem: () => string | undefined;
  readonly close: () => Promise<void>;
};
