// Checks the passwords of clients: throttled per user and address, and at most five failures in one connection.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { SMTPServerAuthentication, SMTPServerSession } from 'smtp-server';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { refuse } from './access.ts';
import type { Answer } from './access.ts';
import { createThrottle } from './throttle.ts';

export type LoginOptions = {
  /** User name to password. */
  readonly passwords: ReadonlyMap<string, string>;
  readonly clock: Clock;
  readonly log: Log;
};
export type Login = (auth: SMTPServerAuthentication, session: SMTPServerSession) => Promise<Answer>;

const maxLoginFailures = 5;

export function createLogin(options: LoginOptions): Login {
  const { clock, log, passwords } = options;
  const throttle = createThrottle(clock);
  const failures = new WeakMap<SMTPServerSession, number>();

  return async (auth, session) => {
    const { username = '', password } = auth;
    const address = session.remoteAddress;
    const open = throttle.mayTry(username, address);
    const expected = passwords.get(username);
    if (open && typeof password === 'string' && samePassword(password, expected)) {
      throttle.succeeded(username, address);
      return { ok: true };
    }
    const count = (failures.get(session) ?? 0) + 1;
    failures.set(session, count);
    log.warn({ user: expected === undefined ? '(unknown)' : username, address, throttled: !open }, 'login refused');
    if (open) await clock.sleep(throttle.failed(username, address));
    if (count >= maxLoginFailures) return refuse(421, '4.7.0 Too many failed logins');
    return open
      ? refuse(535, '5.7.8 Wrong user or password')
      : refuse(454, '4.7.0 Too many failed logins; wait a minute and try again');
  };
}

/** Takes the same time whatever differs, and for unknown users too. */
function samePassword(given: string, expected: string | undefined): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const same = timingSafeEqual(digest(given), digest(expected ?? ''));
  return same && expected !== undefined && expected !== '';
}
