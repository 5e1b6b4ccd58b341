// The file of a unix socket. The file of a dead process stands in the way of a new one and is removed; a live one is not.
import { lstatSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { UserError, codeOf, describe } from '#shared/failure.ts';

/** unix(7): sun_path has 108 bytes with its final zero. */
export const maxPathBytes = 107;
const answerMs = 1_000;

/** Makes the path free for listening. Throws UserError when it cannot be used. */
export async function freeSocketPath(path: string): Promise<void> {
  const bytes = Buffer.byteLength(path);
  if (bytes > maxPathBytes)
    throw refuse(
      path,
      'its path has ' + bytes + ' bytes',
      'at most ' + maxPathBytes + '; choose a shorter state folder',
    );
  const kind = kindOf(path);
  if (kind === 'nothing') return;
  if (kind === 'other') throw refuse(path, 'a file that is no socket stands there', 'a free path; move that file away');
  const answer = await knock(path);
  if (answer === 'alive')
    throw refuse(path, 'a running agent answers there', 'one agent a state folder; stop the other one first');
  if (answer !== 'dead') throw refuse(path, answer, 'a socket that may be used');
  rmSync(path, { force: true });
}

export function refuse(path: string, found: string, expected: string, cause?: unknown): UserError {
  return new UserError('Cannot open the control socket ' + path + ': ' + found + ', expected ' + expected, { cause });
}

function kindOf(path: string): 'nothing' | 'socket' | 'other' {
  try {
    return lstatSync(path).isSocket() ? 'socket' : 'other';
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return 'nothing';
    throw refuse(path, describe(error), 'a folder that can be read', error);
  }
}

/** alive, dead, or why it cannot be told. In doubt (no answer in time, a full backlog) somebody lives there. */
function knock(path: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(path);
  const timer = setTimeout(() => resolve('alive'), answerMs);
  socket.once('connect', () => resolve('alive'));
  socket.once('error', (error) => {
    const code = codeOf(error);
    if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve('dead');
    else resolve(code === 'EAGAIN' ? 'alive' : describe(error));
  });
  return promise.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}
