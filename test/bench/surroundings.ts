// What all cases share: one provider (dovecot), mails of 10 kB, whether it must be quick.
import { join } from 'node:path';
import { makeMaildir } from '../lab/maildir.ts';
import type { Dovecot } from '../lab/dovecot.ts';
import type { Lab } from '../lab/lab.ts';
import type { Source } from './contestant.ts';
import { dovecotExtra, fillMailbox, password } from './mailbox.ts';
import { createMails } from './mails.ts';
import type { Mails } from './mails.ts';

export type Surroundings = {
  readonly lab: Lab;
  readonly dovecot: Dovecot;
  readonly quick: boolean;
  /** A line for people. */
  readonly tell: (line: string) => void;
  readonly folder: (name: string) => string;
  /** The mailbox of a user, past any proxy. */
  readonly source: (user: string) => Source;
  /** Mails of about 10 kB. */
  readonly mails: Mails;
  readonly fill: (user: string, count: number) => Promise<void>;
};

const usersOfCases = ['ours', 'ours-lmtp', 'mpop', 'fetchmail', 'getmail6', 'kept', 'arrival'] as const;
export const manyUsers = Array.from({ length: 50 }, (_, index) => 'a' + (index + 1));
export const targets = ['info@example.org', 'other@example.org'] as const;

export async function createSurroundings(options: {
  readonly lab: Lab;
  readonly quick: boolean;
  readonly tell: (line: string) => void;
}): Promise<Surroundings> {
  const { lab, quick, tell } = options;
  const users = [...usersOfCases, ...manyUsers, ...targets];
  const dovecot = await lab.dovecot({
    users: Object.fromEntries(users.map((user) => [user, password])),
    extra: dovecotExtra,
  });
  for (const user of users) await makeMaildir(dovecot.maildir(user));
  const mails = await createMails({ folder: join(lab.dir, 'mails'), count: quick ? 500 : 2_000, sizeBytes: 10_000 });
  return {
    lab,
    dovecot,
    quick,
    tell,
    mails,
    folder: (name) => join(lab.dir, name),
    source: (user) => ({ host: dovecot.host, port: dovecot.pop3, user }),
    fill: (user, count) => fillMailbox(dovecot, user, mails, count),
  };
}
