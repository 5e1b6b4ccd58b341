// `users.json`: who may hand in mail beside those of the configuration. Promise: after a power cut the file is the old one or
// the new one; it is readable by its owner alone; one line that cannot be read never makes an account wider.
import { randomBytes } from 'node:crypto';
import { chown, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { Check, Default } from 'typebox/value';
import { closed } from '#shared/config-fields.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { accountOptions } from './account-options.ts';
import { isHash } from './password-hash.ts';
import { parseJson } from '#shared/json.ts';

const userSchema = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 200 }), hash: Type.String(), ...accountOptions },
  closed,
);
const fileSchema = Type.Object({ v: Type.Literal(1), users: Type.Array(userSchema) }, closed);

export type StoredUser = Static<typeof userSchema>;

export const usersFileOf = (stateFolder: string): string => join(stateFolder, 'users.json');

/** Empty when there is no file. Throws UserError when it cannot be read. */
export async function readUsers(file: string): Promise<readonly StoredUser[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new UserError('Cannot read ' + file + ': ' + describe(error) + ', expected a readable file', {
      cause: error,
    });
  }
  const value = Default(fileSchema, parseJson(text));
  if (!Check(fileSchema, value) || value.users.some((user) => !isHash(user.hash)))
    throw new UserError('Cannot read ' + file + ': it is not as `mailferry user` writes it, expected users and hashes');
  return value.users;
}

/** Writes all users. The file gets the owner of its folder: the command line may run as root, the agent does not. */
export async function writeUsers(file: string, users: readonly StoredUser[]): Promise<void> {
  const folder = dirname(file);
  const temporary = file + '.' + randomBytes(6).toString('hex') + '.tmp';
  try {
    const owner = await stat(folder);
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(JSON.stringify({ v: 1, users }, undefined, 2) + '\n');
      await handle.sync();
    } finally {
      await handle.close();
    }
    if (process.getuid?.() === 0) await chown(temporary, owner.uid, owner.gid);
    await rename(temporary, file);
    const folderHandle = await open(folder, 'r');
    try {
      await folderHandle.sync();
    } finally {
      await folderHandle.close();
    }
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // what stays is readable by its owner alone
    throw new UserError('Cannot write ' + file + ': ' + describe(error) + ', expected a state folder that exists', {
      cause: error,
    });
  }
}

/** Changes when the file does; empty without one. */
export async function stampOf(file: string): Promise<string> {
  try {
    const { ino, mtimeNs, size } = await stat(file, { bigint: true });
    return [ino, mtimeNs, size].join(' ');
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? '' : describe(error);
  }
}
