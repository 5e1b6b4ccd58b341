// What both programs do around their composition root: arguments, one clear line for what a person can mend, signals.
import { parseArgs } from 'node:util';
import { UserError, codeOf, describe } from './failure.ts';
import { stopOnSignals } from './lifecycle.ts';

export type Program = { readonly start: () => Promise<void>; readonly stop: () => Promise<void> };

/** Exit codes: 0 stopped as asked, 1 broken, 2 wrong arguments or configuration. */
export async function runProgram(options: {
  readonly usage: string;
  /** Reads the configuration and builds; throws UserError. */
  readonly create: (configFile: string) => Program | Promise<Program>;
}): Promise<void> {
  try {
    const program = await options.create(readArguments(options.usage));
    stopOnSignals(program.stop);
    await program.start();
  } catch (error) {
    process.stderr.write((error instanceof UserError ? error.message : describe(error)) + '\n');
    process.exit(error instanceof UserError ? 2 : 1);
  }
}

function readArguments(usage: string): string {
  try {
    const { values } = parseArgs({ options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } } });
    if (values.help === true) {
      process.stdout.write(usage + '\n');
      process.exit(0);
    }
    if (values.config === undefined)
      throw new UserError('Cannot start: no configuration given, expected --config FILE\n' + usage);
    return values.config;
  } catch (error) {
    if (codeOf(error)?.startsWith('ERR_PARSE_ARGS') === true)
      throw new UserError(describe(error) + '\n' + usage, { cause: error });
    throw error;
  }
}
