// A probe mail goes out by the relay and comes back by a mailbox. This file sends it, hears what becomes of it from the rooms
// that carry mail, and says what it found; it carries no mail itself.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Meter } from '#shared/meter.ts';
import type { Check, Finding, Level } from '../check.ts';
import { composeProbe } from './compose.ts';
import { currentOf, readSighting } from './hops.ts';
import type { HeaderLine, Sighting } from './hops.ts';
import { createOwnMail } from './own-mail.ts';
import type { Incoming } from './own-mail.ts';
import { createToken, readToken, tokenHeader } from './token.ts';
import type { TripTable } from './trip-table.ts';
import type { RoundTripOptions } from './trip-options.ts';
import { createTrips } from './trips.ts';
import type { Report } from './trips.ts';

/** `later`: nothing was wrong with the mail, nobody could take it now. */
export type HandedIn = { readonly verdict: 'taken' | 'later' | 'refused'; readonly text: string };
export type HandIn = (mail: {
  readonly trip: string;
  readonly from: string;
  readonly to: string;
  readonly bytes: Buffer;
  readonly signal: AbortSignal;
}) => Promise<HandedIn>;

export type RoundTripDeps = {
  readonly trips: readonly RoundTripOptions[];
  readonly table: TripTable;
  /** Hands the probe to the queue or the local mail server, as its trip says. */
  readonly handIn: HandIn;
  readonly readHeader: (head: Buffer) => readonly HeaderLine[];
  /** Gives up a mail of the queue; nothing when it is not there. */
  readonly drop: (mailId: string) => void;
  /** Why no probe may be sent now (the provider's limits are nearly used up); undefined when it may. */
  readonly spare: (from: string) => string | undefined;
  readonly problems: { readonly account: (id: string) => string; readonly relay: () => string };
  readonly clock: Clock;
  readonly meter: Meter;
  readonly log: Log;
};
export type RoundTrips = {
  readonly checks: readonly Check[];
  /** Looks for late and lost probes until aborted. */
  readonly run: (signal: AbortSignal) => Promise<void>;
  /** A mail is in the queue, with this header. */
  readonly stored: (mailId: string, header: Uint8Array) => void;
  /** What a try made of a mail of the queue. */
  readonly tried: (mailId: string, result: string, reply: string, relaySeconds: number) => void;
  /** True when the mail was ours and has been dealt with: it is not for anybody else. */
  readonly take: (mail: Incoming) => Promise<boolean>;
  readonly findings: () => readonly Finding[];
  /** When no probe is under way any more that could still be in time, or after some minutes. */
  readonly settled: (signal: AbortSignal) => Promise<void>;
  /** What the last probe that came back showed. */
  readonly sighting: () => Sighting | undefined;
  /** The relay's clock against ours, seconds ahead; absent before a probe came back. */
  readonly skewSeconds: () => number | undefined;
  /** Public addresses that probes of the last days showed; of the site the present one of each family. */
  readonly addresses: (kind: 'site' | 'relay') => readonly string[];
};

const lookMs = 2_000;
const handInMs = 120_000;
const settleMs = 240_000;
/** Asked for by hand, one more probe tells nothing new so soon, and a monitoring tool may ask every few seconds. */
const leastPauseMs = 30_000;
const rememberMs = 60 * 86_400_000;
const currentMs = 14 * 86_400_000;

