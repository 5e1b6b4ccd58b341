// The options of an account that say where and how it logs in.
import { Type } from 'typebox';
import { explain, hostSchema, secretSchema } from '#shared/config.ts';
import { authChoices } from './auth-choice.ts';
import type { AuthChoice } from './auth-choice.ts';
import { presetNames } from './presets.ts';
import type { PresetName } from './presets.ts';

const urlSchema = Type.String({ pattern: '^https?://[^/]+', description: 'an address that begins with https://' });
const text = Type.String({ minLength: 1 });

export const oauthSchema = Type.Object(
  {
    clientId: explain('Name of your application at the provider.', text),
    clientSecret: explain('Its secret, when it has one.', Type.Optional(secretSchema)),
    refreshToken: explain(
      'Where the refresh token stands. `mailferry login ACCOUNT` writes the file, and so does the agent when the provider gives a new one; one in the environment cannot be written back.',
      secretSchema,
    ),
    tokenUrl: explain("The provider's token endpoint; by default the preset's.", Type.Optional(urlSchema)),
    deviceUrl: explain(
      "The provider's device authorization endpoint, for `mailferry login`; by default the preset's.",
      Type.Optional(urlSchema),
    ),
    scope: explain("What is asked for; by default the preset's.", Type.Optional(text)),
    caFile: explain(
      'PEM file of the authority that signed the certificate of tokenUrl and deviceUrl, when it is not a public one.',
      Type.Optional(text),
    ),
  },
  { additionalProperties: false },
);

export const loginOptions = {
  preset: explain(
    "Takes servers, limits and the minimum interval of a provider (docs/providers.md). Own options win, but for the preset's minimum interval.",
    Type.Optional(Type.Unsafe<PresetName>(Type.Union(presetNames.map((name) => Type.Literal(name))))),
  ),
  host: explain("The provider's POP3 server. Required without a preset that knows it.", Type.Optional(hostSchema())),
  port: explain(
    "995 with implicit TLS, 110 with starttls or none. By default the preset's, else 995.",
    Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535, description: 'a port, 1 to 65535' })),
  ),
  tls: explain(
    "none: plain text; starttls (STLS): required, never optional; implicit: TLS from the first byte. By default the preset's, else implicit.",
    Type.Optional(Type.Union([Type.Literal('none'), Type.Literal('starttls'), Type.Literal('implicit')])),
  ),
  user: explain('Login name at the provider.', text),
  password: explain(
    'Password at the provider; read again before each login. Required without oauth.',
    Type.Optional(secretSchema),
  ),
  oauth: explain('Logs in with an OAuth2 token (XOAUTH2) instead of a password.', Type.Optional(oauthSchema)),
  auth: explain(
    'How to log in. auto: xoauth2 with oauth; under TLS USER/PASS, or what the server offers instead; in clear APOP when the server offers it.',
    Type.Optional(
      Type.Unsafe<AuthChoice>(
        Type.Union(
          authChoices.map((choice) => Type.Literal(choice)),
          { default: 'auto' },
        ),
      ),
    ),
  ),
} as const;
