// `npm run test:bundle [-- PART ...]`: the flow tests, or those whose paths contain PART, with the agent as it is shipped, on
// the oldest Node. `npm test` has the shorter ones of them (test/agent/package/bundle-flow.live.test.ts).
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundleName, writeBundle } from '../agent/package/bundle.ts';
import { launchFlags } from '../agent/package/launch.ts';
import { oldestNode } from './lab/oldest-node.ts';

const folder = mkdtempSync(join(tmpdir(), 'mailferry-bundle-'));
await writeBundle(folder);
const agent = [await oldestNode(), ...launchFlags, join(folder, bundleName), 'run'];
const parts = process.argv.length > 2 ? process.argv.slice(2) : ['test/flow'];
const child = spawn(process.execPath, [join(import.meta.dirname, 'run.ts'), ...parts], {
  stdio: 'inherit',
  env: { ...process.env, MAILFERRY_TEST_AGENT: JSON.stringify(agent) },
});
const [code] = (await once(child, 'exit')) as [number | null]; // documented arguments of 'exit'
rmSync(folder, { recursive: true, force: true });
process.exitCode = code ?? 1;
