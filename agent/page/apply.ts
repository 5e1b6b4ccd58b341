// A change of the configuration from the page: written, taken up by the agent that runs, and taken back when it cannot be. A
// configuration with which the agent would not start again would lock out whoever has nothing but this page.
import { UserError } from '#shared/failure.ts';
import { reloadedSchema } from '../control/answers.ts';
import type { Change } from '../settings.ts';
import { askFor } from './run-command.ts';
import type { PageWork, Visit } from './work.ts';

/** Undefined: done, and the visit's next page says so. Else why not; then all is as before. Throws what Settings.change() throws. */
export async function applyChange(work: PageWork, visit: Visit, change: Change): Promise<string | undefined> {
  const { say } = visit.reader;
  const { commands, settings } = work;
  await settings.change(change);
  const outcome = await askFor(commands, 'reload', reloadedSchema);
  if (outcome.ok) {
    // The page takes its own password up by itself.
    const restart = outcome.value.restart.filter((option) => !option.startsWith('page'));
    visit.session.notice =
      restart.length === 0
        ? { level: 'ok', text: say('Saved; it counts at once.') }
        : {
            level: 'warning',
            text: say('Saved. At the next start of the agent these count: {list}', { list: restart.join(', ') }),
          };
    return undefined;
  }
  if (outcome.late === true) {
    visit.session.notice = { level: 'warning', text: say('Saved; the agent still takes it up.') };
    return undefined;
  }
  try {
    await settings.undo();
    // What was open before is opened again, should a part of it be closed.
    await askFor(commands, 'reload', reloadedSchema);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return outcome.text + '; ' + error.message;
  }
  return outcome.text;
}
