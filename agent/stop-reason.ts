// Why the agent is being ended, when whoever ends it has written that down: one word in a file of the state folder. The stop
// script of the DSM package does, since a signal carries no reason, and a NAS that was switched off by its plan is no alarm.
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** power-off: the machine goes down. stopping: a person, or an upgrade, ends the agent. */
export type StopReason = 'stopping' | 'power-off';

export const stopReasonFile = 'stop-reason';

/** Asked when the agent stops. What cannot be read, and every other word, is an ordinary stop. */
export function readStopReason(stateFolder: string): StopReason {
  try {
    const word = readFileSync(join(stateFolder, stopReasonFile), 'utf8').trim();
    return word === 'power-off' ? 'power-off' : 'stopping';
  } catch {
    return 'stopping';
  }
}

/** Called at the start: what was said about the last end says nothing about the next one. */
export function forgetStopReason(stateFolder: string): void {
  rmSync(join(stateFolder, stopReasonFile), { force: true });
}
