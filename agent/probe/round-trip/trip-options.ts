// The options of round trips, and what a schema cannot say about them. Pure.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, idSchema, secondsSchema, tlsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, portSchema, secretSchema } from '#shared/config.ts';
import { endpointOptions } from '../../net/endpoint-options.ts';

const seconds = (standard: number) => secondsSchema(standard, { maximum: 604_800 });
const address = (help: string) =>
  explain(
    help,
    Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'an address such as probe@example.org' }),
  );

const handInSchema = Type.Object(
  {
    host: explain('The local mail server, where its users hand in mail.', hostSchema({ default: '127.0.0.1' })),
    port: explain('Its port for that.', portSchema(587)),
    tls: explain('none: plain text; starttls: required; implicit: TLS from the first byte.', tlsSchema('starttls')),
    user: explain(
      'A user of the local mail server who may send as `from`; absent where it asks for no login.',
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    password: explain('The password of that user.', Type.Optional(secretSchema)),
    ...endpointOptions,
  },
  closed,
);

export const roundTripSchema = Type.Object(
  {
    id: explain('Name of the trip in reports and alerts.', idSchema),
    from: address('Sender of the probe mails; the relay must let it send.'),
    to: address('A mailbox at the provider, or at another one, that is fetched by `account`.'),
    account: explain('The account that fetches that mailbox.', idSchema),
    via: explain(
      "queue: the probe begins in the agent's own queue; local: it is handed to the local mail server, so that a broken way from there to the agent shows too.",
      Type.Union([Type.Literal('queue'), Type.Literal('local')], { default: 'queue' }),
    ),
    handIn: explain('Needed when `via` is local.', Type.Optional(handInSchema)),
    intervalSeconds: explain('Pause between two probe mails, give or take a tenth.', seconds(1_800)),
    lateSeconds: explain('A probe that takes longer is late.', seconds(900)),
    lostSeconds: explain('One that takes longer than this is lost, and is taken out of the queue.', seconds(7_200)),
  },
  closed,
);
export type RoundTripOptions = Static<typeof roundTripSchema>;

export type TripProblem = {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
};

export function findTripProblem(
  trips: readonly RoundTripOptions[],
  site: { readonly accounts: readonly string[]; readonly sends: boolean },
): TripProblem | undefined {
  for (const [index, trip] of trips.entries()) {
    const problem = problemOf(trip, site);
    if (problem !== undefined) return { ...problem, path: [index, ...problem.path] };
    if (trips.findIndex(({ id }) => id === trip.id) < index) {
      const found = JSON.stringify(trip.id) + ' for the second time';
      return { path: [index, 'id'], found, expected: 'a name that no other trip has' };
    }
  }
  return undefined;
}

function problemOf(
  trip: RoundTripOptions,
  { accounts, sends }: { readonly accounts: readonly string[]; readonly sends: boolean },
): TripProblem | undefined {
  if (!sends)
    return {
      path: [],
      found: 'a round trip although nothing is sent',
      expected: '`submission` and `relays`, or no trip',
    };
  if (!accounts.includes(trip.account)) {
    const known = accounts.length === 0 ? 'an account, under `accounts`' : 'one of ' + accounts.join(', ');
    return { path: ['account'], found: JSON.stringify(trip.account), expected: known };
  }
  if (trip.via === 'local' && trip.handIn === undefined)
    return {
      path: ['handIn'],
      found: 'nothing',
      expected: 'where the local mail server takes mail, since via is local',
    };
  if (trip.handIn !== undefined && (trip.handIn.user === undefined) !== (trip.handIn.password === undefined))
    return { path: ['handIn'], found: 'only one of user and password', expected: 'both, or none' };
  if (trip.lostSeconds <= trip.lateSeconds) {
    const expected = 'more than lateSeconds (' + trip.lateSeconds + ')';
    return { path: ['lostSeconds'], found: String(trip.lostSeconds), expected };
  }
  return undefined;
}
