// The embedded store: one SQLite file. A point is keyed by (series, time), so writing it again changes nothing.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Point } from '#shared/meter.ts';
import { seriesOf } from '#shared/series.ts';
import { openDatabase, transaction } from '#shared/sqlite.ts';
import type { Database } from '#shared/sqlite.ts';
import { isNumberField } from './store.ts';
import type { Origin, Part, Series, SeriesQuery, Store } from './store.ts';

const schema = [
  `CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    agent TEXT NOT NULL,
    metric TEXT NOT NULL,
    tags TEXT NOT NULL,
    UNIQUE (tenant, agent, metric, tags)
  ) STRICT;
  CREATE TABLE point (
    series INTEGER NOT NULL REFERENCES series (id) ON DELETE CASCADE,
    at INTEGER NOT NULL,
    fields TEXT NOT NULL,
    PRIMARY KEY (series, at)
  ) STRICT, WITHOUT ROWID`,
];

const dayMs = 86_400_000;
const keepDays = 400;

export function openSqliteStore(options: { readonly path: string; readonly clock: Clock; readonly log: Log }): Store {
  const { clock, log } = options;
  const db = openDatabase({ path: options.path, schema });
  const findSeries = createSeriesIndex(db);
  const insert = db.prepare('INSERT OR REPLACE INTO point (series, at, fields) VALUES (?, ?, ?)');
  const expire = db.prepare('DELETE FROM point WHERE series = ? AND at < ?');
  let problem: string | undefined;
  let expiredAt = -Infinity;

  function writeAll(parts: readonly Part[]): void {
    transaction(db, () => {
      for (const { origin, points } of parts)
        for (const point of points) insert.run(findSeries(origin, point), point.at, JSON.stringify(point.fields));
    });
  }

  /** Once a day; one series at a time keeps each transaction short. */
  function expireOld(): void {
    if (clock.monotonic() - expiredAt < dayMs) return;
    expiredAt = clock.monotonic();
    for (const row of db.prepare('SELECT id FROM series').all())
      expire.run(Number(row['id']), clock.now() - keepDays * dayMs);
  }

  return {
    async write(parts) {
      try {
        writeAll(parts);
        problem = undefined;
      } catch (error) {
        findSeries.forget();
        problem = 'metrics.db: ' + describe(error);
        const points = parts.reduce((sum, part) => sum + part.points.length, 0);
        throw new Error('Cannot write ' + points + ' points to ' + options.path + ': ' + describe(error), {
          cause: error,
        });
      }
      try {
        expireOld();
      } catch (error) {
        log.error({ error: describe(error) }, 'old points could not be removed');
      }
      return { refused: 0 };
    },
    query: async (query) => (isNumberField(query) ? readSeries(db, query) : []),
    problem: () => problem,
    close: async () => db.close(),
  };
}

type SeriesIndex = ((origin: Origin, point: Point) => number) & { readonly forget: () => void };

/** Ids by series, cached: forget() after a rolled back transaction, whose new ids are gone. */
function createSeriesIndex(db: Database): SeriesIndex {
  const ids = new Map<string, number>();
  const add = db.prepare('INSERT INTO series (tenant, agent, metric, tags) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING');
  const find = db.prepare('SELECT id FROM series WHERE tenant = ? AND agent = ? AND metric = ? AND tags = ?');
  const lookup = (origin: Origin, point: Point): number => {
    const key = origin.tenant + '/' + origin.agent + seriesOf(point);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const tags = JSON.stringify(Object.fromEntries(Object.entries(point.tags).sort(([a], [b]) => (a < b ? -1 : 1))));
    add.run(origin.tenant, origin.agent, point.name, tags);
    const id = Number(find.get(origin.tenant, origin.agent, point.name, tags)?.['id']);
    if (ids.size > 100_000) ids.clear();
    ids.set(key, id);
    return id;
  };
  return Object.assign(lookup, { forget: () => ids.clear() });
}

const aggregates = {
  sum: 'sum(value) AS result',
  max: 'max(value) AS result',
  mean: 'avg(value) AS result',
  // SQLite takes the other columns of a group from the row that has the max().
  last: 'value AS result, max(at)',
} as const;

function readSeries(db: Database, query: SeriesQuery): readonly Series[] {
  const rows = db
    .prepare(
      // Numbers are bound as REAL, and a step must be divided as a whole number.
      `SELECT tags, (at - CAST(:from AS INTEGER)) / CAST(:step AS INTEGER) AS bucket, ${aggregates[query.aggregate]} FROM (
         SELECT series.tags AS tags, point.at AS at, json_extract(point.fields, :path) AS value
         FROM series JOIN point ON point.series = series.id
         WHERE series.tenant = :tenant AND series.agent = :agent AND series.metric = :metric AND point.at >= :from AND point.at < :to)
       WHERE value IS NOT NULL GROUP BY tags, bucket ORDER BY tags, bucket`,
    )
    .all({
      from: query.from,
      to: query.to,
      step: query.stepMs,
      path: '$.' + query.field,
      tenant: query.tenant,
      agent: query.agent,
      metric: query.metric,
    });
  const series = new Map<string, [number, number][]>();
  for (const row of rows) {
    const tags = String(row['tags']);
    const values = series.get(tags) ?? [];
    values.push([query.from + Number(row['bucket']) * query.stepMs, Number(row['result'])]);
    series.set(tags, values);
  }
  // The text is what createSeriesIndex() wrote.
  return [...series].map(([tags, values]) => ({ tags: JSON.parse(tags) as Readonly<Record<string, string>>, values }));
}
