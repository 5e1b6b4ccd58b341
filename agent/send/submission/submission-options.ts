// The options of the submission server, and the checks that a schema cannot express.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { certificateSchema, closed, idSchema, secondsSchema, tlsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, portSchema, secretSchema } from '#shared/config.ts';
import { isLoopback } from '#shared/net.ts';
import { endpointOptions } from '../../net/endpoint-options.ts';
import { accountOptions, findMailServerProblem, limitsSchema, sendersSchema } from '../../users/account-options.ts';
import { maySend } from './access.ts';
import { findNetworkProblem } from './trusted.ts';

const userSchema = Type.Object(
  {
    name: explain('Login name.', Type.String({ minLength: 1 })),
    password: explain('Its password.', secretSchema),
    ...accountOptions,
  },
  closed,
);

const trustedSchema = Type.Object(
  {
    id: explain('Name of the entry in reports and logs.', idSchema),
    addresses: explain(
      'Addresses and networks (192.168.1.0/24) that need no login. Wide ones are refused: private networks down to /16, others to /29, IPv6 to /64.',
      Type.Array(Type.String({ minLength: 2 }), { minItems: 1 }),
    ),
    senders: sendersSchema,
    limits: explain('As those of a user.', Type.Optional(limitsSchema)),
  },
  closed,
);

const localLoginSchema = Type.Object(
  {
    protocol: explain(
      'How the server is asked whether a password is right: by a login that is ended at once.',
      Type.Union([Type.Literal('imap'), Type.Literal('pop3'), Type.Literal('smtp')], { default: 'imap' }),
    ),
    host: explain(
      'The mail server whose users may hand in mail with their own passwords.',
      hostSchema({ default: '127.0.0.1' }),
    ),
    port: explain('Its port: 143 or 993 for IMAP, 110 or 995 for POP3, 587 or 465 for SMTP.', portSchema(143)),
    tls: explain(
      'none: plain text, only to this machine; starttls: required, never optional; implicit: TLS from the first byte.',
      tlsSchema('none'),
    ),
    ...endpointOptions,
    domains: explain(
      'A user NAME may send as NAME@DOMAIN of each of these; one who logs in as NAME@DOMAIN as just that address.',
      Type.Array(Type.String({ minLength: 1, pattern: '^[^@\\s]+$', description: 'a domain such as example.org' }), {
        minItems: 1,
      }),
    ),
    more: explain(
      'Further addresses of single users.',
      Type.Array(
        Type.Object({ name: explain('Login name.', Type.String({ minLength: 1 })), senders: sendersSchema }, closed),
        { default: [] },
      ),
    ),
    limits: explain('As those of a user, for each of them.', Type.Optional(limitsSchema)),
    cacheSeconds: explain(
      'For so long a right password is believed without asking again; a changed one stays good for so long.',
      secondsSchema(900, { maximum: 86_400 }),
    ),
    failuresPerTenMinutes: explain(
      "Wrong passwords that are passed on in ten minutes, in all. Must stay below the server's own limit (Synology: 10 in 5 minutes), or it would lock out this machine.",
      Type.Integer({ minimum: 2, maximum: 1_000, default: 5 }),
    ),
  },
  closed,
);

