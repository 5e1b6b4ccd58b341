// Whether mail moves: either all rooms are open, or none and a report that says why (rules of safety 3 and 4).
// Promises: one change at a time; what holds an agent once holds it over restarts, until a person adopts its state.
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { createLifecycle } from '#shared/lifecycle.ts';
import type { Lifecycle } from '#shared/lifecycle.ts';
import type { Identity } from './identity.ts';

export type Hold = {
  /** Opens the rooms, or what an agent does that is held. Throws what they throw, with nothing left open. */
  readonly open: () => Promise<void>;
  /** Why no mail moves; empty when it does. */
  readonly reason: () => string;
  /** A doubt came up while mail moves: closes the rooms. Returns at once. */
  readonly doubt: (reason: string) => void;
  /** A person has decided: mail moves. Gives why it did not; empty when it did. */
  readonly adopt: () => Promise<string>;
  /**
   * Does `work` when nothing else is done to the rooms. `reopen` closes what is open and opens it anew; throws what that throws,
   * with nothing left open.
   */
  readonly change: <T>(
    work: (now: { readonly isHeld: boolean; readonly reopen: () => Promise<void> }) => Promise<T>,
  ) => Promise<T>;
  /** Closes what is open. */
  readonly stop: () => Promise<void>;
};

export const remedy =
  'decide which machine is to be used and run `mailferry adopt` there; stop the agent on every other one, or give it a name of its own';

export function createHold(options: {
  readonly identity: Identity;
  readonly log: Log;
  readonly openRooms: (lifecycle: Lifecycle) => Promise<void>;
  readonly openHeld: (lifecycle: Lifecycle, reason: string) => Promise<void>;
  /** Everything that stood open is closed. */
  readonly onClosed: () => void;
}): Hold {
  const { identity, log } = options;
  let reason = '';
  let inside: Lifecycle | undefined;
  let stopped = false;
  let last: Promise<unknown> = Promise.resolve();

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  }

  async function enter(): Promise<void> {
    if (stopped) return;
    inside = createLifecycle({ log });
    try {
      if (reason === '') await options.openRooms(inside);
      else {
        log.error('held: ' + reason + '; no mail moves: ' + remedy);
        await options.openHeld(inside, reason);
      }
    } catch (error) {
      await leave();
      throw error;
    }
  }

  async function leave(): Promise<void> {
    await inside?.stop();
    inside = undefined;
    options.onClosed();
  }

  async function pause(why: string): Promise<void> {
    if (reason !== '' || stopped) return;
    reason = why;
    try {
      identity.doubt(why);
    } catch (error) {
      // Held all the same, though a restart would forget it and have to find out again.
      log.error({ error: describe(error) }, 'the hold cannot be written down');
    }
    await leave();
    await enter();
  }

  return {
    open: () =>
      inTurn(async () => {
        reason = identity.hold() ?? '';
        await enter();
      }),
    reason: () => reason,
    doubt(why) {
      void inTurn(() => pause(why)).catch((error: unknown) => log.error({ error: describe(error) }, 'holding failed'));
    },
    adopt: () =>
      inTurn(async () => {
        const was = reason;
        if (was === '') return '';
        identity.adopt();
        reason = '';
        await leave();
        await enter();
        log.info('adopted: mail moves');
        return was;
      }),
    change: (work) =>
      inTurn(() =>
        work({
          isHeld: reason !== '',
          async reopen() {
            await leave();
            await enter();
          },
        }),
      ),
    stop() {
      stopped = true;
      return inTurn(leave);
    },
  };
}
