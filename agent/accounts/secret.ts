// What proves who we are, read again before each login, so that a new password counts without a restart.
import { UserError } from '#shared/failure.ts';
import { LoginError } from './login-error.ts';

export type LoginSecret =
  | { readonly kind: 'password'; readonly password: string }
  /** An OAuth2 access token. */
  | { readonly kind: 'token'; readonly token: string };

export type SecretSource = {
  /** Before each login. Throws LoginError. */
  readonly read: (signal: AbortSignal) => Promise<LoginSecret>;
  /** Goes up when read() finds another secret than the time before. */
  readonly generation: () => number;
  /** File or environment hold another secret by now than read() found last. Cheap: may be asked every few seconds. */
  readonly changed: () => boolean;
  /** What file or environment hold now, to be compared with later; undefined when it cannot be read. */
  readonly stored: () => string | undefined;
  /** The server refused what read() gave: a cached token must not be given again. */
  readonly refused: () => void;
};

/** `read` gives the text as it stands now; throws UserError when it cannot be read. */
export function passwordSource(read: () => string): SecretSource {
  let last: string | undefined;
  let generation = 0;
  return {
    read: async () => {
      const password = readOrRefuse(read);
      if (password !== last) generation += 1;
      last = password;
      return { kind: 'password', password };
    },
    generation: () => generation,
    changed: () => isOther(read, last),
    stored: () => storedBy(read),
    refused: () => {},
  };
}

export function readOrRefuse(read: () => string): string {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new LoginError('Cannot log in: ' + error.message, { refused: false, cause: error });
  }
}

/** What cannot be read is no change: an editor may be replacing the file. */
export function isOther(read: () => string, last: string | undefined): boolean {
  const found = storedBy(read);
  return found !== undefined && found !== last;
}

export function storedBy(read: () => string): string | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}
