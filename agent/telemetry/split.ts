// Points in groups, each small enough for one message. Pure.
import type { Point } from '#shared/meter.ts';
import { maxMessageBytes } from '#shared/wire.ts';

/** Room for the frame of a batch around its points: names, numbers, brackets. */
const frameBytes = 512;
const maxPointsBytes = maxMessageBytes - frameBytes;

export function split(points: readonly Point[]): readonly (readonly Point[])[] {
  const groups: Point[][] = [];
  let group: Point[] = [];
  let bytes = 2;
  for (const point of points) {
    // What travels is shorter than this: it names no properties.
    const size = Buffer.byteLength(JSON.stringify(point)) + 1;
    if (group.length > 0 && bytes + size > maxPointsBytes) {
      groups.push(group);
      group = [];
      bytes = 2;
    }
    group.push(point);
    bytes += size;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}
