// `mailferry login ACCOUNT`: the device login of an account or a relay with oauth. Needs no running agent; one that runs notices the new
// token by itself.
import { systemClock } from '#shared/clock.ts';
import type { Clock } from '#shared/clock.ts';
import { UserError, codeOf, describe } from '#shared/failure.ts';
import { logInByDevice } from '../accounts/device-login.ts';
import { LoginError } from '../accounts/login-error.ts';
import { writeSecretFile } from '../accounts/secret-file.ts';
import { clientOf } from '../accounts/source.ts';
import { loadAgentConfig, loginOf } from '../config.ts';
import { clean } from './table.ts';

/** Resolves when the refresh token is on disk. Throws UserError when that cannot be. */
export async function logInAccount(options: {
  readonly configFile: string;
  readonly account: string;
  readonly out: (text: string) => void;
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}): Promise<void> {
  const { configFile, out, clock = systemClock, signal = new AbortController().signal } = options;
  const { client, file } = prepare(configFile, options.account);
  try {
    const refreshToken = await logInByDevice({
      client,
      clock,
      signal,
      show(prompt) {
        const minutes = Math.max(1, Math.floor(prompt.expiresInSeconds / 60));
        out('Open ' + clean(prompt.url) + '\nand type ' + clean(prompt.code) + ' (within ' + minutes + ' min)\n');
      },
    });
    await writeSecretFile(file, refreshToken);
  } catch (error) {
    if (error instanceof LoginError) throw new UserError(error.message, { cause: error });
    if (codeOf(error) === undefined) throw error;
    throw new UserError(
      'Cannot write ' + file + ': ' + describe(error) + ', expected a folder that may be written to',
      {
        cause: error,
      },
    );
  }
  out('Logged in. The refresh token is in ' + file + '; a running agent takes it within seconds.\n');
}

function prepare(configFile: string, id: string) {
  const loaded = loadAgentConfig(configFile);
  const { accounts, relays } = loaded.value;
  const all = [
    ...accounts.map((account, index) => ({ account, path: ['accounts', index] })),
    ...relays.map((relay, index) => ({ account: loginOf(relay), path: ['relays', index] })),
  ];
  const named = all.filter((one) => one.account.id === id);
  // An account and a relay may have one name; a login by hand is for the one with oauth.
  const found = named.find((one) => one.account.oauth !== undefined) ?? named[0];
  if (found === undefined)
    throw new UserError(
      'Cannot log in ' + id + ': no such account, expected one of ' + all.map((one) => one.account.id).join(', '),
    );
  const { account, path } = found;
  const { oauth } = account;
  if (oauth === undefined)
    throw loaded.refuse([...path, 'oauth'], 'nothing', 'oauth; an account with a password needs no login by hand');
  if (!('file' in oauth.refreshToken))
    throw loaded.refuse([...path, 'oauth', 'refreshToken'], 'an environment variable', '{file: PATH}, to write it to');
  const client = clientOf({ loaded, path, account }, oauth);
  const { deviceUrl } = client;
  if (deviceUrl === undefined)
    throw loaded.refuse(
      [...path, 'oauth', 'deviceUrl'],
      'nothing',
      "the provider's device authorization endpoint, or a preset",
    );
  return { client: { ...client, deviceUrl }, file: loaded.path(oauth.refreshToken.file) };
}
