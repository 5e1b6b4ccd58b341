// Starts the collector: reads the arguments and the configuration, nothing else.
import { createLog } from '#shared/log.ts';
import { runProgram } from '#shared/program.ts';
import { createCollector } from './collector.ts';
import { loadCollectorConfig } from './config.ts';

await runProgram({
  usage: 'Usage: npm run collector -- --config FILE',
  create: (file) => {
    const loaded = loadCollectorConfig(file);
    return createCollector({ loaded, log: createLog({ name: 'collector', level: loaded.value.logLevel }) });
  },
});
