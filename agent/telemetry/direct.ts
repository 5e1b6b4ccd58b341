// Gauges that go to the collector past the outbox, while that cannot be written: the very thing that should be told then is
// that the disk is full. They stay in memory too and go the usual way later; a gauge that is told twice says the same.
import { randomBytes } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import type { Point } from '#shared/meter.ts';
import { encodeBatch } from '#shared/wire.ts';

export type Direct = {
  /** Those of the points that were not told before, as messages. */
  readonly messages: (points: readonly Point[]) => readonly string[];
};

/** Far below the size of a message. */
const perMessage = 100;

export function createDirect(clock: Clock): Direct {
  const outbox = 'd-' + randomBytes(12).toString('hex');
  const told = new WeakSet<Point>();
  let seq = 0;
  return {
    messages(points) {
      const fresh = points.filter((point) => !told.has(point));
      for (const point of fresh) told.add(point);
      return Array.from({ length: Math.ceil(fresh.length / perMessage) }, (_, index) => {
        seq += 1;
        const some = fresh.slice(index * perMessage, (index + 1) * perMessage);
        // Each is the oldest there is: what was lost on the way is not asked for again.
        return encodeBatch({ outbox, seq, oldest: seq, at: Math.round(clock.now()), points: some });
      });
    },
  };
}
