// docs/block-lists.md: what block lists tell, from the lists themselves.
import { refusedZones } from '../agent/probe/dead-zones.ts';
import { knownZones } from '../agent/probe/zone-data.ts';
import type { Codes, ZoneData, ZoneKind } from '../agent/probe/zone-data.ts';

const kinds: Readonly<Record<ZoneKind, string>> = {
  ip: 'IPv4, IPv6',
  ip4: 'IPv4',
  ip6: 'IPv6',
  domain: 'domains',
  unknown: 'shows itself',
};

const introduction = `# Block lists

Written by \`node docs/write-configuration.ts\` from \`agent/probe/zone-data.ts\` and \`agent/probe/dead-zones.ts\`.

The agent asks DNS block lists about the addresses and sender domains of a site, each round (\`intervalSeconds\`, 30 minutes).
\`mailferry check dnsbl\` asks now and says what helps; its exit code is that of monitoring tools (0 well, 1 warning, 2
critical, 3 nothing can be said). Every option is in [configuration.md](configuration.md).

\`\`\`yaml
probe:
  dnsbl:
    zones:
      - zen.spamhaus.org
      - bl.spamcop.net
      - dbl.spamhaus.org
    names: [nas.example.org]      # the name of dynamic DNS: its address is looked up at each round
    relayAddresses: [192.0.2.25]  # where the relay sends from; learned by itself where there is a round trip
    domains: [example.org]
\`\`\`

## What an answer says

| state | means | what to do |
|---|---|---|
| clean | the list does not hold it, and has passed its self-test through the same resolver | nothing |
| listed | it does; the reason has what the code means and the list's own words | see below |
| refused | the list does not answer this resolver | a resolver of your own, or a key of the list |
| error | time-out, SERVFAIL, REFUSED, a code that the list does not document | nothing when it passes; else look at the resolver |
| zone unhealthy | the list is empty, dead, parked, lists the whole world, or silently refuses | another resolver; else take the list out |

Only \`clean\` is clean. A list of which nothing could be learned for 6 hours is told (alert \`list-blind\`), since a listing
there would not be seen.

A listing is told after a second answer that says so (\`confirmSeconds\`), and taken back after a second one that does not
(\`clearSeconds\`). How loud it is depends on whose it is:

| | spam, infected devices | policy list (PBL) | other lists |
|---|---|---|---|
| the line of the site | warning: an infected device in the office, or the last holder of the address | info while mail leaves through a relay, else (\`relaying: false\`) a warning | as the table below says |
| the relay | warning: tell the provider | warning | info for one list, a warning for two |
| a sender domain | | | critical where mail is refused for it whatever way it takes |

A new address of the site begins anew. When more than half of the lists begin to list an address in one round, the resolver
is doubted rather than the address (alert \`listings-doubtful\`), for 6 hours.

## Resolvers and keys

Most lists refuse public resolvers (Google, Cloudflare, Quad9, OpenDNS) and those of large hosters, some of them silently.
The agent asks the resolvers of the system, one after the other, or \`resolver\`. Where they are refused, run a resolver of
your own, or ask the list for a key:

\`\`\`yaml
probe:
  dnsbl:
    zones:
      - { zone: zen.dq.spamhaus.net, key: { file: spamhaus.key } }
      - { zone: dbl.dq.spamhaus.net, key: { file: spamhaus.key } }
\`\`\`

The key goes to the resolver alone. Whoever checks the addresses of many customers needs a key for each of them: the free use
of most lists is for those who look after their own mail.

## A list of your own

\`\`\`yaml
probe:
  dnsbl:
    zones:
      - zone: bl.example.net
        kind: ip4
        codes: { 127.0.0.2: sends spam, 127.0.1.*: sent spam last year }
        refusals: { 127.0.0.255: not registered }
        severity: info
    mute: [bl.example.net]        # asked and shown, never told
\`\`\`

Without \`codes\`, any answer in 127.0.0.0/8 but 127.0.0.1 and 127.255.255.x means listed; without \`kind\`, the test entries
of the list tell what it holds. A list must hold 127.0.0.2 (lists of domains: TEST, or \`testName\`) and must not hold
127.0.0.1 (INVALID), as RFC 5782 section 5 asks; else it is unhealthy.
`;

export function buildBlockListsPage(): string {
  const known = Object.entries(knownZones).map(([zone, data]) => row(zone, data));
  const dead = Object.entries(refusedZones).map(([zone, reason]) => '| `' + zone + '` | ' + reason + ' |');
  return [
    introduction,
    '## Lists that are known',
    '',
    '| list | holds | accusations | who may ask | more |',
    '|---|---|---|---|---|',
    ...known,
    '',
    '## Lists that are refused',
    '',
    'In the configuration, with the reason.',
    '',
    '| list | why |',
    '|---|---|',
    ...dead,
    '',
  ].join('\n');
}

function row(zone: string, { codes, kind, policy, source }: ZoneData): string {
  return '| `' + zone + '` | ' + [kinds[kind], accusations(codes), policy, source].join(' | ') + ' |';
}

function accusations(codes: Codes): string {
  const meanings = codes.kind === 'any' ? [codes.meaning] : Object.values(codes.meanings);
  const bad = meanings.filter(({ level }) => level !== 'none').map(({ level, text }) => text + ' (' + level + ')');
  return bad.length === 0 ? 'none' : [...new Set(bad)].join(', ');
}
