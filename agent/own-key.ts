// The key of this agent, to which a collector can seal a configuration. Made at the first start, never told to anybody; a
// public key is told instead.
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { createSealKey, publicKeyOf } from '#shared/sealed.ts';
import type { SealKey } from '#shared/sealed.ts';

/** A file that is no key is set aside: what was sealed to it must be sealed anew. */
export function openOwnKey(folder: string, log: Log): SealKey {
  const file = join(folder, 'agent.key');
  try {
    const privateKey = readFileSync(file, 'utf8');
    return { privateKey, publicKey: publicKeyOf(privateKey) };
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') {
      log.error(
        { error: describe(error) },
        'agent.key cannot be used: it is set aside as agent.key.damaged, a new one is made',
      );
      renameSync(file, file + '.damaged');
    }
    const key = createSealKey();
    write(file, key.privateKey);
    return key;
  }
}

function write(file: string, text: string): void {
  const handle = openSync(file + '.tmp', 'w', 0o600);
  try {
    writeSync(handle, text);
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
  renameSync(file + '.tmp', file);
}
