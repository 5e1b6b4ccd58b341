// Who may look: HTTP Basic, user `mailferry` and the configured password, compared in constant time, wrong tries throttled.
// Whoever passed also gets a cookie for some hours, since Safari sends no Basic login with a WebSocket.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import { createThrottle } from './throttle.ts';

export const userName = 'mailferry';
const cookieName = 'mailferry';
const cookieHours = 12;

export type Credentials = {
  readonly authorization: string | undefined;
  readonly cookie: string | undefined;
  /** Of the connection itself; a header could be made up. */
  readonly address: string;
};
export type Admission =
  | { readonly ok: true; readonly setCookie: string | undefined }
  | { readonly ok: false; readonly reason: 'missing' | 'wrong' }
  | { readonly ok: false; readonly reason: 'throttled'; readonly waitSeconds: number };
export type Auth = { readonly admit: (credentials: Credentials) => Admission };

export function createAuth(options: { readonly password: string; readonly clock: Clock }): Auth {
  const { clock } = options;
  const throttle = createThrottle({ clock, burst: 20, everyMs: 3_000, maxAddresses: 1_000 });
  const expected = digest(userName + ':' + options.password);
  /** New with every start: cookies of an earlier run, or of an earlier password, are worth nothing. */
  const key = randomBytes(32);
  const sign = (expiry: string): Buffer => createHmac('sha256', key).update(expiry).digest();

  function hasCookie(header: string | undefined): boolean {
    for (const part of (header ?? '').slice(0, 4_096).split(';')) {
      const match = /^mailferry=([0-9]{1,15})\.([A-Za-z0-9_-]{43})$/.exec(part.trim());
      if (match === null) continue;
      const [, expiry = '', signature = ''] = match;
      const given = Buffer.from(signature, 'base64url');
      if (timingSafeEqual(digest(given), digest(sign(expiry))) && Number(expiry) > clock.now()) return true;
    }
    return false;
  }

  function makeCookie(): string {
    const expiry = String(clock.now() + cookieHours * 3_600_000);
    const value = expiry + '.' + sign(expiry).toString('base64url');
    return cookieName + '=' + value + '; Path=/; HttpOnly; SameSite=Strict; Max-Age=' + cookieHours * 3_600;
  }

  return {
    admit({ authorization, cookie, address }) {
      if (hasCookie(cookie)) return { ok: true, setCookie: undefined };
      const given = basicOf(authorization);
      if (given === undefined) return { ok: false, reason: 'missing' };
      // Not even looked at while throttled: otherwise the answer to a good guess would tell.
      const waitSeconds = throttle.waitSeconds(address);
      if (waitSeconds > 0) return { ok: false, reason: 'throttled', waitSeconds };
      // Digests have one length, whatever was given.
      if (timingSafeEqual(digest(given), expected)) return { ok: true, setCookie: makeCookie() };
      throttle.failed(address);
      return { ok: false, reason: 'wrong' };
    },
  };
}

function basicOf(header: string | undefined): Buffer | undefined {
  const encoded = /^basic +([A-Za-z0-9+/=_-]{1,4096})$/i.exec(header ?? '')?.[1];
  return encoded === undefined ? undefined : Buffer.from(encoded, 'base64');
}

function digest(value: string | Buffer): Buffer {
  return createHash('sha256').update(value).digest();
}
