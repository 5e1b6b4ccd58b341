// The password of the page. Promises: it stands in its file as a hash (what a wizard or a person wrote in clear is replaced at
// the start); it is read again for each login; only one is compared at a time, since each costs 16 MB for a moment.
import { hashPassword, isHash, isPassword } from '../users/password-hash.ts';
import { describe } from '#shared/failure.ts';
import { UserError } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';

export type PagePassword = {
  /** Replaces a password in clear by its hash. Never throws. */
  readonly seal: () => Promise<void>;
  /** Throws UserError when nothing can be read, RangeError when too many wait. */
  readonly isRight: (given: string) => Promise<boolean>;
  /** Throws UserError. */
  readonly change: (password: string) => Promise<void>;
};

export const minPasswordLength = 10;
const maxWaiting = 8;

export function createPagePassword(options: {
  /** As it stands in file or environment now; throws UserError. */
  readonly read: () => string;
  /** Undefined: it stands in the environment. */
  readonly write: ((text: string) => Promise<void>) | undefined;
  readonly log: Log;
}): PagePassword {
  const { read, write, log } = options;
  /** Of a password that stands in clear where it cannot be replaced. */
  let clear: { readonly text: string; readonly hash: string } | undefined;
  let waiting = 0;
  let last: Promise<unknown> = Promise.resolve();

  async function hashOf(text: string): Promise<string> {
    if (isHash(text)) return text;
    if (clear?.text !== text) clear = { text, hash: await hashPassword(text) };
    return clear.hash;
  }

  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (waiting >= maxWaiting) throw new RangeError('too many logins at once');
    waiting += 1;
    const result = last.then(work).finally(() => (waiting -= 1));
    last = result.catch(() => {});
    return result;
  }

  return {
    async seal() {
      try {
        const text = read();
        if (isHash(text)) return;
        const hash = await hashOf(text);
        if (write === undefined) return;
        await write(hash);
        clear = undefined;
        log.info('the password of the page is kept as a hash from now on');
      } catch (error) {
        log.warn({ error: describe(error) }, 'the password of the page stays in clear in its file');
      }
    },
    isRight: (given) => inTurn(async () => isPassword(given, await hashOf(read()))),
    change: (password) =>
      inTurn(async () => {
        if (password.length < minPasswordLength)
          throw new UserError(
            'Cannot change the password: found ' +
              password.length +
              ' characters, expected at least ' +
              minPasswordLength,
          );
        if (write === undefined)
          throw new UserError(
            'Cannot change the password: it stands in an environment variable, expected {file: PATH}',
          );
        await write(await hashPassword(password));
        clear = undefined;
      }),
  };
}
