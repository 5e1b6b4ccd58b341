// The device login (RFC 8628): a person opens a page on any device, types a code, and we get the refresh token.
import type { Clock } from '#shared/clock.ts';
import { LoginError } from './login-error.ts';
import { askForDevice, askForTokens } from './token-endpoint.ts';
import type { DevicePrompt, TokenClient } from './token-endpoint.ts';

const slowerSeconds = 5;
const maxIntervalSeconds = 60;

/** Resolves with the refresh token. Throws LoginError: refused, expired, stopped, or no refresh token came. */
export async function logInByDevice(options: {
  readonly client: TokenClient & { readonly deviceUrl: string };
  readonly show: (prompt: Pick<DevicePrompt, 'url' | 'code' | 'expiresInSeconds'>) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<string> {
  const { client, clock, signal } = options;
  const prompt = await askForDevice(client, signal);
  options.show(prompt);
  const dueAt = clock.monotonic() + prompt.expiresInSeconds * 1_000;
  let intervalSeconds = prompt.intervalSeconds;
  for (;;) {
    await clock.sleep(Math.min(intervalSeconds, maxIntervalSeconds) * 1_000, signal);
    if (signal.aborted) throw new LoginError('Cannot finish the device login: stopped', { refused: false });
    if (clock.monotonic() > dueAt)
      throw new LoginError('Cannot finish the device login: the code has expired, expected it to be typed in time', {
        refused: true,
      });
    const answer = await askForTokens(client, prompt.deviceCode, signal).catch(passTrouble);
    if (answer.kind === 'wait') {
      if (answer.slower) intervalSeconds += slowerSeconds;
      continue;
    }
    const { refreshToken } = answer.tokens;
    if (refreshToken !== undefined) return refreshToken;
    const expected = 'one; the scope may lack offline_access';
    throw new LoginError('Cannot finish the device login: no refresh token came, expected ' + expected, {
      refused: true,
    });
  }
}

/** A line that breaks for a moment is no end (RFC 8628 section 3.5): ask again, slower. */
function passTrouble(error: unknown): { readonly kind: 'wait'; readonly slower: boolean } {
  if (error instanceof LoginError && !error.refused) return { kind: 'wait', slower: true };
  throw error;
}