export function createRoundTrips(deps: RoundTripDeps): RoundTrips {
  const { clock, log, meter, problems, table } = deps;
  const trips = createTrips({ trips: deps.trips, clock, meter, problems });
  const readOwn = createOwnMail({ table, readHeader: deps.readHeader });
  const sentAt = new Map<string, number>();
  const tokenName = Buffer.from(tokenHeader);
  let sighting: Sighting | undefined;
  let skewSeconds: number | undefined;
  const skipped = new Map<string, string>();
  const begunAt = new Map<string, number>();

  async function send(trip: RoundTripOptions, signal: AbortSignal): Promise<readonly Finding[]> {
    const spare = deps.spare(trip.from);
    if (spare === undefined) skipped.delete(trip.id);
    else skipped.set(trip.id, spare);
    const pauseMs = clock.monotonic() - (begunAt.get(trip.id) ?? -Infinity);
    const soon = pauseMs < Math.min(leastPauseMs, trip.intervalSeconds * 500);
    if (spare !== undefined || soon) return [findingOf(trip, trips.report(trip.id), spare)];
    begunAt.set(trip.id, clock.monotonic());
    const token = createToken(table.key());
    const at = clock.now();
    table.forget(at - rememberMs);
    table.add(token.id, trip.id, at);
    trips.begin(trip.id, token.id);
    const mail = { from: trip.from, to: trip.to, trip: trip.id };
    const bytes = composeProbe({ ...mail, id: token.id, tokenLine: token.line, at });
    const handed = await deps
      .handIn({ ...mail, bytes, signal })
      .catch((error: unknown): HandedIn => ({ verdict: 'later', text: describe(error) }));
    if (signal.aborted) return [];
    // A mail server that does not take one mail takes none: that is the state of the way, whatever the next try brings.
    if (handed.verdict !== 'taken') trips.refused(token.id, 'nobody took the probe: ' + handed.text);
    return [findingOf(trip, trips.report(trip.id))];
  }

  function learn(header: readonly HeaderLine[], mailId: string | undefined): void {
    if (mailId === undefined) return;
    const seen = readSighting(header, mailId);
    sighting = seen;
    table.see('site', seen.site, clock.now());
    table.see('relay', seen.relay, clock.now());
    const relayedAt = sentAt.get(mailId);
    sentAt.delete(mailId);
    if (seen.relayAt === undefined || relayedAt === undefined) return;
    const ahead = (seen.relayAt - relayedAt) / 1_000;
    // Its Received has whole seconds, cut off: half a second is the middle of what it may mean.
    skewSeconds = Math.abs(ahead + 0.5) <= 1 ? 0 : ahead + 0.5;
  }

  async function take(mail: Incoming): Promise<boolean> {
    const own = await readOwn(mail);
    if (own === undefined) return false;
    if (own.again) return true;
    if (own.kind === 'probe') learn(own.header, trips.arrived(own.id));
    else trips.bounced(own.id, own.text);
    return true;
  }

  return {
    checks: deps.trips.map((trip) => ({
      kind: 'roundtrip',
      name: 'roundtrip ' + trip.id,
      everyMs: trip.intervalSeconds * 1_000,
      timeoutMs: handInMs,
      run: (signal) => send(trip, signal),
    })),
    async run(signal) {
      while (!signal.aborted) {
        for (const mailId of trips.look()) deps.drop(mailId);
        await clock.sleep(lookMs, signal);
      }
    },
    stored(mailId, header) {
      const bytes = Buffer.from(header.buffer, header.byteOffset, header.byteLength);
      if (!bytes.includes(tokenName)) return;
      const values = deps.readHeader(bytes).filter(({ name }) => name === tokenHeader.toLowerCase());
      const id = readToken(table.key(), values[0]?.value ?? '');
      if (id !== undefined) trips.queued(id, mailId);
    },
    tried(mailId, result, reply, relaySeconds) {
      if (result === 'sent') {
        // Only a few are under way; those that never come back must not pile up.
        if (sentAt.size > 100) sentAt.clear();
        sentAt.set(mailId, clock.now());
      }
      trips.tried(mailId, result, reply, relaySeconds * 1_000);
    },
    async take(mail) {
      try {
        return await take(mail);
      } catch (error) {
        // Rather a probe in somebody's mailbox than a mail that is not delivered.
        log.error({ error: describe(error) }, 'a mail could not be looked at, it is delivered');
        return false;
      }
    },
    findings: () => deps.trips.map((trip) => findingOf(trip, trips.report(trip.id), skipped.get(trip.id))),
    async settled(signal) {
      const until = clock.monotonic() + settleMs;
      while (trips.pending() && clock.monotonic() < until && !signal.aborted) await clock.sleep(200, signal);
    },
    sighting: () => sighting,
    skewSeconds: () => skewSeconds,
    addresses(kind) {
      const seen = table.addresses(kind, clock.now() - currentMs);
      return kind === 'site' ? currentOf(seen) : seen;
    },
  };
}

const levelsOf = {
  none: 'unknown',
  ok: 'ok',
  late: 'warning',
  lost: 'critical',
  bounced: 'critical',
  refused: 'critical',
} as const satisfies Readonly<Record<Report['state'], Level>>;

const remedies = {
  local:
    'Look at the local mail server: it must hand mail for outside to the agent (relay host, port, login), and its queue must be empty.',
  queue: 'Look at the relay with `mailferry status` and at the queue with `mailferry queue list`.',
  relay: 'Read the reply: it says whether the sender, the recipient or the login is refused.',
  return:
    'Look into the mailbox at the provider, also into its spam folder (POP3 does not show it), and whether the account is fetched.',
} as const;

/** What a person is told about a trip. */
export function findingOf(trip: Pick<RoundTripOptions, 'id'>, report: Report, skipped?: string): Finding {
  const { leg, state } = report;
  const parts = Object.entries(report.legs ?? {}).map(([name, ms]) => name + ' ' + (ms / 1_000).toFixed(2) + ' s');
  const text = report.text + (parts.length === 0 ? '' : ' (' + parts.join(', ') + ')');
  const remedy = state === 'ok' || state === 'none' || leg === undefined ? undefined : remedies[leg];
  return {
    target: trip.id,
    check: 'roundtrip',
    level: levelsOf[state],
    text: text + (skipped === undefined ? '' : '; no new probe: ' + skipped),
    ...(remedy && { remedy }),
  };
}
