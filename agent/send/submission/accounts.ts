// Who is who: users of the configuration, of `users.json`, and of the local mail server, in this order; the first that knows
// the name decides. Promise: without a right password there are no rights; an empty password is never right; a user that is
// removed from the file, or changed in it, is out with the next mail.
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import { hashPassword, isPassword } from '../../users/password-hash.ts';
import { readUsers, stampOf } from '../../users/users-file.ts';
import type { StoredUser } from '../../users/users-file.ts';
import { createLocalLogin } from './local-login.ts';
import type { LocalLoginSetup } from './local-login.ts';
import type { Rights } from './rights.ts';
import type { SubmissionOptions } from './submission-options.ts';

export type Checked =
  | { readonly ok: true; readonly rights: Rights }
  /** `known`: there is such a user. later: not looked at, to spare the local server; trouble: it could not be asked. */
  | { readonly ok: false; readonly why: 'wrong' | 'later' | 'trouble'; readonly known: boolean };
export type Accounts = {
  readonly check: (name: string, password: string, address: string) => Promise<Checked>;
};

export type AccountsOptions = {
  readonly submission: Pick<SubmissionOptions, 'users' | 'limits'>;
  /** User name to password, for the users of the configuration. */
  readonly passwords: ReadonlyMap<string, string>;
  readonly usersFile?: string;
  readonly localLogin?: LocalLoginSetup;
  readonly clock: Clock;
  readonly log: Log;
};

const wrong = (known: boolean): Checked => ({ ok: false, why: 'wrong', known });

export function createAccounts(options: AccountsOptions): Accounts {
  const { passwords, submission, usersFile, localLogin } = options;
  const standard = submission.limits ?? {};
  const users = new Map(
    submission.users.map(({ name, senders, limits, mailServer }) => {
      const rights: Rights = {
        user: name,
        senders,
        limits: { ...standard, ...limits },
        ...(mailServer && { mailServer }),
      };
      return [name, rights] as const;
    }),
  );
  const file = usersFile === undefined ? undefined : openUsersFile(usersFile, options.log);
  const local = localLogin === undefined ? undefined : createLocalLogin({ ...options, setup: localLogin });

  return {
    async check(name, password, address) {
      if (name === '' || password === '') return wrong(false);
      const rights = users.get(name);
      // The same work for unknown names: how long it takes must not tell who exists.
      const same = samePassword(password, passwords.get(name));
      if (rights !== undefined && same) return { ok: true, rights };
      const stored = await file?.check(name, password);
      if (rights !== undefined) return wrong(true);
      if (stored === 'wrong') return wrong(true);
      if (stored !== undefined && stored !== 'unknown') {
        const { limits, mailServer, senders } = stored;
        const own = { user: name, senders, limits: { ...standard, ...limits }, ...(mailServer && { mailServer }) };
        return { ok: true, rights: { ...own, current: async () => (await file?.isThere(stored)) === true } };
      }
      return (await local?.check(name, password, address)) ?? wrong(false);
    },
  };
}

/** Takes the same time whatever differs, and for unknown users too. */
function samePassword(given: string, expected: string | undefined): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const same = timingSafeEqual(digest(given), digest(expected ?? ''));
  return same && expected !== undefined && expected !== '';
}

const maxProven = 1_000;

/** The file is read again when it changes. One hash at a time: each takes 16 MiB for a moment. */
function openUsersFile(path: string, log: Log) {
  const secret = randomBytes(32);
  /** Names, passwords and hashes that were found to belong together; not even their digests can be told from outside. */
  const proven = new Set<string>();
  let stamp: string | undefined;
  let users: ReadonlyMap<string, StoredUser> = new Map();
  let turn: Promise<unknown> = Promise.resolve();
  let decoy: Promise<string> | undefined;

  async function load(): Promise<void> {
    const now = await stampOf(path);
    if (now === stamp) return;
    stamp = now;
    try {
      const before = users;
      // An unchanged user stays the same object: a change of another one ends no session.
      users = new Map(
        (await readUsers(path)).map((user) => {
          const known = before.get(user.name);
          return [user.name, JSON.stringify(known) === JSON.stringify(user) ? (known ?? user) : user];
        }),
      );
    } catch (error) {
      users = new Map();
      log.error({ problem: describe(error) }, 'the users of this file cannot log in');
    }
  }

  async function prove(name: string, password: string, hash: string): Promise<boolean> {
    const key = createHmac('sha256', secret)
      .update(JSON.stringify([name, password, hash]))
      .digest('base64');
    if (proven.has(key)) return true;
    const work = turn.then(() => isPassword(password, hash));
    turn = work.catch(() => {});
    if (!(await work)) return false;
    if (proven.size >= maxProven) proven.clear();
    proven.add(key);
    return true;
  }

  return {
    /** The same user still, with the same password and rights. */
    async isThere(user: StoredUser): Promise<boolean> {
      await load();
      return users.get(user.name) === user;
    },
    async check(name: string, password: string): Promise<StoredUser | 'wrong' | 'unknown'> {
      await load();
      const user = users.get(name);
      if (user !== undefined) return (await prove(name, password, user.hash)) ? user : 'wrong';
      if (users.size > 0) await prove(name, password, await (decoy ??= hashPassword(randomBytes(16).toString('hex'))));
      return 'unknown';
    },
  };
}
