// What every request passes first, WebSocket upgrades included: the headers that fence the page in, the name it was called
// by, the login. Promise: nothing but /healthz is answered to a visitor without a login when a password is set.
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '#shared/clock.ts';
import { isLoopback } from '#shared/net.ts';
import { createAuth, userName } from './auth.ts';
import type { Auth } from './auth.ts';
import { isLocalHostHeader } from './host.ts';
import { HttpError } from './http-error.ts';

export const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cross-origin-opener-policy': 'same-origin',
} as const;

export function guard(
  app: FastifyInstance,
  options: { readonly host: string; readonly password: string | undefined; readonly clock: Clock },
): void {
  const { password, clock } = options;
  const auth = password === undefined ? undefined : createAuth({ password, clock });
  // A website that points its name at this machine has no login for it: there the password is the better lock, and a proxy
  // on this machine may call the collector by the name its visitors use.
  const checksHost = auth === undefined && isLoopback(options.host);

  app.addHook('onRequest', async (request, reply) => {
    void reply.headers(securityHeaders);
    if (checksHost && !isLocalHostHeader(request.headers.host)) {
      throw new HttpError(
        'wrong-host',
        'Cannot answer: called as ' +
          JSON.stringify((request.headers.host ?? '').slice(0, 100)) +
          ', expected localhost or 127.0.0.1; to be reached by another name set a password (option web.password)',
      );
    }
    if (auth === undefined || request.routeOptions.url === '/healthz') return;
    const cookie = admit(auth, request);
    if (cookie !== undefined) void reply.header('set-cookie', cookie + secure(request));
  });
}

function admit(auth: Auth, request: FastifyRequest): string | undefined {
  const { authorization, cookie } = request.headers;
  const admission = auth.admit({ authorization, cookie, address: request.socket.remoteAddress ?? '' });
  if (admission.ok) return admission.setCookie;
  if (admission.reason === 'throttled') {
    const wait = String(admission.waitSeconds);
    throw new HttpError('too-many-tries', 'Cannot log in: too many wrong tries; wait ' + wait + ' s and try again', {
      headers: { 'retry-after': wait },
    });
  }
  const problem = admission.reason === 'wrong' ? 'wrong name or password' : 'no login';
  throw new HttpError(
    'login-needed',
    'Cannot answer: ' + problem + ', expected the name ' + userName + ' and the password of option web.password',
    { headers: { 'www-authenticate': 'Basic realm="mailferry", charset="UTF-8"' } },
  );
}

function secure(request: FastifyRequest): string {
  return request.headers['x-forwarded-proto'] === 'https' ? '; Secure' : '';
}
