// `mailferry enrol`: makes this agent known to a collector, by the code that it has printed. The code is a secret: it is asked
// for, read from standard input or from a file, never taken as an argument, which every user of the machine could see.
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { readVersion } from '#shared/version.ts';
import type { SiteCommands, Terminal } from './site.ts';

export function addEnrol(program: Command, site: SiteCommands): void {
  const { terminal } = site;
  const command = site
    .prepare(new Command('enrol'))
    .description('Makes this agent known to a collector, by the code that `mailferry-collector enrol` has printed.')
    .option('--file <file>', 'a file with the code; without it the code is asked for, or read from standard input');
  command.action(async () => {
    const { file } = command.opts<{ readonly file?: string }>();
    const code = await readCode(terminal, file);
    const { enrolAgent } = await import('../enrol.ts');
    const result = await enrolAgent({
      configFile: site.configFile(),
      code,
      version: readVersion(),
      signal: new AbortController().signal,
      now: terminal.now,
    });
    terminal.out(
      'Enrolled: ' +
        result.tenant +
        '/' +
        result.agent +
        ' reports to ' +
        result.url +
        '.\n' +
        result.file +
        ' has the report now; it counts at the next start of the agent.\n',
    );
  });
  program.addCommand(command);
}

async function readCode(terminal: Terminal, file: string | undefined): Promise<string> {
  if (file !== undefined) {
    const path = resolve(terminal.folder, file);
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw new UserError(
        'Cannot read ' + path + ': ' + (codeOf(error) ?? describe(error)) + ', expected a file with the enrolment code',
        { cause: error },
      );
    }
  }
  if (terminal.isInteractive !== true) return (await terminal.readInput?.()) ?? '';
  const { isCancel, password } = await import('@clack/prompts');
  const typed = await password({ message: 'Code (paste what `mailferry-collector enrol` printed; it is not shown)' });
  if (isCancel(typed)) throw new UserError('Cannot enrol: stopped, expected a code; nothing was changed');
  return typed;
}
