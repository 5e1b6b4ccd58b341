// A state folder that was there before and is missing now: its volume is not mounted yet (an encrypted one is opened by a
// person, after the start), or somebody took it away. Promise: the agent waits for it and never begins afresh by itself, since
// it would fetch everything again, and what waits to be sent would lie hidden under the volume once that is mounted.
//
// What it remembers stands beside the configuration, which is on the disk that is there. Written once, not at each start.
import { readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import type { Clock } from '#shared/clock.ts';
import { codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';

export type KnownState = {
  /** Resolves when the state folder may be opened, or when `signal` is aborted. */
  readonly wait: (signal: AbortSignal) => Promise<void>;
  /** The state folder is open: from now on it is expected to be there. */
  readonly remember: () => void;
};

const askEveryMs = 2_000;
/** What systems put into folders by themselves. */
const foreign: ReadonlySet<string> = new Set(['lost+found', '@eaDir', '#recycle', '.DS_Store']);

export const knownStateFile = (configFile: string): string => configFile + '.state';

export function createKnownState(options: {
  readonly configFile: string;
  readonly folder: string;
  readonly clock: Clock;
  readonly log: Log;
}): KnownState {
  const { folder, clock, log } = options;
  const file = knownStateFile(options.configFile);

  return {
    async wait(signal) {
      let told = false;
      while (!signal.aborted && isExpected(file, folder) && isMissing(folder)) {
        if (!told)
          log.error(
            { folder, file },
            'waiting for the state folder: it is missing or empty, expected what was in it before; ' +
              'mount its volume, put it back, or remove the file to begin without it',
          );
        told = true;
        await clock.sleep(askEveryMs, signal);
      }
      if (told && !signal.aborted) log.info({ folder }, 'the state folder is there');
    },
    remember() {
      if (isExpected(file, folder)) return;
      try {
        const temporary = file + '.tmp';
        writeFileSync(temporary, textOf(folder), { mode: 0o600 });
        renameSync(temporary, file);
      } catch (error) {
        rmSync(file + '.tmp', { force: true });
        log.debug({ file, error: describe(error) }, 'where the state is cannot be remembered');
      }
    },
  };
}

function textOf(folder: string): string {
  return (
    folder +
    '\n# The state of the agent is in this folder. While it is missing or empty the agent waits for it, as for a volume that is\n' +
    '# not mounted yet. Remove this file when the state is lost for good: then the agent begins without it.\n'
  );
}

/** Another folder than the one that is remembered was chosen on purpose. */
function isExpected(file: string, folder: string): boolean {
  try {
    return readFileSync(file, 'utf8').split('\n')[0] === folder;
  } catch {
    return false;
  }
}

/** A folder that cannot be looked into is not missing: opening it says what is wrong. */
function isMissing(folder: string): boolean {
  try {
    return readdirSync(folder).every((name) => foreign.has(name));
  } catch (error) {
    return codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR';
  }
}
