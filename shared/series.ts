// What makes a series: the measurement and its tags. The text is kept in databases: it never changes. It is asked for several
// times for every point of a large fleet, so what JSON.stringify would give is put together by hand where that is safe.
import type { Point } from './meter.ts';

export function seriesOf(point: Pick<Point, 'name' | 'tags'>): string {
  const { tags } = point;
  const names = Object.keys(tags);
  if (names.length > 1) names.sort();
  let text = '["' + point.name + '"';
  for (const name of names) text += ',["' + name + '",' + quoted(tags[name] ?? '') + ']';
  return text + ']';
}

/** Printable ASCII without quotes and backslashes is the same within quotes; names of the catalogue are nothing else. */
function quoted(value: string): string {
  return /^[ !#-[\]-~]*$/.test(value) ? '"' + value + '"' : JSON.stringify(value);
}
