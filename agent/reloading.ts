// Another configuration for an agent that runs. Promises: a configuration that the agent would not start with changes nothing;
// one whose rooms cannot be opened is left again for the old one; mail that is on its way is finished or tried again, as at a
// stop; a held agent stays held.
import type { Loaded } from '#shared/config.ts';
import { UserError, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { findFileProblems, markFiles } from './config-files.ts';
import { loadAgentConfig } from './config.ts';
import type { AgentConfig } from './config.ts';
import type { Hold } from './hold.ts';
import { compareConfigs } from './reload.ts';
import type { Difference } from './reload.ts';
import type { Part, Reopen } from './rooms.ts';

export type Reloaded = {
  readonly changes: readonly string[];
  /** Rooms that were opened anew. */
  readonly reopened: readonly string[];
  /** Options that count from the next start on. */
  readonly restart: readonly string[];
};

export type Reloading = {
  readonly current: () => Loaded<AgentConfig>;
  /** Reads the file again. Throws UserError when it cannot be used; all is as before then. */
  readonly reload: () => Promise<Reloaded>;
};

export function createReloading(options: {
  readonly loaded: Loaded<AgentConfig>;
  readonly hold: Pick<Hold, 'change'>;
  /** Of the rooms that are open; undefined when none is. */
  readonly reopen: () => Reopen | undefined;
  readonly log: Log;
}): Reloading {
  const { hold, log } = options;
  let current = options.loaded;
  let marks = markFiles(current);

  function read(): {
    readonly loaded: Loaded<AgentConfig>;
    readonly difference: Difference;
    readonly marks: typeof marks;
  } {
    const fresh = loadAgentConfig(current.file);
    const problems = findFileProblems(fresh);
    if (problems.length > 0) throw new UserError(problems.map((one) => one.message).join('\n'));
    const nextMarks = markFiles(fresh);
    const options = [...new Set([...marks.keys(), ...nextMarks.keys()])];
    const others = options.filter((option) => marks.get(option) !== nextMarks.get(option));
    const difference = compareConfigs(current.value, fresh.value, others);
    return { loaded: { ...fresh, value: difference.next }, difference, marks: nextMarks };
  }

  /** Gives the rooms that were opened anew. */
  async function open(scope: Difference['scope'], reopenAll: () => Promise<void>): Promise<readonly string[]> {
    if (scope === 'nothing') return [];
    const reopen = options.reopen();
    if (scope === 'all' || reopen === undefined) {
      await reopenAll();
      return ['all'];
    }
    // What takes mail in for the other room comes last.
    const parts: readonly Part[] = scope === 'both' ? ['send', 'receive'] : [scope];
    for (const part of parts) await reopen(part, current);
    return parts;
  }

  async function apply(reopenAll: () => Promise<void>, isHeld: boolean): Promise<Reloaded> {
    const next = read();
    const { changes, restart } = next.difference;
    const scope = isHeld && next.difference.scope !== 'nothing' ? 'all' : next.difference.scope;
    const before = { current, marks };
    ({ loaded: current, marks } = next);
    if (before.current.value.logLevel !== current.value.logLevel) log.level = current.value.logLevel;
    try {
      const reopened = await open(scope, reopenAll);
      log.info({ changes, reopened, restart }, 'configuration read again');
      return { changes, reopened, restart };
    } catch (error) {
      ({ current, marks } = before);
      log.error({ error: describe(error) }, 'the new configuration cannot be used, the old one is taken again');
      await reopenAll();
      if (!(error instanceof UserError)) throw error;
      throw new UserError(error.message + '; the agent goes on with the old configuration', { cause: error });
    }
  }

  return {
    current: () => current,
    reload: () => hold.change(({ isHeld, reopen }) => apply(reopen, isHeld)),
  };
}
