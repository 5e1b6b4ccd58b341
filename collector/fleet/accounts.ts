// Who may report: one account an agent, made by enrolment. Promises: a code works once, for one agent, until it expires; of
// secrets only their hashes are kept (they have 128 bits and more, so a fast hash is as good as a slow one); what was revoked
// is refused from that moment on.
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Clock } from '#shared/clock.ts';
import { newSecret } from '#shared/enrolment.ts';
import { UserError } from '#shared/failure.ts';
import type { Database } from '#shared/sqlite.ts';
import { transaction } from '#shared/sqlite.ts';
import { enrolUserOf, namePattern, userOf } from '#shared/topics.ts';
import type { EnrolAnswer, EnrolRequest } from '#shared/wire.ts';
import type { Origin } from './members.ts';

export const accountSchema = `
CREATE TABLE account (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  secret BLOB,
  key TEXT NOT NULL DEFAULT '',
  enrolled_at INTEGER,
  revoked_at INTEGER,
  PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;
CREATE TABLE invitation (
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  secret BLOB NOT NULL,
  expires INTEGER NOT NULL,
  used_by BLOB,
  PRIMARY KEY (tenant, agent)
) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  tenant TEXT NOT NULL,
  agent TEXT NOT NULL,
  action TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT`;

const maxAudit = 100_000;

export type AccountView = {
  readonly tenant: string;
  readonly agent: string;
  readonly state: 'invited' | 'enrolled' | 'revoked';
  /** Milliseconds since 1970; 0 when never. */
  readonly enrolledAt: number;
  /** Until when the code that is out works; 0 when none is. */
  readonly codeExpires: number;
};
export type Identity = { readonly kind: 'agent' | 'enrol'; readonly origin: Origin };

/** `isNew`: said for the first time. */
export type Redeemed = Omit<EnrolAnswer, 'v'> & { readonly isNew?: boolean };

export type Accounts = {
  /** Who logs in with this user and password; undefined when nobody. */
  readonly identify: (user: string, password: string) => Identity | undefined;
  /** A secret for one use. A code that was given out before works no more; the agent itself goes on until the new one is used. */
  readonly invite: (origin: Origin, validSeconds: number) => { readonly secret: string; readonly expires: number };
  /** The agent that came in with its code says its own secret. */
  readonly redeem: (origin: Origin, request: EnrolRequest) => Redeemed;
  /** Neither secret nor code work any more. False when there was nothing to revoke. */
  readonly revoke: (origin: Origin, why: string) => boolean;
  readonly isKnown: (origin: Origin) => boolean;
  readonly list: () => readonly AccountView[];
  readonly note: (origin: Origin, action: string, text: string) => void;
  readonly audit: (limit: number) => readonly AuditEntry[];
};
export type AuditEntry = {
  readonly at: number;
  readonly tenant: string;
  readonly agent: string;
  readonly action: string;
  readonly text: string;
};

