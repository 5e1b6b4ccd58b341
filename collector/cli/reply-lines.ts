// What an agent answered, for the terminal.
import { UserError } from '#shared/failure.ts';
import type { Reply } from '#shared/wire.ts';
import type { Origin } from '../fleet/fleet.ts';

export const nameOf = ({ tenant, agent }: Origin): string => tenant + '/' + agent;

/** Throws UserError when the agent did not do it. */
export function replyLines(origin: Origin, reply: Reply | undefined): readonly string[] {
  if (reply === undefined)
    throw new UserError('Cannot tell what ' + nameOf(origin) + ' did: no reply in time, expected one; see `audit`');
  const text = reply.text ?? '';
  if (reply.outcome === 'refused' || reply.outcome === 'failed' || reply.outcome === 'expired')
    throw new UserError(nameOf(origin) + ' answers ' + reply.outcome + (text === '' ? '' : ': ' + text));
  const result = reply.result === undefined ? [] : [JSON.stringify(reply.result, null, 2)];
  return [reply.outcome + (text === '' ? '' : ': ' + text), ...result];
}
