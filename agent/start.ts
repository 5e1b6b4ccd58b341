// What the agent's process does: arguments, configuration, composition root, signals.
import { describe } from '#shared/failure.ts';
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
      const log = createLog({ name: 'agent', level: loaded.value.logLevel });
      const agent = createAgent({ loaded, log, version: readVersion() });
      // What it says stands in the log: nobody waits for an answer to a signal.
      process.on('SIGHUP', () => void agent.reload().catch((error: unknown) => log.error(describe(error))));
      return agent;
    },
  });
}