export function createAccounts(options: { readonly db: Database; readonly clock: Clock }): Accounts {
  const { db, clock } = options;
  const statements = prepare(db);
  const pattern = new RegExp(namePattern);
  /** Those that have a secret: asked for every view of the fleet. */
  const known = new Set(
    statements.list
      .all()
      .filter((row) => row['secret'] instanceof Uint8Array)
      .map((row) => userOf({ tenant: String(row['tenant']), agent: String(row['agent']) })),
  );

  function note(origin: Origin, action: string, text: string): void {
    const row = statements.note.run(clock.now(), origin.tenant, origin.agent, action, text.slice(0, 2_000));
    statements.trim.run(Number(row.lastInsertRowid) - maxAudit);
  }

  function redeem(origin: Origin, request: EnrolRequest): Redeemed {
    const invitation = statements.invitation.get(origin.tenant, origin.agent);
    const secret = hash(request.secret);
    const used = invitation?.['used_by'];
    if (invitation === undefined) return { ok: false, problem: 'the code was withdrawn, expected a new one' };
    if (used instanceof Uint8Array)
      return timingSafeEqual(used, secret)
        ? { ok: true } // the first answer was lost
        : { ok: false, problem: 'the code was used already, expected a new one: a code works once' };
    if (Number(invitation['expires']) <= clock.now())
      return { ok: false, problem: 'the code has expired, expected a new one: run `mailferry-collector enrol` again' };
    transaction(db, () => {
      statements.useInvitation.run(secret, origin.tenant, origin.agent);
      statements.enrol.run(origin.tenant, origin.agent, secret, request.key ?? '', clock.now());
      note(origin, 'enrolled', 'the agent has used its code');
    });
    known.add(userOf(origin));
    return { ok: true, isNew: true };
  }

  return {
    identify(user, password) {
      const [first = '', ...rest] = user.split('/');
      const isEnrol = first === 'enrol' && rest.length === 2;
      const [tenant = '', agent = ''] = isEnrol ? rest : [first, ...rest];
      const origin = { tenant, agent };
      if (user !== (isEnrol ? enrolUserOf(origin) : userOf(origin))) return undefined;
      const row = (isEnrol ? statements.invitation : statements.account).get(tenant, agent);
      const secret = row?.['secret'];
      // Compared also when there is none, so that the time says nothing.
      const expected = secret instanceof Uint8Array ? secret : Buffer.alloc(32);
      const right = timingSafeEqual(hash(password), expected) && secret instanceof Uint8Array;
      return right ? { kind: isEnrol ? 'enrol' : 'agent', origin } : undefined;
    },
    invite(origin, validSeconds) {
      for (const name of [origin.tenant, origin.agent])
        if (!pattern.test(name))
          throw new UserError(
            'Cannot enrol ' + JSON.stringify(name) + ': not a name, expected a-z, 0-9 and -, 1 to 32 characters',
          );
      const secret = newSecret();
      const expires = Math.floor(clock.now() / 1_000 + validSeconds) * 1_000;
      transaction(db, () => {
        statements.invite.run(origin.tenant, origin.agent, hash(secret), expires);
        statements.add.run(origin.tenant, origin.agent);
        note(origin, 'invited', 'a code was given out, valid until ' + new Date(expires).toISOString());
      });
      return { secret, expires };
    },
    redeem,
    revoke(origin, why) {
      return transaction(db, () => {
        const { changes } = statements.revoke.run(clock.now(), origin.tenant, origin.agent);
        const invitations = statements.withdraw.run(origin.tenant, origin.agent).changes;
        const did = Number(changes) + Number(invitations) > 0;
        if (did) note(origin, 'revoked', why);
        known.delete(userOf(origin));
        return did;
      });
    },
    isKnown: (origin) => known.has(userOf(origin)),
    list: () =>
      statements.list.all().map((row) => ({
        tenant: String(row['tenant']),
        agent: String(row['agent']),
        state: row['secret'] instanceof Uint8Array ? 'enrolled' : row['revoked_at'] === null ? 'invited' : 'revoked',
        enrolledAt: Number(row['enrolled_at'] ?? 0),
        codeExpires: row['used_by'] === null ? Number(row['expires'] ?? 0) : 0,
      })),
    note,
    audit: (limit) =>
      statements.audit.all(limit).map((row) => ({
        at: Number(row['at']),
        tenant: String(row['tenant']),
        agent: String(row['agent']),
        action: String(row['action']),
        text: String(row['text']),
      })),
  };
}

const hash = (secret: string): Buffer => createHash('sha256').update(secret).digest();

function prepare(db: Database) {
  return {
    account: db.prepare('SELECT secret FROM account WHERE tenant = ? AND agent = ?'),
    add: db.prepare(`INSERT INTO account (tenant, agent) VALUES (?, ?)
      ON CONFLICT (tenant, agent) DO UPDATE SET revoked_at = NULL`),
    enrol: db.prepare(`INSERT INTO account (tenant, agent, secret, key, enrolled_at) VALUES (?, ?, ?, ?, ?)
      ON CONFLICT (tenant, agent) DO UPDATE SET secret = excluded.secret, key = excluded.key,
        enrolled_at = excluded.enrolled_at, revoked_at = NULL`),
    revoke: db.prepare(`UPDATE account SET secret = NULL, revoked_at = ? WHERE tenant = ? AND agent = ?
      AND revoked_at IS NULL`),
    list: db.prepare(`SELECT account.*, invitation.expires, invitation.used_by FROM account
      LEFT JOIN invitation USING (tenant, agent) ORDER BY tenant, agent`),
    invitation: db.prepare('SELECT * FROM invitation WHERE tenant = ? AND agent = ?'),
    invite: db.prepare(`INSERT INTO invitation (tenant, agent, secret, expires) VALUES (?, ?, ?, ?)
      ON CONFLICT (tenant, agent) DO UPDATE SET secret = excluded.secret, expires = excluded.expires, used_by = NULL`),
    useInvitation: db.prepare('UPDATE invitation SET used_by = ? WHERE tenant = ? AND agent = ?'),
    withdraw: db.prepare('DELETE FROM invitation WHERE tenant = ? AND agent = ?'),
    note: db.prepare('INSERT INTO audit (at, tenant, agent, action, text) VALUES (?, ?, ?, ?, ?)'),
    trim: db.prepare('DELETE FROM audit WHERE id <= ?'),
    audit: db.prepare('SELECT * FROM audit ORDER BY id DESC LIMIT ?'),
  };
}
