// What the agent's process does: arguments, configuration, composition root, signals.
import { hostname } from 'node:os';
import { describe } from '#shared/failure.ts';
import { createLog } from '#shared/log.ts';
import { runProgram } from '#shared/program.ts';
import { agentCommand, readVersion } from '#shared/version.ts';
import { createAgent } from './agent.ts';
import { loadAgentConfig } from './config.ts';
import { useLeftCode } from './left-code.ts';
import { hasWizardAnswers, takeWizardAnswers } from './wizard-answers.ts';
import { createLogTail } from './page/log-tail.ts';

export function start(): Promise<void> {
  return runProgram({
    usage: 'Usage: ' + agentCommand() + ' --config FILE',
    create: async (file) => {
      if (hasWizardAnswers(file)) await takeWizardAnswers({ configFile: file, hostname: hostname() });
      await useLeftCode(file);
      const loaded = loadAgentConfig(file);
      const tail = loaded.value.page && createLogTail();
      const log = createLog({ name: 'agent', level: loaded.value.logLevel, ...(tail && { also: tail.add }) });
      const agent = createAgent({
        loaded,
        log,
        ...(tail && { logLines: tail.lines }),
        version: readVersion(),
      });
      // What it says stands in the log: nobody waits for an answer to a signal.
      process.on('SIGHUP', () => void agent.reload().catch((error: unknown) => log.error(describe(error))));
      return agent;
    },
  });
}
