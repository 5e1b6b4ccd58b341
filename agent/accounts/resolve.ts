// An account's options and its preset make one answer: where it logs in, how, how often.
import { isLoopback } from '#shared/net.ts';
import type { OAuthPlace, Preset } from './presets.ts';
import { findPreset } from './presets.ts';

type Secret = { readonly file: string } | { readonly env: string };
export type OAuthOptions = Partial<OAuthPlace> & {
  readonly clientId: string;
  readonly clientSecret?: Secret;
  readonly refreshToken: Secret;
  readonly caFile?: string;
};
export type AccountOptions = {
  readonly preset?: string;
  readonly host?: string;
  readonly port?: number;
  readonly tls?: 'none' | 'starttls' | 'implicit';
  readonly pins?: readonly string[];
  readonly password?: Secret;
  readonly oauth?: OAuthOptions;
  readonly auth?: string;
  readonly intervalSeconds: number;
  readonly busySeconds?: number;
};
export type Place = { readonly host: string; readonly port: number; readonly tls: 'none' | 'starttls' | 'implicit' };
export type Resolved = Place & {
  /** Never below the minimum. */
  readonly intervalSeconds: number;
  /** Pause after a round that brought mail; between minimum and interval. */
  readonly busySeconds: number;
  /** What the provider allows between two logins; 0 when nothing is known about it. */
  readonly minIntervalSeconds: number;
};
export type OptionProblem = {
  readonly path: readonly string[];
  readonly found: string;
  readonly expected: string;
};

/** What a schema cannot say. The first problem, or undefined. */
export function findAccountProblem(account: AccountOptions): OptionProblem | undefined {
  return findPlaceProblem(account) ?? findLoginProblem(account);
}

/** Call after findAccountProblem() has found nothing. */
export function resolveAccount(account: AccountOptions): Resolved {
  const preset = findPreset(account.preset);
  const server = preset?.pop3.value;
  const minIntervalSeconds = preset?.minIntervalSeconds.value ?? 0;
  const intervalSeconds = Math.max(account.intervalSeconds, minIntervalSeconds);
  // Without a preset nobody knows what the provider allows: not more often than somebody has said.
  const busySeconds = account.busySeconds ?? (preset === undefined ? intervalSeconds : intervalSeconds / 3);
  return {
    host: account.host ?? server?.host ?? '',
    port: account.port ?? server?.port ?? 995,
    tls: account.tls ?? server?.tls ?? 'implicit',
    intervalSeconds,
    busySeconds: Math.min(intervalSeconds, Math.max(busySeconds, minIntervalSeconds)),
    minIntervalSeconds,
  };
}

export function resolveOAuth(account: AccountOptions): Partial<OAuthPlace> {
  const known = findPreset(account.preset)?.oauth?.value;
  const { tokenUrl = known?.tokenUrl, deviceUrl = known?.deviceUrl, scope = known?.scope } = account.oauth ?? {};
  return {
    ...(tokenUrl === undefined ? {} : { tokenUrl }),
    ...(deviceUrl === undefined ? {} : { deviceUrl }),
    ...(scope === undefined ? {} : { scope }),
  };
}

function findPlaceProblem(account: AccountOptions): OptionProblem | undefined {
  const preset = findPreset(account.preset);
  if (account.host === undefined && preset?.pop3.value.host === undefined)
    return { path: ['host'], found: 'nothing', expected: expectedHost(preset) };
  const { tls } = resolveAccount(account);
  if (tls === 'none' && (account.pins?.length ?? 0) > 0)
    return { path: ['pins'], found: 'pins although tls is none', expected: 'tls: implicit or starttls with pins' };
  return undefined;
}

function expectedHost(preset: Preset | undefined): string {
  if (preset === undefined) return 'a host name or an IP address, or a preset';
  const { note } = preset.pop3;
  return 'the POP3 server of your contract with ' + preset.title + (note === undefined ? '' : ' (' + note + ')');
}

function findLoginProblem(account: AccountOptions): OptionProblem | undefined {
  const { password, oauth, auth = 'auto' } = account;
  if (oauth === undefined) {
    if (password === undefined)
      return { path: ['password'], found: 'nothing', expected: '{file: PATH} or {env: NAME}, or oauth' };
    if (auth === 'xoauth2')
      return { path: ['auth'], found: 'xoauth2 without oauth', expected: 'oauth, or another auth' };
    return undefined;
  }
  if (password !== undefined) return { path: ['password'], found: 'a password beside oauth', expected: 'one of them' };
  if (auth !== 'auto' && auth !== 'xoauth2')
    return { path: ['auth'], found: auth + ' with oauth', expected: 'auto or xoauth2' };
  const { host, tls } = resolveAccount(account);
  if (tls === 'none' && !isLoopback(host))
    return { path: ['tls'], found: 'none with oauth', expected: 'starttls or implicit, or the token travels in clear' };
  return findUrlProblem(account);
}

function findUrlProblem(account: AccountOptions): OptionProblem | undefined {
  const place = resolveOAuth(account);
  if (place.tokenUrl === undefined)
    return { path: ['oauth', 'tokenUrl'], found: 'nothing', expected: "the provider's token endpoint, or a preset" };
  for (const name of ['tokenUrl', 'deviceUrl'] as const) {
    const url = place[name];
    if (url === undefined) continue;
    const parsed = URL.parse(url);
    if (parsed === null) return { path: ['oauth', name], found: JSON.stringify(url), expected: 'a web address' };
    if (parsed.protocol === 'http:' && !isLoopback(parsed.hostname))
      return { path: ['oauth', name], found: url, expected: 'https, or secrets travel in clear' };
  }
  return undefined;
}
