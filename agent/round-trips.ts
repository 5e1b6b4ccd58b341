// Round trips wired to the rooms that carry mail: how a probe is handed in, who is told of it on its way, and where it is taken
// out again. The room itself (probe/round-trip/) imports none of them.
import { hostname } from 'node:os';
import { describe } from '#shared/failure.ts';
import type { Local } from './local/local.ts';
import type { Endpoint } from './net/socket.ts';
import type { HandedIn, HandIn, RoundTrips } from './probe/round-trip/round-trip.ts';
import type { RoundTripOptions } from './probe/round-trip/trip-options.ts';
import type { Base, Rooms } from './rooms.ts';
import { readHeader } from './receive/delivery/header.ts';
import type { MailWatch } from './send/parts.ts';
import { probeUser } from './send/queue/queue-lanes.ts';
import { openConversation } from './smtp/conversation.ts';
import { verdictOf } from './smtp/verdict.ts';

/** What the local mail server is asked with, where a trip goes by it. */
export type HandInPlace = {
  readonly endpoint: Endpoint;
  readonly login?: { readonly user: string; readonly password: string };
};

/** So many mails of the provider's limit are left to people. */
const sparedMails = 20;

export async function createRoundTrips(
  base: Base,
  rooms: Rooms,
  trips: readonly RoundTripOptions[],
  placeOf: (index: number, trip: RoundTripOptions) => HandInPlace | undefined,
): Promise<RoundTrips> {
  const { createRoundTrips: create } = await import('./probe/round-trip/round-trip.ts');
  const { createTripTable } = await import('./probe/round-trip/trip-table.ts');
  const log = base.log.child({ room: 'probe' });
  const places = new Map(trips.map((trip, index) => [trip.id, placeOf(index, trip)]));
  const toLocal = createLocalHandIn(base, places);
  const handIn: HandIn = (mail) => (places.get(mail.trip) === undefined ? toQueue(rooms, mail) : toLocal(mail));
  return create({
    trips,
    table: createTripTable(base.state.db),
    handIn,
    readHeader,
    drop(mailId) {
      try {
        rooms.send?.desk()?.drop(mailId);
      } catch (error) {
        log.debug({ mail: mailId, error: describe(error) }, 'a probe is in the queue no more');
      }
    },
    spare: () => spareOf(rooms),
    problems: {
      account: (id) => rooms.receive?.status().find((one) => one.id === id)?.problem ?? '',
      relay: () =>
        rooms.send?.relays().flatMap(({ problem, waits }) => [problem || waits].filter((text) => text !== ''))[0] ?? '',
    },
    clock: base.clock,
    meter: base.meter,
    log,
  });
}

/** Probes are not worth a mail that somebody could not send. */
function spareOf(rooms: Rooms): string | undefined {
  const tight = rooms.send?.relays().find(({ budget }) => (budget?.mails ?? Infinity) < sparedMails);
  if (tight === undefined) return undefined;
  return "the provider's limits leave " + (tight.budget?.mails ?? 0) + ' mails to relay ' + tight.id;
}

async function toQueue(rooms: Rooms, mail: Parameters<HandIn>[0]): Promise<HandedIn> {
  const rights = { user: probeUser, senders: [mail.from], limits: {} };
  const about = { rights, from: mail.from, recipients: [mail.to], clientName: 'localhost', transmission: 'ESMTP' };
  const accepted = await rooms.send?.submit(about, once(mail.bytes));
  if (accepted === undefined) return { verdict: 'later', text: 'the queue is not open' };
  if (accepted.ok) return { verdict: 'taken', text: '' };
  const text = 'the queue answered ' + accepted.code + ' ' + accepted.text;
  return { verdict: accepted.code < 500 ? 'later' : 'refused', text };
}

async function* once(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** As a user of the local mail server would: a broken login, a refused sender and a dead server show as for that user. */
function createLocalHandIn({ clock, log }: Base, places: ReadonlyMap<string, HandInPlace | undefined>): HandIn {
  return async ({ bytes, from, signal, to, trip }) => {
    const place = places.get(trip);
    if (place === undefined) return { verdict: 'later', text: 'nobody to hand it to' };
    const protocol = 'smtp';
    const conversation = await openConversation({ ...place, protocol, name: hostname(), signal, clock, log });
    try {
      const body = { open: () => [bytes], sizeBytes: bytes.length };
      const head = new Uint8Array(0);
      const sent = await conversation.send({ from, recipients: [to], head, body, keepBareLineEnds: false, signal });
      const [answer] = sent.recipients;
      if (answer === undefined) return { verdict: 'later', text: 'the local mail server gave no answer' };
      const verdict = verdictOf(answer.reply, answer.phase);
      const text = 'the local mail server answered ' + answer.reply.code + ' ' + answer.reply.text;
      return { verdict: verdict === 'delivered' ? 'taken' : verdict, text };
    } finally {
      await conversation.quit();
    }
  };
}

/** What the room that sends tells of each mail. */
export function watchOf(trips: RoundTrips): MailWatch {
  return {
    stored: trips.stored,
    tried(id, outcomes, relaySeconds) {
      for (const { reply, result } of outcomes) trips.tried(id, result, reply, relaySeconds);
    },
  };
}

/** The local mail server, but for our own probes and what is said of them: those go no further. */
export function takeProbes<T extends Local>(local: T, trips: RoundTrips): T {
  return {
    ...local,
    async deliver(mail) {
      if (!(await trips.take(mail))) return local.deliver(mail);
      const text = 'a probe of this agent, taken out';
      const recipients = mail.recipients.map((address) => ({ address, verdict: 'delivered' as const, text }));
      return { session: undefined, recipients, bareLineEnds: 0, ours: true };
    },
  };
}
