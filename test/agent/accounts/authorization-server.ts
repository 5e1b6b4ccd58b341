// A real OAuth2 server (oidc-provider) on loopback: device login, refresh tokens that are replaced at each use, access tokens
// that dovecot can check by itself. What a person does in a browser is done here on the server's own records.
import { exportSpki, generateKey } from './signing-key.ts';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Provider } from 'oidc-provider';
import type { TokenClient } from '../../../agent/accounts/token-endpoint.ts';

export type AuthorizationServer = {
  readonly client: TokenClient & { readonly deviceUrl: string };
  /** Requests to the token endpoint, by what the server answered: an error code, or ok. */
  readonly answers: string[];
  /** Public key (PEM) and its name, with which access tokens can be checked. */
  readonly key: { readonly pem: string; readonly kid: string };
  /** What the person does who opened the page: confirms, or refuses. */
  readonly decide: (userCode: string, confirm: boolean) => Promise<void>;
  /** A refresh token as if that had been done. */
  readonly issue: () => Promise<string>;
  /** From now on every token request is answered so, until it is undefined again. */
  trouble:
    | { readonly status: number; readonly body: string; readonly type?: string; readonly location?: string }
    | undefined;
  /** Seconds that the next access tokens live. */
  lifeSeconds: number;
  /** Waits for this before it answers token requests. */
  gate: Promise<void> | undefined;
};

const scope = 'mail offline_access';

export async function startAuthorizationServer(
  t: { readonly after: (work: () => void | Promise<void>) => void },
  account: string,
  /** Speaks https. */
  tls?: { readonly key: string; readonly cert: string },
): Promise<AuthorizationServer> {
  const { jwk, kid, publicKey } = generateKey();
  const http = tls === undefined ? createServer() : createTlsServer(tls);
  await once(http.listen(0, '127.0.0.1'), 'listening');
  t.after(async () => {
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
  });
  const issuer = (tls === undefined ? 'http' : 'https') + '://127.0.0.1:' + (http.address() as AddressInfo).port; // a TCP server
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'mailferry',
        client_secret: 'client-secret',
        redirect_uris: [],
        response_types: [],
        grant_types: ['refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
        token_endpoint_auth_method: 'client_secret_post',
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [jwk] },
    scopes: ['mail', 'offline_access'],
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: () => server.lifeSeconds, RefreshToken: 86_400, DeviceCode: 600, Grant: 86_400 },
    // Dovecot 2.3 takes no other type than JWT.
    formats: {
      customizers: {
        jwt(_, __, parts) {
          Object.assign(parts, { header: { ...parts.header, typ: 'JWT', kid } });
        },
      },
    },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:mail',
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: 'mail',
          audience: 'dovecot',
          accessTokenTTL: server.lifeSeconds,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
  });
  const answer = provider.callback();
  http.on('request', (request, response) => {
    const isToken = request.url === '/token';
    response.on('finish', () => {
      if (isToken && server.trouble === undefined) server.answers.push(lastError ?? 'ok');
      lastError = undefined;
    });
    void (async () => {
      await (isToken ? server.gate : undefined);
      const { trouble } = server;
      if (!isToken || trouble === undefined) return answer(request, response);
      server.answers.push(String(trouble.status));
      request.resume();
      response.writeHead(trouble.status, headersOf(trouble)).end(trouble.body);
      return undefined;
    })();
  });
  let lastError: string | undefined;
  provider.on('grant.error', (_, error) => void (lastError = error.error));

  async function grantId(): Promise<string> {
    const grant = new provider.Grant({ accountId: account, clientId: 'mailferry' });
    grant.addOIDCScope(scope);
    grant.addResourceScope('urn:mail', 'mail');
    return grant.save();
  }

  const server: AuthorizationServer = {
    client: {
      tokenUrl: issuer + '/token',
      deviceUrl: issuer + '/device/auth',
      scope,
      clientId: 'mailferry',
      clientSecret: 'client-secret',
    },
    answers: [],
    key: { pem: exportSpki(publicKey), kid },
    trouble: undefined,
    lifeSeconds: 3_600,
    gate: undefined,
    async decide(userCode, confirm) {
      const code = await provider.DeviceCode.findByUserCode(userCode.replaceAll('-', ''));
      if (code === undefined) throw new Error('Cannot decide on ' + userCode + ': unknown, expected a code in use');
      if (confirm) Object.assign(code, { accountId: account, grantId: await grantId(), scope, resource: 'urn:mail' });
      else Object.assign(code, { error: 'access_denied', errorDescription: 'the person said no' });
      await code.save();
    },
    async issue() {
      const client = await provider.Client.find('mailferry');
      if (client === undefined) throw new Error('Cannot issue a token: no client, expected mailferry');
      const token = new provider.RefreshToken({
        accountId: account,
        client,
        grantId: await grantId(),
        gty: 'device_code',
        scope,
        resource: 'urn:mail',
        rotations: 0,
        iiat: Math.floor(Date.now() / 1_000),
      });
      return token.save();
    },
  };
  return server;
}

function headersOf(trouble: NonNullable<AuthorizationServer['trouble']>): Readonly<Record<string, string>> {
  const { type = 'application/json', location } = trouble;
  return { 'content-type': type, ...(location === undefined ? {} : { location }) };
}

/** A password database for dovecot's configuration that checks the server's access tokens by itself; its files stand in `folder`. */
export function tokenPassdb(folder: string, { key }: AuthorizationServer): string {
  const keys = join(folder, 'keys', 'default', 'ES256');
  mkdirSync(keys, { recursive: true });
  writeFileSync(join(keys, key.kid), key.pem);
  const settings = join(folder, 'oauth2.conf');
  const options = ['introspection_mode = local', 'username_attribute = sub'];
  options.push('local_validation_key_dict = fs:posix:prefix=' + join(folder, 'keys') + '/');
  writeFileSync(settings, options.join('\n') + '\n');
  return 'passdb {\n  driver = oauth2\n  mechanisms = xoauth2\n  args = ' + settings + '\n}\n';
}
