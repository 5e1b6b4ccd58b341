// Is this state as old as it looks? One life of the room begins, and ends in good order or not.
// Promise: a state that stood still for days, and was in use when it was last written, is told apart from an agent that was
// switched off for days: the former is what a backup looks like that somebody put back (rule of safety 4).
import type { Database } from '#shared/sqlite.ts';

export type Lives = {
  /**
   * Why mails that this state does not know may have been handed over by another life; undefined when none can have been.
   * `adoption` names the last time that a person said that this state is to be used; a new one is a reason.
   */
  readonly begin: (now: number, adoption: string) => string | undefined;
  /** In good order: nothing else uses this state, and nothing was handed over that it does not know. */
  readonly end: () => void;
};

const dayMs = 86_400_000;
/** A shorter gap is a long weekend of an agent that lost its power. */
const longestGapDays = 3;

export function createLives(db: Database): Lives {
  const select = db.prepare('SELECT ended, adoption FROM received_life');
  const lastDay = db.prepare('SELECT day FROM seen_day ORDER BY ordinal DESC LIMIT 1');
  const upsert = db.prepare(
    'INSERT INTO received_life (id, ended, adoption) VALUES (1, 0, ?) ' +
      'ON CONFLICT (id) DO UPDATE SET ended = 0, adoption = excluded.adoption',
  );
  const end = db.prepare('UPDATE received_life SET ended = 1');

  function reason(now: number, adoption: string): string | undefined {
    const before = select.get();
    if (before === undefined) return undefined;
    if (before['adoption'] !== adoption) return 'this state was adopted after it had been copied, moved or restored';
    const day = lastDay.get()?.['day'];
    const gap = typeof day === 'number' ? Math.floor(now / dayMs) - day : 0;
    if (before['ended'] === 1 || gap <= longestGapDays) return undefined;
    return 'this state was in use ' + gap + ' days ago and not since: an old backup, perhaps';
  }

  return {
    begin(now, adoption) {
      const found = reason(now, adoption);
      upsert.run(adoption);
      return found;
    },
    end: () => void end.run(),
  };
}
