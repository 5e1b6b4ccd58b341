// The options of the provider's relays, and what a schema cannot say about them. Pure.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, idSchema, secondsSchema } from '#shared/config-fields.ts';
import { explain, hostSchema, secretSchema } from '#shared/config.ts';
import { findPreset, presetNames } from '../../accounts/presets.ts';
import type { PresetName, SendLimits } from '../../accounts/presets.ts';
import { oauthSchema } from '../../accounts/options.ts';
import { findAccountProblem } from '../../accounts/resolve.ts';
import type { AccountOptions, OptionProblem, Place } from '../../accounts/resolve.ts';
import { endpointOptions } from '../../net/endpoint-options.ts';
import { findRouteProblem } from './route.ts';

const seconds = (standard: number) => secondsSchema(standard, { maximum: 86_400 });
const senderPattern = '^[^@\\s<>]*@[^@\\s<>]+$';
const atMost = (help: string) => explain(help, Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })));

const limitsSchema = Type.Object(
  {
    messagesPerConnection: atMost('Mails in one session; a new one is opened then.'),
    messagesPerHour: atMost('Mails in any hour.'),
    recipientsPerHour: atMost('Recipients in any hour.'),
    messagesPerDay: atMost('Mails in any 24 hours.'),
    recipientsPerDay: atMost('Recipients in any 24 hours.'),
    recipientsPerMail: atMost('Recipients of one transaction; a mail with more goes in several.'),
  },
  closed,
);

export const relaySchema = Type.Object(
  {
    id: explain('Name of the relay in reports, alerts and `fallback`.', idSchema),
    preset: explain(
      'Takes server and limits of a provider (docs/providers.md). Own options win.',
      Type.Optional(Type.Unsafe<PresetName>(Type.Union(presetNames.map((name) => Type.Literal(name))))),
    ),
    host: explain("The provider's SMTP relay. Required without a preset that knows it.", Type.Optional(hostSchema())),
    port: explain(
      "587 with starttls, 465 with implicit TLS. By default the preset's, else 587.",
      Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'a port, 1 to 65535' })),
    ),
    tls: explain(
      "none: plain text, only to this machine; starttls: required, never optional; implicit: TLS from the first byte. By default the preset's, else starttls.",
      Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('implicit')])),
    ),
    ...endpointOptions,
    user: explain('Login name at the relay.', Type.String({ minLength: 1 })),
    password: explain(
      'Password at the relay; read again before each login. Required without oauth.',
      Type.Optional(secretSchema),
    ),
    oauth: explain('Logs in with an OAuth2 token (XOAUTH2) instead of a password.', Type.Optional(oauthSchema)),
    auth: explain(
      'How to log in. auto: xoauth2 with oauth, else PLAIN or LOGIN, what the relay offers, and never without; none: no login, for a relay that knows its clients by their address.',
      Type.Union(
        [
          Type.Literal('auto'),
          Type.Literal('plain'),
          Type.Literal('login'),
          Type.Literal('xoauth2'),
          Type.Literal('none'),
        ],
        { default: 'auto' },
      ),
    ),
    name: explain("Our name in EHLO; by default this machine's.", Type.Optional(hostSchema())),
    senders: explain(
      'Mail of these senders goes by this relay: whole addresses, or `@domain`; an address comes before a domain. The first relay without `senders` takes all others.',
      Type.Optional(
        Type.Array(Type.String({ pattern: senderPattern, description: 'an address, or @domain' }), { minItems: 1 }),
      ),
    ),
    fallback: explain(
      'Relays that send in its place, in this order, while it is out of service for longer than `fallbackAfterSeconds`. A mail that may have arrived stays with the relay that may have taken it.',
      Type.Array(idSchema, { default: [] }),
    ),
    fallbackAfterSeconds: explain('So long a relay must be out of service before another one sends.', seconds(900)),
    preflight: explain(
      'What becomes of mail that the provider of the `preset` is known to refuse. warn: it is sent and its sender is told (once a day); refuse: it is not taken, with the reason. By default warn.',
      Type.Optional(Type.Union([Type.Literal('off'), Type.Literal('warn'), Type.Literal('refuse')])),
    ),
    sessions: explain('Sessions open at once.', Type.Integer({ minimum: 1, maximum: 8, default: 2 })),
    limits: explain(
      "What the provider allows. By default the preset's, as far as they are certain. Mail beyond it waits.",
      Type.Optional(limitsSchema),
    ),
    maxBytesPerSecond: explain(
      'All sessions of the relay together send no faster.',
      Type.Optional(Type.Integer({ minimum: 1_024, maximum: 1_000_000_000 })),
    ),
    retryFirstSeconds: explain('First pause before a mail is tried again; doubles with each try.', seconds(60)),
    retryMaxSeconds: explain('Longest pause before a mail is tried again.', seconds(3_600)),
    unknownRetrySeconds: explain(
      'Pause before the one late retry of a mail whose last try ended without a known outcome.',
      seconds(900),
    ),
    expireHours: explain(
      'A mail that could not be sent for so long is reported to its sender and held.',
      Type.Integer({ minimum: 1, maximum: 720, default: 120 }),
    ),
  },
  closed,
);

