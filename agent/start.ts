// What the agent's process does: arguments, configuration, composition root, signals.
import { createLog } from '#shared/log.ts';
import { runProgram } from '#shared/program.ts';
import { readVersion } from '#shared/version.ts';
import { createAgent } from './agent.ts';
import { loadAgentConfig } from './config.ts';

export function start(): Promise<void> {
  return runProgram({
    usage: 'Usage: npm run agent -- --config FILE',
    create: (file) => {
      const loaded = loadAgentConfig(file);
      return createAgent({
        loaded,
        log: createLog({ name: 'agent', level: loaded.value.logLevel }),
        version: readVersion(),
      });
    },
  });
}