export const submissionSchema = Type.Object(
  {
    host: explain('Address to listen on.', hostSchema({ default: '127.0.0.1' })),
    port: explain('Port to listen on; STARTTLS is offered where there is a certificate.', portSchema(2525)),
    implicitPort: explain(
      'A second port, with TLS from the first byte. None by default.',
      Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'a port, 1 to 65535' })),
    ),
    name: explain('The name in the greeting and in the own certificate.', hostSchema({ default: 'localhost' })),
    tls: explain(
      '`own`: a certificate that the agent makes and renews; or `keyFile` and `certFile`, read again when they change. By default `own`, but none on a loopback address without `implicitPort`: there, and only there, passwords are taken in clear.',
      Type.Optional(
        Type.Union([Type.Literal('own'), certificateSchema], { description: 'own, or keyFile and certFile' }),
      ),
    ),
    users: explain(
      'Who may hand in mail, beside those of `mailferry user add`.',
      Type.Array(userSchema, { default: [] }),
    ),
    localLogin: explain(
      'Lets the users of a mail server hand in mail with the passwords they have there.',
      Type.Optional(localLoginSchema),
    ),
    trusted: explain(
      'Addresses that need no login, for printers and scanners that cannot log in; each bound to its senders.',
      Type.Optional(Type.Array(trustedSchema)),
    ),
    limits: explain('Limits of each account and sender that has none of its own.', Type.Optional(limitsSchema)),
    maxSizeBytes: explain(
      'Larger mails are refused.',
      Type.Integer({ minimum: 1_024, maximum: 1_073_741_824, default: 52_428_800 }),
    ),
    maxRecipients: explain(
      'Further recipients of one mail are refused.',
      Type.Integer({ minimum: 1, maximum: 10_000, default: 100 }),
    ),
  },
  closed,
);
export type SubmissionOptions = Static<typeof submissionSchema>;
export type LocalLoginOptions = Static<typeof localLoginSchema>;

export type OptionProblem = {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
};

/** Undefined when all is well. */
export function findSubmissionProblem(submission: SubmissionOptions): OptionProblem | undefined {
  return findUserProblem(submission) ?? findTrustedProblem(submission) ?? findLocalLoginProblem(submission);
}

function findUserProblem({ users }: SubmissionOptions): OptionProblem | undefined {
  const names = new Set<string>();
  for (const [index, user] of users.entries()) {
    if (names.has(user.name))
      return {
        path: ['users', index, 'name'],
        found: JSON.stringify(user.name) + ' for the second time',
        expected: 'a name that no other user has',
      };
    names.add(user.name);
    const problem = findMailServerProblem(user, (senders, address) => maySend(senders, address).ok);
    if (problem !== undefined) return { ...problem, path: ['users', index, ...problem.path] };
  }
  return undefined;
}

function findTrustedProblem({ trusted = [] }: SubmissionOptions): OptionProblem | undefined {
  const ids = new Set<string>();
  for (const [index, entry] of trusted.entries()) {
    if (ids.has(entry.id))
      return {
        path: ['trusted', index, 'id'],
        found: JSON.stringify(entry.id) + ' for the second time',
        expected: 'a name that no other entry has',
      };
    ids.add(entry.id);
    for (const [number, text] of entry.addresses.entries()) {
      const problem = findNetworkProblem(text);
      if (problem !== undefined) return { path: ['trusted', index, 'addresses', number], ...problem };
    }
  }
  return undefined;
}

function findLocalLoginProblem({ localLogin }: SubmissionOptions): OptionProblem | undefined {
  if (localLogin === undefined || localLogin.tls !== 'none') return undefined;
  if (!isLoopback(localLogin.host))
    return {
      path: ['localLogin', 'tls'],
      found: 'none',
      expected: 'starttls or implicit, since passwords would leave this machine in clear for ' + localLogin.host,
    };
  if (localLogin.pins === undefined) return undefined;
  return {
    path: ['localLogin', 'pins'],
    found: 'pins although tls is none',
    expected: 'tls: implicit or starttls with pins',
  };
}

/** All that the configuration lets anybody send as; users of `users.json` come on top. */
export function sendersOf({ users, trusted = [], localLogin }: SubmissionOptions): readonly string[] {
  const local = localLogin === undefined ? [] : localLogin.domains.map((domain) => '@' + domain);
  return [...users, ...trusted, ...(localLogin?.more ?? [])].flatMap(({ senders }) => senders).concat(local);
}

/** Where a certificate comes from; `none`: passwords travel in clear, on this machine alone. */
export function tlsSourceOf(submission: Pick<SubmissionOptions, 'tls' | 'host' | 'implicitPort'>) {
  const { tls, host, implicitPort } = submission;
  return tls ?? (isLoopback(host) && implicitPort === undefined ? 'none' : 'own');
}
