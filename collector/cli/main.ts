#!/usr/bin/env node
// `mailferry-collector`: asks the collector on this machine. Exit codes: 0 done, 1 could not be done, 2 wrong arguments.
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { UserError, describe } from '#shared/failure.ts';
import { loadCollectorConfig } from '../config.ts';
import { ask, socketPath } from './socket.ts';
import { usageText } from './usage.ts';

class WrongArguments extends UserError {}

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = readArguments(argv);
    const [verb, ...words] = positionals;
    if (values.help === true || verb === undefined) {
      process.stdout.write(usageText());
      return values.help === true ? 0 : 2;
    }
    if (values.config === undefined) throw new WrongArguments('no configuration given, expected --config FILE');
    const loaded = loadCollectorConfig(values.config);
    const { hours, minutes, limit } = values;
    // What is sealed may hold passwords: it is no argument.
    const input = verb === 'configure' ? await text(process.stdin) : undefined;
    const options = {
      ...(input === undefined ? {} : { input }),
      ...(hours && { hours }),
      ...(minutes && { minutes }),
      ...(limit && { limit }),
    };
    const lines = await ask(socketPath(loaded.path(loaded.value.state)), { verb, words, options });
    process.stdout.write(lines.map((line) => line + '\n').join(''));
    return 0;
  } catch (error) {
    process.stderr.write((error instanceof UserError ? error.message : describe(error)) + '\n');
    return error instanceof WrongArguments ? 2 : 1;
  }
}

function readArguments(argv: readonly string[]) {
  const word = { type: 'string' } as const;
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { config: word, hours: word, minutes: word, limit: word, help: { type: 'boolean', short: 'h' } },
    });
  } catch (error) {
    throw new WrongArguments(describe(error) + '\n' + usageText(), { cause: error });
  }
}
