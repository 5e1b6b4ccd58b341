// The agent as an installed package starts it: the bundle, with the flags of the package and a folder for what is compiled.
import { join } from 'node:path';
import { bundleName, writeBundle } from '../../agent/package/bundle.ts';
import { launchEnvironment, launchFlags } from '../../agent/package/launch.ts';
import type { Runner } from '../flow/programs.ts';
import type { Lab } from '../lab/lab.ts';

/** Builds the bundle. */
export async function shippedRunner(lab: Lab, node: string): Promise<Runner> {
  const folder = join(lab.dir, 'bundle');
  await writeBundle(folder);
  const env = { ...launchEnvironment, NODE_COMPILE_CACHE: join(lab.dir, 'compiled') };
  return { command: node, args: [...launchFlags, join(folder, bundleName), 'run'], env };
}
