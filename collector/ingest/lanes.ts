// Batches that wait for the store, a lane for each agent. Promises: one agent's batches keep their order; what waits is
// bounded, for one agent and for all; who is behind by hours does not hold up who reports the present.
import type { Batch } from '#shared/wire.ts';
import type { Origin } from '../fleet/fleet.ts';

export type Waiting = { readonly origin: Origin; readonly batch: Batch };

/** Batches of one agent; what comes on top is sent again by the agent. */
const maxOfAgent = 16;
/** Points of all agents together: when the store is away, memory does not grow with their number. */
const maxPoints = 400_000;
/** In one write to the store. */
const groupPoints = 5_000;
/** Of them for agents that are behind, however much the others have to say. */
const groupPointsLate = 1_000;
const lateMs = 120_000;

type Lane = { readonly origin: Origin; readonly waiting: Batch[] };

export type Lanes = {
  /** False when there is no room. */
  readonly add: (origin: Origin, batch: Batch) => boolean;
  /** What is to be written next; empty when nothing waits. */
  readonly next: (now: number) => readonly Waiting[];
};

export function createLanes(): Lanes {
  const lanes = new Map<string, Lane>();
  let points = 0;

  /** One batch of each lane, then the next of each, until the budget is used up: nobody waits behind all of another's. */
  function take(chosen: readonly Lane[], budget: number, into: Waiting[]): number {
    let left = budget;
    for (let busy = chosen; busy.length > 0 && left > 0; busy = busy.filter(({ waiting }) => waiting.length > 0)) {
      for (const lane of busy) {
        if (left <= 0) break;
        const batch = lane.waiting.shift();
        if (batch === undefined) continue;
        into.push({ origin: lane.origin, batch });
        const size = Math.max(1, batch.points.length);
        points -= size;
        left -= size;
      }
    }
    return left;
  }

  return {
    add(origin, batch) {
      const key = origin.tenant + '/' + origin.agent;
      const lane = lanes.get(key) ?? { origin, waiting: [] };
      if (lane.waiting.length >= maxOfAgent || (points >= maxPoints && lane.waiting.length > 0)) return false;
      lanes.set(key, lane);
      lane.waiting.push(batch);
      points += Math.max(1, batch.points.length);
      return true;
    },
    next(now) {
      const all = [...lanes.values()];
      const isLate = ({ waiting }: Lane): boolean => Math.abs(now - (waiting[0]?.at ?? now)) > lateMs;
      const taken: Waiting[] = [];
      const late = all.filter(isLate);
      const left = take(
        all.filter((lane) => !isLate(lane)),
        groupPoints - (late.length > 0 ? groupPointsLate : 0),
        taken,
      );
      take(late, Math.max(groupPointsLate, left), taken);
      for (const { origin } of taken) {
        const key = origin.tenant + '/' + origin.agent;
        const lane = lanes.get(key);
        lanes.delete(key);
        // Who was served goes behind who was not.
        if (lane !== undefined && lane.waiting.length > 0) lanes.set(key, lane);
      }
      return taken;
    },
  };
}
