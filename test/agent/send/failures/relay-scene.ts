// One or two scripted relays with a room that sends by them, on a clock that the test moves.
import type { TestContext } from 'node:test';
import { createLab } from '../../../lab/lab.ts';
import type { ScriptedSmtp, ScriptedSmtpOptions } from '../../../lab/scripted-smtp.ts';
import { waitFor } from '../../../lab/wait.ts';
import type { QueueEntry } from '../../../../agent/send/send.ts';
import { fakeLocal } from '../fake-local.ts';
import { movableClock, startRig } from '../rig.ts';
import type { Rig, RigOptions, RigRelay } from '../rig.ts';

export const login = { user: 'relay-user', password: 'relay-password' };

export type Scene = {
  readonly rig: Rig;
  readonly relay: ScriptedSmtp;
  readonly clock: ReturnType<typeof movableClock>;
  readonly local: ReturnType<typeof fakeLocal>;
};
type SceneOptions = Partial<Omit<RigRelay, 'relay'>> &
  Pick<ScriptedSmtpOptions, 'capabilities' | 'login' | 'script'> &
  Partial<Pick<RigOptions, 'moreRelays' | 'state' | 'submission' | 'reached'>>;

/** Pauses are as long as they can be, so that nothing happens before the test moves the clock. */
export async function startScene(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const { capabilities, relayConfig, script, ...rest } = options;
  const clock = movableClock();
  const relay = await createLab(t).scriptedSmtp({
    login: options.login ?? login,
    ...(script === undefined ? {} : { script }),
    ...(capabilities === undefined ? {} : { capabilities }),
  });
  const local = fakeLocal();
  const slow = { sessions: 1, retryFirstSeconds: 60, retryMaxSeconds: 600, unknownRetrySeconds: 900 };
  const rig = await startRig(t, {
    ...rest,
    relay,
    local,
    clock,
    random: () => 1,
    relayConfig: { ...slow, ...relayConfig },
  });
  return { rig, relay, clock, local };
}

export const only = (rig: Rig): QueueEntry | undefined => rig.send.queue.list()[0];
export const problemOf = (rig: Rig, index = 0): string => rig.send.relays()[index]?.problem ?? '';
export const said = (relay: ScriptedSmtp, verb: string): readonly string[] =>
  relay.commands.filter((line) => line.toUpperCase().startsWith(verb));
export const empty = (rig: Rig) => waitFor('an empty queue', () => rig.send.queue.list().length === 0);
export const problem = (rig: Rig, index = 0) => waitFor('a problem', () => problemOf(rig, index) !== '');
/** Everything that can happen without the clock has happened. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setTimeout(resolve, 2));
}
