// What makes a series: the measurement and its tags. The text is kept in databases: it never changes.
import type { Point } from './meter.ts';

export function seriesOf(point: Pick<Point, 'name' | 'tags'>): string {
  const tags = Object.entries(point.tags);
  if (tags.length > 1) tags.sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([point.name, ...tags]);
}
