// Proposes another configuration to an agent. Promise: what is in it is sealed to the agent's key before it is written down or
// passed on; the fingerprint of that key is shown, since a broker in between could have told another one.
import { UserError } from '#shared/failure.ts';
import { isRecord, parseJson } from '#shared/json.ts';
import { configureContext, fingerprintOfKey, seal } from '#shared/sealed.ts';
import type { Commands } from '../fleet/commands.ts';
import type { Origin } from '../fleet/fleet.ts';
import { nameOf, replyLines } from './reply-lines.ts';

const keySeconds = 60;

/** `text`: JSON as the agent reads it; what it makes of it, it says. Throws UserError. */
export async function configure(request: {
  readonly origin: Origin;
  readonly text: string;
  readonly validSeconds: number;
  readonly commands: Commands;
  readonly signal: AbortSignal;
}): Promise<readonly string[]> {
  const { origin, commands, signal, validSeconds } = request;
  const proposal = parseJson(request.text);
  if (!isRecord(proposal) || !Array.isArray(proposal['edits']))
    throw new UserError(
      'Cannot propose a change: found no {"edits": [...]} on standard input, expected edits such as {"kind": "set", "path": ["accounts", 0, "intervalSeconds"], "value": 60}',
    );
  const by = 'command line';
  const asked = await commands.send({ origin, name: 'key', args: {}, by, validSeconds: keySeconds, signal });
  const key = isRecord(asked?.result) ? asked.result['publicKey'] : undefined;
  if (typeof key !== 'string')
    throw new UserError(
      'Cannot propose a change: ' +
        nameOf(origin) +
        ' has told no key, expected an agent that is connected and knows `key`',
    );
  const sealed = seal({ to: key, text: JSON.stringify({ v: 1, ...proposal }), context: configureContext(origin) });
  const reply = await commands.send({ origin, name: 'configure', args: { sealed }, by, validSeconds, signal });
  return ['sealed to the key ' + fingerprintOfKey(key) + ' (there: `mailferry key`)', ...replyLines(origin, reply)];
}
