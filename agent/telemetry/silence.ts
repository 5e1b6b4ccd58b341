// Watches the watcher: an agent whose reports nobody acknowledges for hours tells a person by mail, once a day until somebody
// does. Promise: counted while the agent runs, so neither a machine that was off nor a clock that jumps calls anybody; over
// restarts it is told once a day all the same.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { Address } from '#shared/topics.ts';

export type SilenceNote = { readonly subject: string; /** LF between lines. */ readonly text: string };
export type Silence = { readonly run: (signal: AbortSignal) => Promise<void> };

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** How often it is looked; a mail that nobody took is tried again as often. */
const lookMs = 15 * 60_000;
/** Of the limit, either way: the agents of a collector that is away must not all write in the same minute. */
const jitter = 0.1;

export function createSilence(options: {
  /** 0: never. */
  readonly afterHours: number;
  readonly address: Address;
  readonly state: () => { readonly unheardSeconds: number; readonly problem: string };
  /** Absent: there is nobody to tell. */
  readonly tell?: (note: SilenceNote) => Promise<void>;
  readonly folder: string;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
}): Silence {
  const { clock, log, address, tell } = options;
  const file = join(options.folder, 'silence-told');
  /** Told in this life, should the file not be writable. */
  let toldAt = -Infinity;
  const limitMs = options.afterHours * hourMs * (1 - jitter + 2 * jitter * options.random());

  async function look(): Promise<void> {
    const { unheardSeconds, problem } = options.state();
    if (tell === undefined || unheardSeconds * 1_000 < limitMs) return;
    if (clock.monotonic() - toldAt < dayMs || !isDue(file, clock.now())) return;
    await tell(noteOf(address, unheardSeconds, problem));
    toldAt = clock.monotonic();
    log.warn({ hours: Math.round(unheardSeconds / 3_600) }, 'nobody acknowledges reports: a person was told by mail');
    try {
      writeFileSync(file, String(Math.round(clock.now())) + '\n', { mode: 0o600 });
    } catch (error) {
      log.error({ error: describe(error) }, 'that a person was told could not be written down');
    }
  }

  return {
    async run(signal) {
      if (options.afterHours === 0) return;
      let failing = '';
      while (!signal.aborted) {
        try {
          await look();
          failing = '';
        } catch (error) {
          if (failing !== describe(error))
            log.error(
              { error: describe(error) },
              'nobody acknowledges reports, and no mail about it could be sent yet',
            );
          failing = describe(error);
        }
        await clock.sleep(lookMs, signal);
      }
    },
  };
}

/** Not within a day of the last one; a time that lies ahead came from a wrong clock. */
function isDue(file: string, now: number): boolean {
  try {
    const told = Number(readFileSync(file, 'utf8'));
    return !(now - told < dayMs && now >= told);
  } catch {
    return true; // nobody was told yet
  }
}

function noteOf({ tenant, agent }: Address, unheardSeconds: number, problem: string): SilenceNote {
  const hours = Math.round(unheardSeconds / 3_600);
  return {
    subject: 'mailferry: no collector hears ' + tenant + '/' + agent + ' for ' + hours + ' hours',
    text: [
      'The agent ' + tenant + '/' + agent + ' runs, and mail moves as before. But for ' + hours + ' hours no collector',
      'has acknowledged its reports: nobody would be alerted if mail stopped.',
      '',
      'What the agent knows: ' + (problem || 'connected, and nothing is wrong on this side'),
      '',
      'What to do: see whether the collector runs and its disk and database have room; see whether this site',
      'reaches it. `mailferry status` on this machine shows the state of the report.',
      '',
      'The reports are kept here and arrive later. This mail comes once a day until one is acknowledged.',
    ].join('\n'),
  };
}