export type RelayConfig = Static<typeof relaySchema>;
export type RelayProblem = {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
};

/** Where the relay is, and what its provider allows; call after findRelayProblem() has found nothing. */
export function resolveRelay(relay: RelayConfig): Place & { readonly limits: SendLimits } {
  const preset = findPreset(relay.preset);
  const server = preset?.smtp.value;
  // A limit that may be wrong would hold mail back for nothing: those are for reading.
  const certain = (preset?.sending ?? []).filter((fact) => fact.doubt === undefined).map((fact) => fact.value);
  return {
    host: relay.host ?? server?.host ?? '',
    port: relay.port ?? server?.port ?? 587,
    tls: relay.tls ?? server?.tls ?? 'starttls',
    limits: Object.assign({}, ...certain, relay.limits) as SendLimits, // parts of that very type
  };
}

/** As the token endpoint and `mailferry login` know accounts; the scope is that of sending. */
export function loginOf(relay: RelayConfig): AccountOptions & { readonly id: string } {
  const { auth, oauth } = relay;
  const scope = oauth?.scope ?? findPreset(relay.preset)?.smtpScope?.value;
  return {
    ...resolveRelay(relay),
    id: relay.id,
    ...(relay.preset === undefined ? {} : { preset: relay.preset }),
    ...(relay.pins === undefined ? {} : { pins: relay.pins }),
    ...(relay.password === undefined ? {} : { password: relay.password }),
    ...(oauth === undefined ? {} : { oauth: { ...oauth, ...(scope === undefined ? {} : { scope }) } }),
    auth: auth === 'none' ? 'auto' : auth,
    intervalSeconds: 0,
  };
}

/** What a schema cannot say. The first problem, or undefined. `senders`: what the users of submission may send as. */
export function findRelayProblem(relays: readonly RelayConfig[], senders: readonly string[]): RelayProblem | undefined {
  for (const [index, relay] of relays.entries()) {
    const own = findOwnProblem(relay);
    if (own !== undefined) return { ...own, path: ['relays', index, ...own.path] };
  }
  return findRouteProblem(relays, senders);
}

function findOwnProblem(relay: RelayConfig): OptionProblem | undefined {
  const preset = findPreset(relay.preset);
  if (resolveRelay(relay).host !== '') return findAccountProblem(loginOf(relay));
  const note = preset?.smtp.note;
  const expected =
    preset === undefined
      ? 'a host name or an IP address, or a preset'
      : 'the SMTP server of your contract with ' + preset.title + (note === undefined ? '' : ' (' + note + ')');
  return { path: ['host'], found: 'nothing', expected };
}
