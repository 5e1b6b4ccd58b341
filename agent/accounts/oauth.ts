// Access tokens for the logins of one account.
// Promises: one refresh at a time; a token is used until shortly before it expires; a refresh token that the provider has
// replaced is on disk before the access token that came with it is used; a refused refresh token is not shown a second time.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { LoginError } from './login-error.ts';
import { isOther, readOrRefuse, storedBy } from './secret.ts';
import type { SecretSource } from './secret.ts';
import { refreshTokens } from './token-endpoint.ts';
import type { TokenClient, Tokens } from './token-endpoint.ts';

export type TokenSourceOptions = {
  readonly account: string;
  /** Read again before each refresh. */
  readonly client: () => TokenClient;
  /** The refresh token as file or environment hold it now; throws UserError. */
  readonly read: () => string;
  /** Makes a new refresh token durable; undefined when there is no place to write to. */
  readonly write: ((refreshToken: string) => Promise<void>) | undefined;
  readonly clock: Clock;
  readonly log: Log;
};

/** For servers that do not say how long a token lives. */
const standardLifeSeconds = 300;
const earlySeconds = 60;

export function createTokenSource(options: TokenSourceOptions): SecretSource {
  const { account, clock, log } = options;
  /** What file or environment held when it was read last. */
  let stored: string | undefined;
  /** The refresh token in force: the stored one, or the one that replaced it. */
  let current = '';
  /** `current` is not on disk yet. */
  let unsaved = false;
  let generation = 0;
  let cached: { readonly token: string; readonly expiresAt: number } | undefined;
  let dead: { readonly refreshToken: string; readonly error: LoginError } | undefined;
  let refreshing: Promise<string> | undefined;
  let warned = false;

  function load(): void {
    const found = readOrRefuse(options.read);
    if (found === stored) return;
    stored = found;
    current = found;
    unsaved = false;
    cached = undefined;
    generation += 1;
  }

  async function save(): Promise<void> {
    if (!unsaved) return;
    if (options.write === undefined) {
      if (!warned)
        log.warn(
          { account },
          'the provider replaced the refresh token, which cannot be written to the environment; use {file: PATH}',
        );
      warned = true;
      return;
    }
    const saving = current;
    try {
      await options.write(saving);
    } catch (error) {
      log.error(
        { account, error: describe(error) },
        'the new refresh token could not be written; it is kept in memory and written later',
      );
      return;
    }
    stored = saving;
    unsaved = false;
  }

  async function refresh(signal: AbortSignal): Promise<string> {
    await save(); // what an earlier full disk left over
    const shown = current;
    if (dead?.refreshToken === shown) throw dead.error;
    let tokens: Tokens;
    try {
      tokens = await refreshTokens(options.client(), shown, signal);
    } catch (error) {
      if (error instanceof LoginError && error.refused) dead = { refreshToken: shown, error };
      throw error;
    }
    const lifeSeconds = tokens.expiresInSeconds ?? standardLifeSeconds;
    // A short life is not made nothing by the time we are early.
    const useSeconds = lifeSeconds - Math.min(earlySeconds, lifeSeconds / 2);
    cached = { token: tokens.accessToken, expiresAt: clock.monotonic() + useSeconds * 1_000 };
    if (tokens.refreshToken !== undefined && tokens.refreshToken !== shown) {
      current = tokens.refreshToken;
      unsaved = true;
      await save();
    }
    return tokens.accessToken;
  }

  return {
    async read(signal) {
      load();
      if (cached !== undefined && clock.monotonic() < cached.expiresAt) return { kind: 'token', token: cached.token };
      refreshing ??= refresh(signal).finally(() => (refreshing = undefined));
      return { kind: 'token', token: await refreshing };
    },
    generation: () => generation,
    changed: () => isOther(options.read, stored),
    stored: () => storedBy(options.read),
    refused() {
      cached = undefined;
    },
  };
}
