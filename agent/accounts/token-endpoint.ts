// The two conversations with a provider's OAuth2 server: a refresh token for an access token (RFC 6749 section 6), and the
// device login (RFC 8628). Promises: bounded in time and size; https, but on this machine; no secret in an error.
import * as oauth from 'oauth4webapi';
import { describe } from '#shared/failure.ts';
import { boundedFetch } from './bounded-fetch.ts';
import { LoginError } from './login-error.ts';

export type TokenClient = {
  readonly tokenUrl: string;
  readonly deviceUrl?: string;
  readonly scope?: string;
  readonly clientId: string;
  readonly clientSecret?: string;
  /** PEM of the authority that signed the server's certificate, when it is not a public one. */
  readonly ca?: string;
};
export type Tokens = {
  readonly accessToken: string;
  /** Seconds; undefined when the server does not say. */
  readonly expiresInSeconds: number | undefined;
  /** Undefined: the old one stays. */
  readonly refreshToken: string | undefined;
};
export type DevicePrompt = {
  readonly url: string;
  readonly code: string;
  readonly deviceCode: string;
  readonly intervalSeconds: number;
  readonly expiresInSeconds: number;
};
export type DeviceAnswer =
  | { readonly kind: 'tokens'; readonly tokens: Tokens }
  /** Not confirmed yet; `slower`: five seconds more between two questions from now on (RFC 8628 section 3.5). */
  | { readonly kind: 'wait'; readonly slower: boolean };

const timeoutMs = 30_000;
/** What will be refused again, as long as nobody changes anything. */
const finalErrors = new Set([
  'invalid_grant',
  'invalid_client',
  'unauthorized_client',
  'access_denied',
  'invalid_scope',
  'unsupported_grant_type',
  'expired_token',
]);

/** Throws LoginError. */
export async function refreshTokens(client: TokenClient, refreshToken: string, signal: AbortSignal): Promise<Tokens> {
  const { server, own, proof } = partiesOf(client);
  const { scope } = client;
  try {
    const response = await oauth.refreshTokenGrantRequest(server, own, proof, refreshToken, {
      ...requestOptions(client, client.tokenUrl, signal),
      ...(scope === undefined ? {} : { additionalParameters: { scope } }),
    });
    return tokensOf(await oauth.processRefreshTokenResponse(server, own, response));
  } catch (error) {
    throw loginErrorOf(error, 'get an access token', client.tokenUrl);
  }
}

/** Throws LoginError. */
export async function askForDevice(
  client: TokenClient & { readonly deviceUrl: string },
  signal: AbortSignal,
): Promise<DevicePrompt> {
  const { server, own, proof } = partiesOf(client);
  try {
    const parameters = new URLSearchParams(client.scope === undefined ? {} : { scope: client.scope });
    const options = requestOptions(client, client.deviceUrl, signal);
    const response = await oauth.deviceAuthorizationRequest(server, own, proof, parameters, options);
    const answer = await oauth.processDeviceAuthorizationResponse(server, own, response);
    return {
      url: answer.verification_uri_complete ?? answer.verification_uri,
      code: answer.user_code,
      deviceCode: answer.device_code,
      intervalSeconds: answer.interval ?? 5,
      expiresInSeconds: answer.expires_in,
    };
  } catch (error) {
    throw loginErrorOf(error, 'begin the device login', client.deviceUrl);
  }
}

/** One question. Throws LoginError. */
export async function askForTokens(
  client: TokenClient,
  deviceCode: string,
  signal: AbortSignal,
): Promise<DeviceAnswer> {
  const { server, own, proof } = partiesOf(client);
  try {
    const options = requestOptions(client, client.tokenUrl, signal);
    const response = await oauth.deviceCodeGrantRequest(server, own, proof, deviceCode, options);
    return { kind: 'tokens', tokens: tokensOf(await oauth.processDeviceCodeResponse(server, own, response)) };
  } catch (error) {
    if (error instanceof oauth.ResponseBodyError) {
      if (error.error === 'authorization_pending') return { kind: 'wait', slower: false };
      if (error.error === 'slow_down') return { kind: 'wait', slower: true };
    }
    throw loginErrorOf(error, 'finish the device login', client.tokenUrl);
  }
}

function partiesOf(client: TokenClient) {
  const server: oauth.AuthorizationServer = {
    issuer: new URL(client.tokenUrl).origin,
    token_endpoint: client.tokenUrl,
    ...(client.deviceUrl === undefined ? {} : { device_authorization_endpoint: client.deviceUrl }),
  };
  const own: oauth.Client = { client_id: client.clientId };
  const proof = client.clientSecret === undefined ? oauth.None() : oauth.ClientSecretPost(client.clientSecret);
  return { server, own, proof };
}

function requestOptions({ ca }: TokenClient, url: string, signal: AbortSignal) {
  return {
    // The configuration lets http pass for a loopback address alone.
    [oauth.allowInsecureRequests]: new URL(url).protocol === 'http:',
    [oauth.customFetch]: boundedFetch(ca),
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  };
}

function tokensOf(answer: oauth.TokenEndpointResponse): Tokens {
  return {
    accessToken: answer.access_token,
    expiresInSeconds: answer.expires_in,
    refreshToken: answer.refresh_token,
  };
}

function loginErrorOf(error: unknown, act: string, url: string): LoginError {
  const about = 'Cannot ' + act + ' from ' + new URL(url).host + ': ';
  if (error instanceof oauth.ResponseBodyError) {
    const refused = finalErrors.has(error.error);
    // The description is the server's prose and may repeat what it was asked; the code cannot.
    const state = 'it answered ' + shorten(error.error) + ' (HTTP ' + error.status + ')';
    return new LoginError(about + state + ', expected tokens' + (refused ? '; log in again' : ''), { refused });
  }
  // A 401 with a challenge instead of a body: the client is not accepted.
  if (error instanceof oauth.WWWAuthenticateChallengeError)
    return new LoginError(about + 'it does not accept the client (HTTP ' + error.status + '), expected tokens', {
      refused: true,
    });
  if (error instanceof LoginError) return error;
  const { cause } = error instanceof Error ? error : { cause: undefined };
  const state = cause instanceof Response ? 'it answered HTTP ' + cause.status : shorten(describe(error));
  return new LoginError(about + state + ', expected tokens; will be tried again', {
    refused: false,
  });
}

function shorten(text: string): string {
  return text.replaceAll(/[^ -~]+/g, ' ').slice(0, 160);
}
