// Where the bundle begins (agent/package/): one file is the agent, `run`, and the command line, everything else. The part
// that is not asked for is not even compiled.
import { hideKnownWarnings } from '#shared/known-warnings.ts';

hideKnownWarnings();
if (process.argv[2] === 'run') {
  process.argv.splice(2, 1);
  await import('./main.ts');
} else await import('./cli/main.ts');
