// Logs clients in. Promise: the throttle is asked before the password is looked at, and for one user at one address it is
// asked for one try at a time, so that no hundred of them slip through together; at most five failures in one connection.
import type { SMTPServerAuthentication, SMTPServerSession } from 'smtp-server';
import type { Clock } from '#shared/clock.ts';
import type { Log } from '#shared/log.ts';
import { refuse } from './access.ts';
import type { Refusal } from './access.ts';
import type { Accounts } from './accounts.ts';
import type { Rights } from './rights.ts';
import { createThrottle } from './throttle.ts';

export type LoginOptions = {
  readonly accounts: Accounts;
  /** Passwords may travel without TLS. */
  readonly allowClear: boolean;
  readonly clock: Clock;
  readonly log: Log;
};
export type LoggedIn = { readonly ok: true; readonly rights: Rights };
type Failed = {
  readonly why: 'wrong' | 'later' | 'trouble' | 'throttled';
  readonly delayMs: number;
  readonly known: boolean;
};
export type Login = (auth: SMTPServerAuthentication, session: SMTPServerSession) => Promise<LoggedIn | Refusal>;

const maxLoginFailures = 5;
const maxNameLength = 320;
const maxPasswordLength = 1_024;

export function createLogin(options: LoginOptions): Login {
  const { accounts, clock, log } = options;
  const throttle = createThrottle(clock);
  const failures = new WeakMap<SMTPServerSession, number>();
  const inTurn = createTurns();

  const look = (name: string, password: string, address: string): Promise<LoggedIn | Failed> =>
    inTurn(address + ' ' + name.toLowerCase(), async () => {
      if (!throttle.mayTry(name, address)) return { why: 'throttled', delayMs: 0, known: false };
      const checked = await accounts.check(name, password, address);
      if (checked.ok) {
        throttle.succeeded(name, address);
        return checked;
      }
      // Counted before the next one has its turn; trouble of the server is no failure of the client.
      const delayMs = checked.why === 'wrong' ? throttle.failed(name, address) : 0;
      return { why: checked.why, delayMs, known: checked.known };
    });

  return async (auth, session) => {
    const { username = '' } = auth;
    const password = auth.password ?? '';
    const address = session.remoteAddress;
    // smtp-server asks for TLS itself; this holds whatever becomes of its options.
    if (!session.secure && !options.allowClear)
      return refuse(538, '5.7.11 Encryption is needed for a login: say STARTTLS first', 'login-clear');
    if (username.length > maxNameLength || password.length > maxPasswordLength)
      return refuse(421, '4.7.0 This is no login', 'login');
    const checked = await look(username, password, address);
    if ('ok' in checked) return checked;
    const { why, delayMs, known } = checked;
    const count = (failures.get(session) ?? 0) + 1;
    failures.set(session, count);
    log.warn({ user: known ? username : '(unknown)', address, why }, 'login refused');
    if (delayMs > 0) await clock.sleep(delayMs);
    if (count >= maxLoginFailures) return refuse(421, '4.7.0 Too many failed logins', 'login');
    return refusalOf(why);
  };
}

function refusalOf(why: Failed['why']): Refusal {
  switch (why) {
    case 'wrong':
      return refuse(535, '5.7.8 Wrong user or password', 'login');
    case 'trouble':
      return refuse(454, '4.7.0 The password cannot be checked now; try again later', 'login-trouble');
    case 'later':
    case 'throttled':
      return refuse(454, '4.7.0 Too many failed logins; wait a minute and try again', 'login-throttled');
  }
}

/** Works under one key one after the other. */
function createTurns(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>();
  return async (key, work) => {
    const before = last.get(key) ?? Promise.resolve();
    const own = before.then(work, work);
    last.set(key, own);
    try {
      return await own;
    } finally {
      if (last.get(key) === own) last.delete(key);
    }
  };
}
