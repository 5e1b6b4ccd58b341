// The options of block lists, and what a schema cannot say about them. Pure.
import { Type } from 'typebox';
import type { Static } from 'typebox';
import { closed, secondsSchema } from '#shared/config-fields.ts';
import { explain, secretSchema } from '#shared/config.ts';
import { addressTarget, domainTarget, toAsciiName } from './names.ts';
import { parseResolver } from './resolvers.ts';
import { ZoneRefused, openZone } from './zones.ts';

const seconds = (standard: number, minimum: number) => secondsSchema(standard, { minimum, maximum: 86_400 });
const texts = () => Type.Array(Type.String({ minLength: 3 }), { default: [] });
const words = () => Type.Record(Type.String(), Type.String({ minLength: 1 }));

const zoneSchema = Type.Object(
  {
    zone: explain('Name of the list, without a key.', Type.String({ minLength: 3 })),
    key: explain('Key of the list, put in front of its name and never shown.', Type.Optional(secretSchema)),
    kind: explain(
      'What it lists; by default what is known of it, else its test entries tell. ip: IPv4 and IPv6.',
      Type.Optional(Type.Union([Type.Literal('ip'), Type.Literal('ip4'), Type.Literal('ip6'), Type.Literal('domain')])),
    ),
    codes: explain(
      'What its answers mean: code, such as 127.0.0.2 (`*` for any octet), and meaning. Every other code is an error then.',
      Type.Optional(words()),
    ),
    refusals: explain('Answers with which it refuses: code and meaning.', Type.Optional(words())),
    testName: explain(
      'A name that it always lists, for lists of domains that do not list TEST.',
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    severity: explain(
      'How loud its listings are.',
      Type.Optional(Type.Union([Type.Literal('info'), Type.Literal('warning'), Type.Literal('critical')])),
    ),
  },
  { ...closed, description: 'the name of a block list, or {zone: NAME, ...}' },
);

export const dnsblSchema = Type.Object(
  {
    resolver: explain(
      "The resolver, as ADDRESS or ADDRESS:PORT ([ADDRESS]:PORT for IPv6); by default the system's. Most lists refuse public resolvers.",
      Type.Optional(Type.String({ minLength: 1 })),
    ),
    zones: explain(
      'Block lists to ask: names, or {zone: NAME, ...} for one with a key or one that mailferry does not know. A key may also be written into the name (KEY.zen.dq.spamhaus.net); it is never shown.',
      Type.Array(Type.Union([Type.String({ minLength: 3 }), zoneSchema]), {
        default: ['zen.spamhaus.org', 'bl.spamcop.net', 'dbl.spamhaus.org'],
      }),
    ),
    addresses: explain('Public addresses of this site, IPv4 or IPv6, asked of lists of addresses.', texts()),
    names: explain(
      'Names of this site, such as that of its dynamic DNS; their addresses are looked up at each round and asked likewise.',
      texts(),
    ),
    relayAddresses: explain(
      'Addresses that the relay sends from; their listings are for the provider to mend, and are told as such.',
      texts(),
    ),
    domains: explain('Sender domains, asked of lists of domains.', texts()),
    relaying: explain(
      'Whether mail leaves through a relay. Then it is expected that the line of the site is on policy lists (PBL).',
      Type.Boolean({ default: true }),
    ),
    mute: explain('Lists of `zones` that are asked and shown, but never raise an alert.', texts()),
    intervalSeconds: explain('Pause between two rounds, give or take a tenth.', seconds(1_800, 1)),
    confirmSeconds: explain(
      'A listing is told when a second answer says so, not earlier than this after the first one.',
      seconds(600, 0),
    ),
    clearSeconds: explain(
      'It is taken back when a second answer says so, not earlier than this after the first one.',
      seconds(3_600, 0),
    ),
  },
  closed,
);
export type DnsblOptions = Static<typeof dnsblSchema>;
export type ZoneOption = DnsblOptions['zones'][number];

export type DnsblProblem = {
  readonly path: readonly (string | number)[];
  readonly found: string;
  readonly expected: string;
};

export function findDnsblProblem(options: DnsblOptions): DnsblProblem | undefined {
  const { addresses, domains, mute, names, relayAddresses, resolver } = options;
  if (resolver !== undefined && parseResolver(resolver) === undefined)
    return {
      path: ['resolver'],
      found: JSON.stringify(resolver),
      expected: 'ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT (an address, not a name)',
    };
  const isAddress = (text: string): boolean => addressTarget(text.trim()) !== undefined;
  const isHost = (text: string): boolean => !isAddress(text) && (toAsciiName(text) ?? '').includes('.');
  return (
    findBad('addresses', addresses, isAddress, 'an IPv4 or IPv6 address') ??
    findBad('names', names, isHost, 'a host name such as nas.example.org') ??
    findBad('relayAddresses', relayAddresses, isAddress, 'an IPv4 or IPv6 address') ??
    findBad('domains', domains, (text) => domainTarget(text) !== undefined, 'a domain such as example.org') ??
    findBadZone(options) ??
    findBad('mute', mute, (text) => labelsOf(options).includes(openZone(text).label), 'a list of `zones`')
  );
}

function findBad(
  option: string,
  values: readonly string[],
  fits: (text: string) => boolean,
  expected: string,
): DnsblProblem | undefined {
  const index = values.findIndex((text) => !fits(text));
  return index < 0 ? undefined : { path: [option, index], found: JSON.stringify(values[index]), expected };
}

function findBadZone({ zones }: DnsblOptions): DnsblProblem | undefined {
  const labels: string[] = [];
  for (const [index, option] of zones.entries()) {
    const path = typeof option === 'string' ? ['zones', index] : ['zones', index, 'zone'];
    try {
      const { label } = typeof option === 'string' ? openZone(option) : openZone(option.zone, option);
      const code = typeof option === 'string' ? undefined : findBadCode(option);
      if (code !== undefined) return { ...code, path: ['zones', index, ...code.path] };
      if (labels.includes(label)) return { path, found: label + ' for the second time', expected: 'every list once' };
      labels.push(label);
    } catch (error) {
      if (!(error instanceof ZoneRefused)) throw error;
      return { path, found: error.label + ': ' + error.found, expected: error.expected };
    }
  }
  return undefined;
}

function findBadCode(zone: Exclude<ZoneOption, string>): DnsblProblem | undefined {
  for (const option of ['codes', 'refusals'] as const) {
    const bad = Object.keys(zone[option] ?? {}).find((code) => !/^127(?:\.(?:\d{1,3}|\*)){3}$/.test(code));
    if (bad === undefined) continue;
    return { path: [option, bad], found: JSON.stringify(bad), expected: 'an answer such as 127.0.0.2 or 127.0.*.3' };
  }
  return undefined;
}

function labelsOf({ zones }: DnsblOptions): readonly string[] {
  return zones.map((option) =>
    typeof option === 'string' ? openZone(option).label : openZone(option.zone, option).label,
  );
}
