// What an account at the submission server may do. The same options for users of the configuration, users of the file, and
// what a trusted address may send.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed } from '#shared/config-fields.ts';
import { explain } from '#shared/config.ts';

const limit = (maximum: number) => Type.Optional(Type.Integer({ minimum: 1, maximum }));

export const sendersSchema = explain(
  'Allowed senders, in the envelope and in the header From: whole addresses, or `@domain`.',
  Type.Array(Type.String({ pattern: '^[^@\\s<>]*@[^@\\s<>]+$', description: 'an address, or @domain' }), {
    minItems: 1,
  }),
);

export const limitsSchema = Type.Object(
  {
    recipientsPerMail: explain('Further recipients of one mail are refused.', limit(10_000)),
    mailsPerHour: explain('Mails of the account in an hour; further ones are refused for a while.', limit(1_000_000)),
    mailsPerDay: explain('Mails of the account in a day.', limit(1_000_000)),
    senderMailsPerHour: explain('Mails of one envelope sender in an hour, whoever hands them in.', limit(1_000_000)),
    senderMailsPerDay: explain('Mails of one envelope sender in a day.', limit(1_000_000)),
  },
  closed,
);
export type Limits = Static<typeof limitsSchema>;

const handlingSchema = Type.Union(
  [Type.Literal('refuse'), Type.Literal('hold'), Type.Literal('rewrite'), Type.Literal('allow')],
  { default: 'refuse' },
);
export type Handling = Static<typeof handlingSchema>;

export const mailServerSchema = Type.Object(
  {
    nullSender: explain(
      'What becomes of mail with the empty sender (reports of failed delivery, out-of-office replies): `refuse`; `hold`: it waits in the queue for a person; `rewrite`: it goes out with the sender `rewriteTo`; `allow`: as it is, where the provider takes that.',
      handlingSchema,
    ),
    foreignSender: explain(
      "What becomes of mail with somebody else's sender in the envelope or the header From (redirects): as for `nullSender`.",
      handlingSchema,
    ),
    rewriteTo: explain(
      'The own address that takes the place of the sender; one of `senders`.',
      Type.Optional(Type.String({ pattern: '^[^@\\s<>]+@[^@\\s<>]+$', description: 'an address' })),
    ),
    headerFrom: explain(
      "What `rewrite` does to a foreign header From: `replace`: the own address stands there, the original in Reply-To and X-Original-From, as providers ask that take only their customer's addresses; `keep`: it stays, and Resent-From names the own address.",
      Type.Union([Type.Literal('replace'), Type.Literal('keep')], { default: 'replace' }),
    ),
  },
  closed,
);
export type MailServerRights = Static<typeof mailServerSchema>;

export const accountOptions = {
  senders: sendersSchema,
  limits: explain('Limits of this account; absent ones as in `submission.limits`.', Type.Optional(limitsSchema)),
  mailServer: explain(
    'Marks the account as that of a mail server, which sends more than what its users write. Without it only `senders` pass.',
    Type.Optional(mailServerSchema),
  ),
};
export type AccountOptions = {
  readonly senders: readonly string[];
  readonly limits?: Limits;
  readonly mailServer?: MailServerRights;
};

/** What a schema cannot say. Undefined when all is well. */
export function findMailServerProblem(
  account: AccountOptions,
  maySend: (senders: readonly string[], address: string) => boolean,
): { readonly path: readonly string[]; readonly found: string; readonly expected: string } | undefined {
  const { mailServer, senders } = account;
  if (mailServer === undefined) return undefined;
  const { nullSender, foreignSender, rewriteTo } = mailServer;
  const path = ['mailServer', 'rewriteTo'];
  const rewrites = nullSender === 'rewrite' || foreignSender === 'rewrite';
  if (rewrites && rewriteTo === undefined)
    return { path, found: 'nothing', expected: 'an address of `senders`, since senders are to be rewritten' };
  if (rewriteTo !== undefined && !maySend(senders, rewriteTo))
    return { path, found: JSON.stringify(rewriteTo), expected: 'an address that `senders` of this account allows' };
  return undefined;
}
