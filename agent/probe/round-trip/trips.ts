// What became of each probe: how far it has come, when it is late or lost, and what each leg took. Promise: the legs of a trip
// add up to its total, since all times are of one clock; the clock and the rooms that hand in what happened are given.
import type { Clock } from '#shared/clock.ts';
import type { Meter } from '#shared/meter.ts';
import { tripStates } from '#shared/metrics.ts';
import type { TripState } from '#shared/metrics.ts';

/** In the order of the way. `local`: to our queue; `relay`: its dialog alone; `return`: from there until we have it back. */
export const legs = ['local', 'queue', 'relay', 'return'] as const;
export type Leg = (typeof legs)[number];
export type Legs = Readonly<Partial<Record<Leg, number>>>;

export type TripSetup = {
  readonly id: string;
  readonly via: 'queue' | 'local';
  readonly to: string;
  readonly account: string;
  readonly lateSeconds: number;
  readonly lostSeconds: number;
};
export type Report = {
  readonly trip: string;
  readonly state: TripState;
  /** Where it is, or was last seen; absent when it is back, or none was sent. */
  readonly leg?: Leg;
  readonly text: string;
  /** Of the last probe that came back, milliseconds. */
  readonly totalMs?: number;
  readonly legs?: Legs;
};
export type Trips = {
  readonly begin: (trip: string, id: string) => void;
  /** Nobody took it, or somebody on the way refused it for good. */
  readonly refused: (id: string, text: string) => void;
  /** Our queue has it under this id. */
  readonly queued: (id: string, mailId: string) => void;
  /** Of a mail of the queue; others than probes are passed over. */
  readonly tried: (mailId: string, result: string, reply: string, relayMs: number) => void;
  /** It is back. Gives our id of it in the queue; undefined when it was of another life of the agent. */
  readonly arrived: (id: string) => string | undefined;
  readonly bounced: (id: string, text: string) => void;
  /** Looks at the clock; gives ids of the queue that are of no more use. */
  readonly look: () => readonly string[];
  readonly report: (trip: string) => Report;
  /** A probe is under way that is not late yet. */
  readonly pending: () => boolean;
};

type Out = {
  readonly id: string;
  readonly setup: TripSetup;
  /** Monotonic. */
  readonly startedAt: number;
  queuedAt?: number;
  mailId?: string;
  relayedAt?: number;
  relayMs?: number;
  lastReply: string;
};
type Ended = { readonly out: Out; readonly report: Report };

/** Probes that were given up and may still come. */
const maxRemembered = 64;

