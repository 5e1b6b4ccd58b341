// Everything that looks at the outside world on a schedule, wired to the rooms that it asks.
import type { Check } from './probe/check.ts';
import { endpointOf, roomBase } from './room-base.ts';
import { createRoundTrips } from './round-trips.ts';
import type { Base, Rooms } from './rooms.ts';

export async function openWatch(base: Base, rooms: Rooms): Promise<void> {
  const checks: Check[] = [...(rooms.trips?.checks ?? [])];
  if (rooms.probe?.check !== undefined) checks.push(rooms.probe.check);
  if (checks.length === 0) return;
  const { createSchedule } = await import('./probe/schedule.ts');
  const { clock, log, meter, random } = roomBase(base, 'probe');
  const schedule = createSchedule({ checks, clock, random, meter, log });
  const running = schedule.run(base.lifecycle.signal);
  base.lifecycle.onStop('watch', () => running);
  rooms.watch = schedule;
}

/** Before the rooms that carry mail, since these tell it what becomes of its probes. */
export async function openTrips(base: Base, rooms: Rooms): Promise<void> {
  const { config, loaded } = base;
  const trips = config.probe?.roundTrips ?? [];
  if (trips.length === 0) return;
  rooms.trips = await createRoundTrips(base, rooms, trips, (index, { handIn, via }) => {
    if (handIn === undefined || via !== 'local') return undefined;
    const path = ['probe', 'roundTrips', index, 'handIn'];
    const { password, user } = handIn;
    const login = user !== undefined && password !== undefined;
    return {
      endpoint: endpointOf(loaded, path, handIn),
      ...(login && { login: { user, password: loaded.secret([...path, 'password'], password) } }),
    };
  });
  const running = rooms.trips.run(base.lifecycle.signal);
  base.lifecycle.onStop('round trips', () => running);
}
