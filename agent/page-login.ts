// The device login of an entry of the page, which may not be saved yet.
import { Type } from 'typebox';
import { Check } from 'typebox/value';
import type { Clock } from '#shared/clock.ts';
import { UserError } from '#shared/failure.ts';
import { isRecord } from '#shared/json.ts';
import type { Loaded } from '#shared/config.ts';
import { logInByDevice } from './accounts/device-login.ts';
import { oauthSchema } from './accounts/options.ts';
import { findPreset } from './accounts/presets.ts';
import { resolveOAuth } from './accounts/resolve.ts';
import type { OAuthOptions } from './accounts/resolve.ts';
import { clientOf } from './accounts/source.ts';
import type { AgentConfig } from './config.ts';
import type { DeviceLogin } from './page/work.ts';

/** Without a refresh token yet. */
const typedSchema = Type.Omit(oauthSchema, ['refreshToken']);

export function createDeviceLogin(options: {
  /** As it stands in the file now. */
  readonly loaded: () => Loaded<AgentConfig>;
  readonly clock: Clock;
  /** The agent stops. */
  readonly signal: AbortSignal;
}): DeviceLogin {
  const { loaded, clock, signal } = options;
  return async ({ kind, entry, show }) => {
    const preset = typeof entry['preset'] === 'string' ? entry['preset'] : undefined;
    const typed = withoutToken(entry['oauth']);
    if (!Check(typedSchema, typed)) throw new UserError('Cannot log in: the options under oauth do not fit');
    const scope = typed.scope ?? (kind === 'relay' ? findPreset(preset)?.smtpScope?.value : undefined);
    const oauth: OAuthOptions = {
      ...typed,
      ...(scope === undefined ? {} : { scope }),
      refreshToken: { file: 'none yet' }, // not read: the login is what brings it
    };
    const account = { id: 'new', intervalSeconds: 0, ...(preset === undefined ? {} : { preset }), oauth };
    const { deviceUrl, tokenUrl } = resolveOAuth(account);
    if (deviceUrl === undefined || tokenUrl === undefined)
      throw new UserError(
        'Cannot log in: this provider is not known to offer a device login, expected one that does (docs/providers.md), or oauth.deviceUrl and oauth.tokenUrl in the configuration',
      );
    const path = [kind === 'relay' ? 'relays' : 'accounts'];
    const client = clientOf({ loaded: loaded(), path, account }, oauth);
    return logInByDevice({ client: { ...client, deviceUrl }, show, clock, signal });
  };
}

const withoutToken = (oauth: unknown): object =>
  isRecord(oauth) ? Object.fromEntries(Object.entries(oauth).filter(([name]) => name !== 'refreshToken')) : {};
