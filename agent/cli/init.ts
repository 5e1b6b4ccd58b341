// `mailferry init`: the first configuration, asked for step by step or taken from a file. Each login is tried before it is
// written down. Promises: an existing configuration is not touched; who stops half-way has changed nothing.
import { existsSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { Command } from 'commander';
import { UserError } from '#shared/failure.ts';
import { agentCommand, cliCommand } from '#shared/version.ts';
import { readAnswers, writeFirstConfiguration } from '../first-answers.ts';
import type { FirstAnswers } from '../first-answers.ts';
import { createTrials } from './init-trials.ts';
import type { SiteCommands } from './site.ts';
import { clean } from './table.ts';

type Flags = { readonly answers?: string; readonly example?: boolean; readonly untried?: boolean };

export function addInit(program: Command, site: SiteCommands): void {
  const { terminal, prepare } = site;
  const command = prepare(new Command('init'))
    .description('Makes the first configuration: asks for mailboxes, relay and local server, and tries each.')
    .option('--answers <file>', 'takes the answers from this file instead of asking')
    .option('--example', 'shows such a file')
    .option('--untried', 'with --answers: writes without trying the logins')
    .action(async () => {
      const flags = command.opts<Flags>();
      if (flags.example === true) terminal.out(example);
      else site.finish(await run(site, flags));
    });
  program.addCommand(command);
}

async function run(site: SiteCommands, flags: Flags): Promise<0 | 1> {
  const { terminal } = site;
  const file = site.configFile();
  if (existsSync(file))
    throw new UserError(
      'Cannot set up: ' +
        file +
        ' is there, expected a new file; change it by hand, or name another with --config FILE',
    );
  const answers =
    flags.answers === undefined ? await askAll(site) : await takeAnswers(site, flags.answers, flags.untried === true);
  if (answers === undefined) return 1;
  const written = await writeFirstConfiguration({ file, answers });
  const shown = relative(terminal.folder, file) || file;
  terminal.out(
    [
      'Written: ' + shown + ', and ' + written.secrets.length + ' secrets in ' + dirname(shown) + '/secrets.',
      'Next:',
      '  ' + cliCommand() + ' --config ' + shown + ' doctor    # looks at everything once more',
      '  ' + agentCommand() + ' --config ' + shown + '               # starts the agent',
      ...(answers.relays.length > 0
        ? [
            '  ' +
              cliCommand() +
              ' --config ' +
              shown +
              ' user relay-dialog   # after the start: what to fill in at the mail server',
          ]
        : []),
      '',
    ].join('\n'),
  );
  return 0;
}

/** Undefined when a login was refused: then nothing is written. */
async function takeAnswers(site: SiteCommands, path: string, untried: boolean): Promise<FirstAnswers | undefined> {
  const { terminal } = site;
  const answers = readAnswers(resolve(terminal.folder, path));
  if (untried) return answers;
  const { tryAll } = createTrials(terminal.clock);
  const trials = await tryAll(answers);
  for (const { name, trial } of trials)
    if (trial.level !== 'ok')
      terminal.error(
        name + ': ' + clean(trial.found) + ', expected ' + clean(trial.expected) + '; ' + clean(trial.remedy) + '\n',
      );
  if (!trials.some(({ trial }) => trial.level === 'error')) return answers;
  terminal.error('Nothing was written. Correct the answers, or write them all the same with --untried.\n');
  return undefined;
}

async function askAll(site: SiteCommands): Promise<FirstAnswers | undefined> {
  if (site.terminal.isInteractive !== true)
    throw new UserError(
      'Cannot ask: this is no terminal, expected --answers FILE (mailferry init --example shows such a file)',
    );
  const { askForAnswers } = await import('./init-questions.ts');
  const answers = await askForAnswers({ folder: site.terminal.folder, trials: createTrials(site.terminal.clock) });
  if (answers === undefined) site.terminal.out('Stopped. Nothing was written.\n');
  return answers;
}

/** A file of answers; a test reads it. */
export const example = `# Answers for: mailferry init --answers FILE. Passwords stand in files beside this one, or in variables: {env: NAME}.
tenant: acme
agent: nas-1
state: state
local:                            # the local mail server
  host: 127.0.0.1
  port: 25
  domains: [example.org]
mailboxes:
  - address: info@example.org
    preset: ionos                 # or host, port and tls
    password: {file: info.txt}
    firstRun: new-only            # mails that are there already: all, new-only, {since: 2026-01-31}
    keepDays: 14                  # how long a fetched mail stays at the provider
relays:                           # leave this away to receive only
  - preset: ionos
    address: info@example.org
    password: {file: info.txt}
operator: info@example.org        # is told what nobody else can be told
`;
