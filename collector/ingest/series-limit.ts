// How many series a tenant may have: each costs the database memory for ever, and their tags come from outside. Promise: a
// tenant that is at its limit goes on with the series it has, over restarts, and no other tenant notices.
import { seriesOf } from '#shared/series.ts';
import type { Point } from '#shared/meter.ts';
import type { Database } from '#shared/sqlite.ts';
import { transaction } from '#shared/sqlite.ts';
import type { Origin } from '../fleet/fleet.ts';

export const seriesLimitSchema = `
CREATE TABLE tenant_series (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  series TEXT NOT NULL,
  PRIMARY KEY (tenant, agent, series)
) STRICT, WITHOUT ROWID`;

export type SeriesLimit = {
  /** Of the points, those that may be stored. */
  readonly admit: (origin: Origin, points: readonly Point[]) => readonly Point[];
  /** Writes down what is new, all of it in one commit; what a crash takes is found new again. */
  readonly flush: () => void;
};

export function createSeriesLimit(options: { readonly db: Database; readonly perTenant: number }): SeriesLimit {
  const { db, perTenant } = options;
  /** By TENANT/AGENT. */
  const known = new Map<string, Set<string>>();
  const counts = new Map<string, number>();
  let fresh: (readonly [tenant: string, agent: string, series: string])[] = [];
  const add = db.prepare('INSERT INTO tenant_series (tenant, agent, series) VALUES (?, ?, ?) ON CONFLICT DO NOTHING');
  for (const row of db.prepare('SELECT tenant, agent, series FROM tenant_series').iterate())
    remember({ tenant: String(row['tenant']), agent: String(row['agent']) }, String(row['series']));

  function seriesOfAgent(origin: Origin): Set<string> {
    const key = origin.tenant + '/' + origin.agent;
    const found = known.get(key) ?? new Set();
    known.set(key, found);
    return found;
  }
  function remember(origin: Origin, series: string): void {
    seriesOfAgent(origin).add(series);
    counts.set(origin.tenant, (counts.get(origin.tenant) ?? 0) + 1);
  }
  function isAdmitted(origin: Origin, own: ReadonlySet<string>, point: Point): boolean {
    const series = seriesOf(point);
    if (own.has(series)) return true;
    if ((counts.get(origin.tenant) ?? 0) >= perTenant) return false;
    fresh.push([origin.tenant, origin.agent, series]);
    remember(origin, series);
    return true;
  }

  return {
    flush() {
      if (fresh.length === 0) return;
      transaction(db, () => {
        for (const row of fresh) add.run(...row);
      });
      fresh = [];
    },
    admit(origin, points) {
      const own = seriesOfAgent(origin);
      // Almost always all of them: no new list then.
      return points.every((point) => own.has(seriesOf(point)))
        ? points
        : points.filter((point) => isAdmitted(origin, own, point));
    },
  };
}
