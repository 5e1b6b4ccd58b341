// Starts the agent: reads the arguments and the configuration, nothing else.
import { enableCompileCache, flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';

// V8 lets the space for young objects grow to 16 MB and collects packets' buffers only when as much has gathered: a mail of
// 100 MB would cost 55 MB of memory, and page faults. Kept at its first size it costs 17 MB and less time. Must be said
// before anything is loaded, since loading makes it grow.
setFlagsFromString('--semi-space-growth-factor=1');
// What is compiled once is kept beside the program, where only its owner can write: without the compiler of the types the
// process has 25 MB less. Where it cannot be written nothing is kept.
enableCompileCache(join(import.meta.dirname, '..', '.compiled'));

const { start } = await import('./start.ts');
await start();
flushCompileCache();