export function createTrips(options: {
  readonly trips: readonly TripSetup[];
  readonly clock: Clock;
  readonly meter: Meter;
  /** Why an account is not fetched, or a relay does not send; empty when all is well. */
  readonly problems?: { readonly account: (id: string) => string; readonly relay: () => string };
}): Trips {
  const { clock, meter, problems, trips } = options;
  const under = new Map<string, Out>();
  const given = new Map<string, Out>();
  const last = new Map<string, Ended>();
  const useless: string[] = [];

  function end(out: Out, state: Exclude<TripState, 'none'>, facts: Omit<Report, 'trip' | 'state'>): void {
    const { id, setup } = out;
    under.delete(id);
    const before = last.get(setup.id);
    // One that was sent later has told more about how things are now.
    if (before === undefined || before.out.startedAt <= out.startedAt)
      last.set(setup.id, { out, report: { trip: setup.id, state, ...facts } });
    if (state !== 'ok' && out.mailId !== undefined && out.relayedAt === undefined) useless.push(out.mailId);
    const { local, queue, relay, return: back } = facts.legs ?? {};
    meter.say(
      'round_trip_done',
      { trip: setup.id, outcome: state },
      {
        count: 1,
        ...(facts.totalMs === undefined ? {} : { total_seconds: facts.totalMs / 1_000 }),
        ...(local === undefined ? {} : { local_seconds: local / 1_000 }),
        ...(queue === undefined ? {} : { queue_seconds: queue / 1_000 }),
        ...(relay === undefined ? {} : { relay_seconds: relay / 1_000 }),
        ...(back === undefined ? {} : { return_seconds: back / 1_000 }),
      },
    );
    say(setup.id);
  }

  function say(trip: string): void {
    const { leg = '', state, text } = report(trip);
    if (state === 'none') return;
    const problem = state === 'ok' ? '' : text;
    meter.say('round_trip', { trip }, { state: tripStates.indexOf(state), leg, problem });
  }

  function giveUp(out: Out): void {
    given.set(out.id, out);
    const [oldest] = given.keys();
    if (given.size > maxRemembered && oldest !== undefined) given.delete(oldest);
    const leg = legOf(out);
    const text = 'lost: not back after ' + seconds(out.setup.lostSeconds * 1_000) + '; ' + whereabouts(out, leg);
    end(out, 'lost', { leg, text });
  }

  function whereabouts({ lastReply, setup }: Out, leg: Leg): string {
    switch (leg) {
      case 'local':
        return setup.via === 'local'
          ? 'the local mail server took it and has not handed it to the agent'
          : 'it never came into the queue';
      case 'queue':
      case 'relay': {
        const why = lastReply || (problems?.relay() ?? '');
        return 'it waits in the queue of the agent' + (why && ': ' + why);
      }
      case 'return': {
        const why = problems?.account(setup.account) ?? '';
        return 'the relay took it, and it has not come into ' + setup.to + (why && '; that mailbox: ' + why);
      }
    }
  }

  /** The one that is late for longest, of those sent after the last that is known to have ended. */
  const overdue = (trip: string): Out | undefined => {
    const since = last.get(trip)?.out.startedAt ?? -Infinity;
    const limit = (one: Out): number => one.startedAt + one.setup.lateSeconds * 1_000;
    return [...under.values()].find(
      (one) => one.setup.id === trip && one.startedAt > since && clock.monotonic() > limit(one),
    );
  };

  function report(trip: string): Report {
    const late = overdue(trip);
    if (late === undefined)
      return last.get(trip)?.report ?? { trip, state: 'none', text: 'no probe has come back yet' };
    const leg = legOf(late);
    const text = 'late: on its way for ' + seconds(clock.monotonic() - late.startedAt) + '; ' + whereabouts(late, leg);
    return { trip, state: 'late', leg, text };
  }

  return {
    begin(trip, id) {
      const setup = trips.find((one) => one.id === trip);
      if (setup !== undefined) under.set(id, { id, setup, startedAt: clock.monotonic(), lastReply: '' });
    },
    refused(id, text) {
      const out = under.get(id);
      if (out !== undefined) end(out, 'refused', { leg: legOf(out), text });
    },
    queued(id, mailId) {
      const out = under.get(id) ?? given.get(id);
      if (out === undefined || out.queuedAt !== undefined) return;
      out.queuedAt = clock.monotonic();
      out.mailId = mailId;
    },
    tried(mailId, result, reply, relayMs) {
      const out = [...under.values()].find((one) => one.mailId === mailId);
      if (out === undefined) return;
      out.lastReply = reply;
      if (result === 'sent') {
        out.relayedAt = clock.monotonic();
        out.relayMs = relayMs;
      } else if (result === 'refused' || result === 'hold' || /^5\d\d\b/.test(reply)) {
        // A mail of a person would wait for a decision, or for a login that is mended; a probe has told what it can.
        end(out, 'bounced', { leg: 'relay', text: 'the relay refused the probe: ' + reply });
      }
    },
    arrived(id) {
      const out = under.get(id) ?? given.get(id);
      if (out === undefined) return undefined;
      given.delete(id);
      const now = clock.monotonic();
      const totalMs = now - out.startedAt;
      const state = totalMs > out.setup.lateSeconds * 1_000 ? 'late' : 'ok';
      const text = state === 'ok' ? 'back after ' + seconds(totalMs) : 'late: back only after ' + seconds(totalMs);
      end(out, state, { text, totalMs, legs: legsOf(out, now) });
      return out.mailId;
    },
    bounced(id, text) {
      const out = under.get(id) ?? given.get(id);
      if (out === undefined) return;
      given.delete(id);
      end(out, 'bounced', { leg: legOf(out), text: 'came back as undeliverable: ' + text });
    },
    look() {
      const now = clock.monotonic();
      for (const out of under.values()) if (now - out.startedAt > out.setup.lostSeconds * 1_000) giveUp(out);
      for (const { id } of trips) if (overdue(id) !== undefined) say(id);
      return useless.splice(0);
    },
    report,
    pending: () =>
      [...under.values()].some(({ setup, startedAt }) => clock.monotonic() - startedAt <= setup.lateSeconds * 1_000),
  };
}

function legOf({ queuedAt, relayedAt }: Out): Leg {
  if (queuedAt === undefined) return 'local';
  return relayedAt === undefined ? 'queue' : 'return';
}

/** Each leg ends where the next one begins, so they add up; one that was not seen is a part of the leg after it. */
function legsOf({ queuedAt, relayedAt, relayMs = 0, startedAt }: Out, now: number): Legs {
  if (queuedAt === undefined) return { return: now - startedAt };
  const local = queuedAt - startedAt;
  if (relayedAt === undefined) return { local, return: now - queuedAt };
  const relay = Math.min(relayMs, relayedAt - queuedAt);
  return { local, queue: relayedAt - queuedAt - relay, relay, return: now - relayedAt };
}

function seconds(ms: number): string {
  return ms < 10_000 ? (ms / 1_000).toFixed(1) + ' s' : Math.round(ms / 1_000) + ' s';
}
