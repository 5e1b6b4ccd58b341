// `mailferry config check`: reads the configuration as the agent would, with every file that it names. Changes nothing.
import { Command } from 'commander';
import { UserError } from '#shared/failure.ts';
import { findFileProblems, findOpenSecrets } from '../config-files.ts';
import { loadAgentConfig } from '../config.ts';
import type { AgentConfig } from '../config.ts';
import type { SiteCommands } from './site.ts';
import { count } from './table.ts';

export function addConfigCommands(program: Command, site: SiteCommands): void {
  const { prepare, terminal } = site;
  const group = prepare(new Command('config')).description('Commands about the configuration.');
  const check = prepare(new Command('check'))
    .description('Reads the configuration and every file that it names, and says what is wrong with it.')
    .option('--json', 'the answer as JSON');
  check.action(() => {
    const file = site.configFile();
    const json = check.opts<{ readonly json?: boolean }>().json === true;
    const { problems, hints, summary } = checkConfig(file);
    if (json) terminal.out(JSON.stringify({ file, ok: problems.length === 0, problems, hints }, undefined, 2) + '\n');
    else if (problems.length > 0) terminal.error(problems.join('\n') + '\n');
    else terminal.out([file + ': fine. ' + summary, ...hints].join('\n') + '\n');
    site.finish(problems.length === 0 ? 0 : 2);
  });
  group.addCommand(check);
  program.addCommand(group);
}

type Checked = { readonly problems: readonly string[]; readonly hints: readonly string[]; readonly summary: string };

function checkConfig(file: string): Checked {
  try {
    const loaded = loadAgentConfig(file);
    const problems = findFileProblems(loaded).map((error) => error.message);
    const hints = findOpenSecrets(loaded).map(
      ({ path, file: secret }) =>
        loaded.place(path) + ': ' + secret + ' can be read by other users of this machine: chmod 600 ' + secret,
    );
    return { problems, hints, summary: summarize(loaded.value) };
  } catch (error) {
    if (error instanceof UserError) return { problems: error.message.split('\n'), hints: [], summary: '' };
    throw error;
  }
}

function summarize(config: AgentConfig): string {
  const { accounts, relays, submission, report } = config;
  const parts = [
    count(accounts.length, 'mailbox', 'mailboxes'),
    count(relays.length, 'relay', 'relays'),
    submission === undefined ? 'no submission' : 'submission at ' + submission.host + ':' + submission.port,
    report === undefined ? 'no report to a collector' : 'report to ' + report.url,
  ];
  return parts.join(', ') + '.';
}
