// From an account's options to what its logins need. Reads files and environment through `Loaded` alone.
import type { Clock } from '#shared/clock.ts';
import type { Loaded } from '#shared/config.ts';
import type { Log } from '#shared/log.ts';
import { readPem } from '#shared/pem.ts';
import { createTokenSource } from './oauth.ts';
import { resolveOAuth } from './resolve.ts';
import type { AccountOptions, OAuthOptions } from './resolve.ts';
import { passwordSource } from './secret.ts';
import type { SecretSource } from './secret.ts';
import { writeSecretFile } from './secret-file.ts';
import type { TokenClient } from './token-endpoint.ts';

export type OptionPath = readonly (string | number)[];
export type SourceOptions = {
  readonly loaded: Pick<Loaded<unknown>, 'secret' | 'path' | 'refuse'>;
  /** Where the account stands in the configuration. */
  readonly path: OptionPath;
  readonly account: AccountOptions & { readonly id: string };
  readonly clock: Clock;
  readonly log: Log;
};

/** Throws UserError when a secret cannot be read now: that refuses the start. */
export function openSecretSource(options: SourceOptions): SecretSource {
  const { loaded, path, account } = options;
  const { password, oauth } = account;
  if (oauth !== undefined) return openTokenSource(options, oauth);
  if (password === undefined) throw loaded.refuse([...path, 'password'], 'nothing', '{file: PATH} or {env: NAME}');
  const read = (): string => loaded.secret([...path, 'password'], password);
  read();
  return passwordSource(read);
}

function openTokenSource(options: SourceOptions, oauth: OAuthOptions): SecretSource {
  const { loaded, path, account, clock, log } = options;
  const { refreshToken } = oauth;
  const read = (): string => loaded.secret([...path, 'oauth', 'refreshToken'], refreshToken);
  const client = (): TokenClient => clientOf(options, oauth);
  client();
  read();
  const file = 'file' in refreshToken ? loaded.path(refreshToken.file) : undefined;
  const write = file === undefined ? undefined : (token: string) => writeSecretFile(file, token);
  return createTokenSource({ account: account.id, client, read, write, clock, log });
}

/** Throws UserError when the client's secret cannot be read. */
export function clientOf(
  options: Pick<SourceOptions, 'loaded' | 'path' | 'account'>,
  oauth: OAuthOptions,
): TokenClient {
  const { loaded, path, account } = options;
  const place = resolveOAuth(account);
  const { tokenUrl } = place;
  if (tokenUrl === undefined)
    throw loaded.refuse([...path, 'oauth', 'tokenUrl'], 'nothing', "the provider's token endpoint, or a preset");
  const { clientId, clientSecret, caFile } = oauth;
  return {
    ...place,
    tokenUrl,
    clientId,
    ...(caFile === undefined ? {} : { ca: readPem(loaded, [...path, 'oauth', 'caFile'], caFile) }),
    ...(clientSecret === undefined
      ? {}
      : { clientSecret: loaded.secret([...path, 'oauth', 'clientSecret'], clientSecret) }),
  };
}
