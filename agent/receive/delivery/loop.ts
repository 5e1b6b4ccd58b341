// Rule of safety 5 on the way in: a mail that goes round in circles is stopped here. Pure.
import type { HeaderLine } from './header.ts';

/** As most mail servers count (postfix: hopcount_limit 50). */
export const maxHops = 50;
/** A mail may be sent out again by a local rule and come back once; the third time it is a circle. */
export const maxPasses = 2;

/** Why the mail is taken for one that loops; undefined when it is not. `traceId` is our own. */
export function loopOf(header: readonly HeaderLine[], traceId: string): string | undefined {
  const own = 'in ' + traceId;
  const passes = header.filter(({ name, value }) => name === 'x-mailferry-trace' && value.trim() === own).length;
  if (passes > maxPasses)
    return 'mail loop: this agent has handed it over ' + passes + ' times already, expected at most ' + maxPasses;
  const hops = header.filter(({ name }) => name === 'received').length;
  return hops > maxHops ? 'mail loop: ' + hops + ' Received lines, expected at most ' + maxHops : undefined;
}
