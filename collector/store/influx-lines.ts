// Points as InfluxDB's line protocol. Our own, because the package's writer took four times the time of the collector's CPU
// at the rates of a large fleet; its rules of escaping are used here all the same.
// Traps: a newline in a tag would begin another measurement (cleanText and decodeBatch let none in); times are always
// milliseconds; all numbers are floats, since the first type of a field that reaches a database is its type for ever.
import { escape } from 'influx';
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import { seriesOf } from '#shared/series.ts';
import type { Origin, Part } from './store.ts';

const maxRemembered = 200_000;

export type Lines = {
  /** One line a point. A point without a field that the catalogue knows has none: ''. */
  readonly of: (parts: readonly Part[]) => readonly string[];
};

export function createLines(): Lines {
  /** The part before the fields, by series. */
  const heads = new Map<string, string>();

  function headOf(origin: Origin, point: Point): string {
    const key = origin.tenant + '/' + origin.agent + seriesOf(point);
    const known = heads.get(key);
    if (known !== undefined) return known;
    const tags = { tenant: origin.tenant, agent: origin.agent, ...point.tags };
    const head = [
      escape.measurement(point.name),
      // In the order of their names, as InfluxDB keeps them.
      ...Object.entries(tags)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([tag, value]) => escape.tag(tag) + '=' + escape.tag(value)),
    ].join(',');
    if (heads.size >= maxRemembered) heads.clear();
    heads.set(key, head);
    return head;
  }

  function lineOf(origin: Origin, point: Point): string {
    const specs: Readonly<Record<string, unknown>> = metrics[point.name].fields;
    let fields = '';
    for (const [name, value] of Object.entries(point.fields)) {
      if (!Object.hasOwn(specs, name)) continue;
      fields += (fields === '' ? ' ' : ',') + name + '=' + (typeof value === 'number' ? value : escape.quoted(value));
    }
    // Not 0: that would be 1970 in the server's eyes too, but the package and some proxies leave it out.
    return fields === '' ? '' : headOf(origin, point) + fields + ' ' + Math.max(1, point.at);
  }

  return {
    of: (parts) =>
      parts.flatMap(({ origin, points }) => points.map((point) => lineOf(origin, point)).filter((line) => line !== '')),
  };
}
