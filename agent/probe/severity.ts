// How loud a listing is: that depends on whose address it is, on what it is accused of, and on how mail leaves the house.
import { levels } from './zone-data.ts';
import type { Level, ListingClass, Meaning } from './zone-data.ts';

/** site: the line of the office; relay: where its mail comes from for those who receive it; domain: of its senders. */
export type Role = 'site' | 'relay' | 'domain';

export function worstLevel(all: readonly Level[]): Level {
  return levels[Math.max(0, ...all.map((level) => levels.indexOf(level)))] ?? 'none';
}

/** The lists that nearly every receiver uses; one of the others alone says little about a relay with many senders. */
export function isPrimary(one: ListingClass): boolean {
  return one === 'spam' || one === 'exploited' || one === 'policy';
}

/**
 * Of one meaning for one target. A dynamic line is on the policy list by rule, which matters only to those who send directly;
 * a relay has no business there.
 */
export function levelOf(meaning: Meaning, role: Role, relaying: boolean): Level {
  if (meaning.class === 'policy') return role === 'site' && relaying ? 'info' : 'warning';
  return meaning.level;
}

/** A policy listing of a line that sends through a relay is how it should be. */
export function isExpected(meaning: Meaning, role: Role, relaying: boolean): boolean {
  return meaning.class === 'good' || (meaning.class === 'policy' && role === 'site' && relaying);
}

/** What to do, for a person. */
export function remedyOf(role: Role, one: ListingClass): string {
  if (role === 'domain')
    return one === 'abused'
      ? 'Look whether the web site or a mailbox of this domain was broken into, then ask the list for removal.'
      : 'Stop what the list complains about, then ask it for removal: mail of this domain is refused whatever way it takes.';
  if (role === 'relay')
    return 'Tell the provider of the relay: its address is listed, not yours. Until it is off, some receivers refuse mail.';
  switch (one) {
    case 'policy':
      return 'Send through a relay, or ask the provider for an address that may send directly.';
    case 'network':
      return 'Nothing, unless receivers refuse mail: the whole network is listed, not this line.';
    default:
      return 'Look for an infected device in the network of the office; or the last holder of this address had one, then ask the list for removal.';
  }
}
