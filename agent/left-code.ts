// The code of enrolment that a package's wizard was told, used at the start. Costs a look at one file when there is none.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createLog } from '#shared/log.ts';
import { readVersion } from '#shared/version.ts';

/** Beside the configuration. */
export const leftCodeFile = 'enrolment-code';
/** The start, and with it the mail, waits no longer. */
const limitMs = 20_000;

/** Never throws: an agent without a report carries mail all the same. */
export async function useLeftCode(configFile: string): Promise<void> {
  const file = join(dirname(configFile), leftCodeFile);
  if (!existsSync(file)) return;
  const { useCode } = await import('./enrol.ts');
  await useCode({
    configFile,
    file,
    version: readVersion(),
    signal: AbortSignal.timeout(limitMs),
    now: Date.now,
    log: createLog({ name: 'agent', level: 'info' }),
  });
}
