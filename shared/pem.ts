// Certificates and keys named in a configuration.
import { readFileSync } from 'node:fs';
import type { Loaded } from './config.ts';
import { codeOf, describe } from './failure.ts';

/** Text of a PEM file. Throws UserError naming the option when it cannot be read or holds no PEM block. */
export function readPem(
  loaded: Pick<Loaded<unknown>, 'path' | 'refuse'>,
  path: readonly (string | number)[],
  file: string,
): string {
  const full = loaded.path(file);
  let text: string;
  try {
    text = readFileSync(full, 'utf8');
  } catch (error) {
    throw loaded.refuse(
      path,
      full + ' which cannot be read: ' + (codeOf(error) ?? describe(error)),
      'a readable PEM file',
    );
  }
  if (!text.includes('-----BEGIN ')) throw loaded.refuse(path, full + ' which holds no PEM block', 'a PEM file');
  return text;
}
