// The options of the domains that are watched, and what a schema cannot say about them. Pure.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, secondsSchema } from '#shared/config-fields.ts';
import { explain } from '#shared/config.ts';
import { addressTarget, toAsciiName } from '../names.ts';
import { parseResolver } from '../resolvers.ts';

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

const addressSchema = Type.String({ minLength: 3, description: 'an IPv4 or IPv6 address' });

export const domainCheckSchema = Type.Object(
  {
    domains: explain(
      'The domains that mail is sent from, or received for.',
      Type.Array(domainSchema, { default: [], maxItems: 64 }),
    ),
    names: explain(
      'Names of dynamic DNS that lead to this site: where they lead is compared with where its mail comes from. Those of `dnsbl.names` are looked at too.',
      Type.Array(nameSchema, { default: [], maxItems: 16 }),
    ),
    relayAddresses: explain(
      'Addresses from which the relay sends on, beside those of `dnsbl.relayAddresses` and those that round trips show.',
      Type.Array(addressSchema, { default: [], maxItems: 16 }),
    ),
    resolver: explain(
      "The resolver, as ADDRESS or ADDRESS:PORT ([ADDRESS]:PORT for IPv6); by default the system's.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    intervalSeconds: explain(
      'Pause between two looks, give or take a tenth.',
      secondsSchema(3_600, { minimum: 60, maximum: 86_400 }),
    ),
  },
  closed,
);
export type DomainCheckOptions = Static<typeof domainCheckSchema>;

export type DomainProblem = {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
};

/** What a schema cannot say. */
export function findDomainProblem(options: DomainCheckOptions): DomainProblem | undefined {
  const { domains, names, relayAddresses, resolver } = options;
  if (resolver !== undefined && parseResolver(resolver) === undefined)
    return { path: ['resolver'], found: JSON.stringify(resolver), expected: 'ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT' };
  const badAddress = relayAddresses.findIndex((text) => addressTarget(text) === undefined);
  if (badAddress >= 0)
    return {
      path: ['relayAddresses', badAddress],
      found: JSON.stringify(relayAddresses[badAddress]),
      expected: 'an IPv4 or IPv6 address',
    };
  const all = domains.map(({ name }) => toAsciiName(name));
  for (const [index, { name }] of domains.entries()) {
    const path = ['domains', index, 'name'];
    const own = all[index];
    if (own === undefined || !own.includes('.'))
      return { path, found: JSON.stringify(name), expected: 'a domain such as example.org' };
    if (all.indexOf(own) < index)
      return {
        path,
        found: JSON.stringify(name) + ' for the second time',
        expected: 'a domain that no other entry has',
      };
  }
  const badName = names.findIndex((name) => toAsciiName(name) === undefined);
  if (badName < 0) return undefined;
  return {
    path: ['names', badName],
    found: JSON.stringify(names[badName]),
    expected: 'a name such as office.example.net',
  };
}
