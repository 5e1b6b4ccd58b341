// `mailferry check`: what the checks of one kind have found, or find now.
import { UserError } from '#shared/failure.ts';
import type { Checked } from './control/answers.ts';
import { worstOf } from './probe/check.ts';
import type { Finding, Kind } from './probe/check.ts';
import type { Rooms } from './rooms.ts';

const optionOf: Readonly<Record<Kind, string>> = {
  dnsbl: 'probe.dnsbl',
  domain: 'probe.domain',
  tls: 'probe.certificates',
  roundtrip: 'probe.roundTrips',
};

/** Throws UserError when nothing of the kind is configured. */
export async function checkNow(rooms: Rooms, what: Kind, now: boolean, signal: AbortSignal): Promise<Checked> {
  const { watch } = rooms;
  if (watch === undefined || !watch.has(what))
    throw new UserError('Cannot check ' + what + ': nothing of the kind is configured, expected ' + optionOf[what]);
  const findings = await findingsOf(rooms, what, now, signal);
  return { what, level: worstOf(findings), findings };
}

async function findingsOf(rooms: Rooms, what: Kind, now: boolean, signal: AbortSignal): Promise<readonly Finding[]> {
  const { trips, watch } = rooms;
  const known = now ? [] : (watch?.results(what) ?? []);
  // A probe is not sent because somebody looks: what is on its way tells more.
  const wanted = now || (known.length === 0 && what !== 'roundtrip');
  const results = wanted ? ((await watch?.now(what, signal)) ?? []) : known;
  if (what !== 'roundtrip' || trips === undefined) return results.flatMap((result) => result.findings);
  if (now) await trips.settled(signal);
  return trips.findings();
}
