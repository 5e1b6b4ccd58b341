// The options of the domains that are watched.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed } from '#shared/config-fields.ts';
import { explain } from '#shared/config.ts';

const nameSchema = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: '^[^@\\s/:]+$',
  description: 'a name such as example.org',
});

export const domainSchema = Type.Object(
  {
    name: explain('The domain, as it stands in addresses behind the @.', nameSchema),
    mx: explain(
      'The hosts that its mail is to go to, and no others; absent: which ones is not compared.',
      Type.Optional(Type.Array(nameSchema, { minItems: 1, maxItems: 32 })),
    ),
    selectors: explain(
      'DKIM selectors with which its mail is signed; the provider names them.',
      Type.Array(Type.String({ pattern: '^[A-Za-z0-9._-]+$', description: 'a selector such as s1' }), {
        default: [],
        maxItems: 16,
      }),
    ),
    receives: explain('false: a domain that only sends.', Type.Boolean({ default: true })),
    sends: explain(
      'false: a domain that only receives; SPF, DKIM and DMARC are not looked at.',
      Type.Boolean({ default: true }),
    ),
    sendsDirect: explain(
      'true: this site also sends past the relay, so SPF may let its own address pass.',
      Type.Boolean({ default: false }),
    ),
  },
  closed,
);
export type DomainOptions = Static<typeof domainSchema>;
export const domainNameSchema = nameSchema;
