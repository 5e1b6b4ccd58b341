// A time of its own for every point of a series: InfluxDB would silently overwrite the one with the other.
import type { Point } from '#shared/meter.ts';
import type { Database } from '#shared/sqlite.ts';

/** A clock that was wrong by more than this and is right now must not date points for years. */
const maxAheadMs = 300_000;

/** Gives each point of a series a time of its own, also over restarts: one millisecond later where two would meet. */
export function createSeriesTimes(db: Database): { readonly apart: (point: Point) => Point } {
  const get = db.prepare('SELECT last_at FROM series WHERE key = ?');
  const put = db.prepare(
    'INSERT INTO series (key, last_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET last_at = excluded.last_at',
  );
  return {
    apart(point) {
      const tags = Object.entries(point.tags).sort(([a], [b]) => (a < b ? -1 : 1));
      const key = JSON.stringify([point.name, ...tags]);
      const last = Number(get.get(key)?.['last_at'] ?? -1);
      const farAhead = last - point.at > maxAheadMs;
      const at = point.at > last || farAhead ? point.at : last + 1;
      put.run(key, at);
      return at === point.at ? point : { ...point, at };
    },
  };
}
