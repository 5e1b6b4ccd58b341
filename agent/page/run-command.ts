// Runs a command of the table for a page. What cannot be done is told, as the command line tells it.
import type { Static, TSchema } from 'typebox';
import { Check } from 'typebox/value';
import { UserError, describe } from '#shared/failure.ts';
import type { CommandName, CommandTable } from '../control/commands.ts';

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  /** `late`: it may succeed yet. */
  | { readonly ok: false; readonly text: string; readonly late?: boolean };

export async function runCommand(
  commands: CommandTable,
  name: string,
  given: Readonly<Record<string, unknown>>,
): Promise<Outcome<unknown>> {
  const command = commands.get(name);
  if (command === undefined) return { ok: false, text: 'unknown command ' + name };
  const late = Promise.withResolvers<Outcome<unknown>>();
  const text = 'no result within ' + command.timeoutSeconds + ' s; the work goes on';
  const timer = setTimeout(() => late.resolve({ ok: false, text, late: true }), command.timeoutSeconds * 1_000);
  try {
    const result = command.run(given).then((value): Outcome<unknown> => ({ ok: true, value }));
    return await Promise.race([result, late.promise]);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { ok: false, text: describe(error) };
  } finally {
    clearTimeout(timer);
  }
}

/** The answer of a command that is known here. Throws when the agent and its page do not fit together. */
export async function askFor<S extends TSchema>(
  commands: CommandTable,
  name: CommandName,
  schema: S,
  given: Readonly<Record<string, unknown>> = {},
): Promise<Outcome<Static<S>>> {
  const outcome = await runCommand(commands, name, given);
  if (!outcome.ok) return outcome;
  if (!Check(schema, outcome.value)) throw new Error('Cannot show ' + name + ': an answer of another shape');
  return { ok: true, value: outcome.value };
}
