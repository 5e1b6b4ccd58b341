// Who is logged in. Promises: the name of a session is known to its browser alone (kept here as a digest); a session ends
// when it was not used, when it is old, when the password is changed, and when the agent stops; their number is bounded.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';

export type Session = {
  /** Stands in every form: what another site sends does not know it. */
  readonly token: string;
  /** Said once, at the top of the next page. */
  notice: { readonly level: 'ok' | 'warning'; readonly text: string } | undefined;
};
export type Sessions = {
  /** Gives the value of the cookie. */
  readonly open: () => string;
  /** `active`: a person did something; a page that looks by itself keeps no session alive. */
  readonly find: (cookie: string | undefined, active: boolean) => Session | undefined;
  readonly close: (cookie: string | undefined) => void;
  /** All but this one. */
  readonly closeOthers: (kept: Session) => void;
};

const idleMs = 30 * 60_000;
const oldMs = 12 * 3_600_000;
const maxSessions = 32;

type Entry = { readonly session: Session; readonly openedAt: number; usedAt: number };

export function createSessions(clock: Pick<Clock, 'monotonic'>): Sessions {
  const entries = new Map<string, Entry>();
  const keyOf = (cookie: string): string => createHash('sha256').update(cookie).digest('hex');

  return {
    open() {
      const cookie = randomBytes(32).toString('base64url');
      const now = clock.monotonic();
      const [oldest] = entries.keys();
      if (entries.size >= maxSessions && oldest !== undefined) entries.delete(oldest);
      const session: Session = { token: randomBytes(24).toString('base64url'), notice: undefined };
      entries.set(keyOf(cookie), { session, openedAt: now, usedAt: now });
      return cookie;
    },
    find(cookie, active) {
      if (cookie === undefined) return undefined;
      const key = keyOf(cookie);
      const entry = entries.get(key);
      if (entry === undefined) return undefined;
      const now = clock.monotonic();
      if (now - entry.usedAt > idleMs || now - entry.openedAt > oldMs) {
        entries.delete(key);
        return undefined;
      }
      if (active) entry.usedAt = now;
      return entry.session;
    },
    close(cookie) {
      if (cookie !== undefined) entries.delete(keyOf(cookie));
    },
    closeOthers(kept) {
      for (const [key, { session }] of entries) if (session !== kept) entries.delete(key);
    },
  };
}

export function isToken(session: Session, given: string | null): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(session.token), digest(given ?? ''));
}
