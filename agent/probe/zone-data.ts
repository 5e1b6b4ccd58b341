// The block lists we know, as data: what their codes mean, how loud each meaning is, with which codes they refuse, and what
// their operators ask of those who ask. A code means nothing by itself: one list's "listed" is another one's "go away".

/**
 * spam, exploited: addresses on the lists that nearly every receiver uses (exploited: infected devices, open proxies);
 * policy: a line from which no mail should come directly; network: the whole neighbourhood; abused: a good domain that was
 * broken into; good: a recommendation; listed: any other accusation.
 */
export const listingClasses = ['spam', 'exploited', 'policy', 'network', 'domain', 'abused', 'listed', 'good'] as const;
export type ListingClass = (typeof listingClasses)[number];
/** How loud; `none` is not told at all. In order. */
export const levels = ['none', 'info', 'warning', 'critical'] as const;
export type Level = (typeof levels)[number];

export type Meaning = { readonly text: string; readonly class: ListingClass; readonly level: Level };

export type Codes =
  /** Address -> meaning. An octet may be `*`. */
  | { readonly kind: 'table'; readonly meanings: Readonly<Record<string, Meaning>> }
  /** Bits of the last octet -> meaning. */
  | { readonly kind: 'bits'; readonly meanings: Readonly<Record<number, Meaning>> }
  /** Any address in 127.0.0.0/8 that is not a refusal. */
  | { readonly kind: 'any'; readonly meaning: Meaning };

/** ip: IPv4 and IPv6 addresses; ip4, ip6: only those; domain: names; unknown: the self-test finds out. */
export type ZoneKind = 'ip' | 'ip4' | 'ip6' | 'domain' | 'unknown';

export type ZoneData = {
  readonly kind: ZoneKind;
  readonly codes: Codes;
  /** Codes with which the list refuses, beside those of every list. An octet may be `*`. */
  readonly refusals?: Readonly<Record<string, string>>;
  /** A name that a domain list always lists, when it is not TEST (RFC 5782 section 5). */
  readonly testName?: string;
  /** Test entries that this list does not keep to: `listed` 127.0.0.2 or TEST, `clean` 127.0.0.1 or INVALID. */
  readonly untested?: readonly ('listed' | 'clean')[];
  /** Who may ask, and how. */
  readonly policy: string;
  /** Where that is written, or where the list can be asked for removal. */
  readonly source: string;
};

/** Refusals that any list may use (Spamhaus began; others followed). */
export const commonRefusals: Readonly<Record<string, string>> = {
  '127.255.255.252': 'the zone name is mistyped',
  '127.255.255.254':
    'asked through a public or unattributable resolver; use a resolver of your own or a key of the list',
  '127.255.255.255': 'too many queries, or no account at the list',
};

const is = (text: string, one: ListingClass, level: Level): Meaning => ({ text, class: one, level });
const policyList = is('on the policy list (PBL): expected for a line that sends through a relay', 'policy', 'info');
const zen: ZoneData = {
  kind: 'ip',
  codes: {
    kind: 'table',
    meanings: {
      '127.0.0.2': is('SBL', 'spam', 'warning'),
      '127.0.0.3': is('CSS', 'spam', 'warning'),
      '127.0.0.4': is('XBL', 'exploited', 'warning'),
      '127.0.0.5': is('XBL', 'exploited', 'warning'),
      '127.0.0.6': is('XBL', 'exploited', 'warning'),
      '127.0.0.7': is('XBL', 'exploited', 'warning'),
      '127.0.0.9': is('DROP', 'spam', 'warning'),
      '127.0.0.10': policyList,
      '127.0.0.11': policyList,
    },
  },
  policy: 'free for small non-commercial use; through public resolvers only with a key (zone KEY.zen.dq.spamhaus.net)',
  source: 'https://check.spamhaus.org/',
};
const dbl: ZoneData = {
  kind: 'domain',
  codes: {
    kind: 'table',
    meanings: {
      '127.0.1.2': is('spam domain', 'domain', 'critical'),
      '127.0.1.4': is('phishing domain', 'domain', 'critical'),
      '127.0.1.5': is('malware domain', 'domain', 'critical'),
      '127.0.1.6': is('botnet domain', 'domain', 'critical'),
      '127.0.1.102': is('abused legitimate domain', 'abused', 'warning'),
      '127.0.1.103': is('abused redirector', 'abused', 'warning'),
      '127.0.1.104': is('abused legitimate domain (phishing)', 'abused', 'warning'),
      '127.0.1.105': is('abused legitimate domain (malware)', 'abused', 'warning'),
      '127.0.1.106': is('abused legitimate domain (botnet)', 'abused', 'warning'),
    },
  },
  refusals: { '127.0.1.255': 'an address was asked of a list of domains' },
  testName: 'dbltest.com',
  policy: 'a list of domains: an address is never asked; key as for zen',
  source: 'https://check.spamhaus.org/',
};

const plain = (
  policy: string,
  source: string,
  level: Level,
  more: { readonly kind?: ZoneKind; readonly class?: ListingClass } = {},
): ZoneData => ({
  kind: more.kind ?? 'ip4',
  codes: { kind: 'any', meaning: is('listed', more.class ?? 'listed', level) },
  policy,
  source,
});

export const knownZones: Readonly<Record<string, ZoneData>> = {
  'zen.spamhaus.org': zen,
  'zen.dq.spamhaus.net': zen,
  'dbl.spamhaus.org': dbl,
  'dbl.dq.spamhaus.net': dbl,
  'b.barracudacentral.org': plain(
    'free, but the address of the resolver must be registered',
    'https://www.barracudacentral.org/rbl/how-to-use',
    'warning',
  ),
  'bl.spamcop.net': plain('free', 'https://www.spamcop.net/bl.shtml', 'warning'),
  'psbl.surriel.com': plain('free; anybody can remove an address', 'https://psbl.org/remove', 'warning'),
  'bl.mailspike.net': plain('free', 'https://mailspike.org/', 'warning'),
  'rep.mailspike.net': {
    kind: 'ip4',
    codes: {
      kind: 'table',
      meanings: {
        '127.0.0.10': is('worst reputation', 'listed', 'warning'),
        '127.0.0.11': is('very bad reputation', 'listed', 'warning'),
        '127.0.0.12': is('bad reputation', 'listed', 'warning'),
        ...Object.fromEntries(
          [13, 14, 15, 16, 17, 18, 19, 20].map((code) => [
            '127.0.0.' + code,
            is(code < 17 ? 'neutral reputation' : 'good reputation', 'good', 'none'),
          ]),
        ),
      },
    },
    policy: 'a reputation list: only .10 to .12 are bad',
    source: 'https://mailspike.org/',
  },
  'multi.surbl.org': {
    kind: 'domain',
    codes: {
      kind: 'bits',
      meanings: {
        4: is('DM', 'domain', 'critical'),
        8: is('phishing', 'domain', 'critical'),
        16: is('malware', 'domain', 'critical'),
        32: is('click tracking', 'domain', 'critical'),
        64: is('abuse', 'domain', 'critical'),
        128: is('cracked site', 'domain', 'critical'),
      },
    },
    refusals: { '127.0.0.1': 'the list refuses this resolver' },
    testName: 'test.surbl.org',
    policy: 'free for small sites',
    source: 'https://surbl.org/guidelines',
  },
  'multi.uribl.com': {
    kind: 'domain',
    codes: {
      kind: 'bits',
      meanings: {
        2: is('black', 'domain', 'warning'),
        4: is('grey', 'domain', 'info'),
        8: is('red', 'domain', 'info'),
      },
    },
    refusals: { '127.0.0.1': 'the list refuses this resolver' },
    testName: 'test.uribl.com',
    policy: 'free at low volume, public resolvers are refused',
    source: 'https://uribl.com/refused.shtml',
  },
  'bl.blocklist.de': plain('free', 'https://www.blocklist.de/', 'warning'),
  'bl.spameatingmonkey.net': plain('has limits', 'https://spameatingmonkey.com/', 'info'),
  'bl.ipv6.spameatingmonkey.net': plain('has limits', 'https://spameatingmonkey.com/', 'info', { kind: 'ip6' }),
  'uribl.spameatingmonkey.net': plain('has limits', 'https://spameatingmonkey.com/', 'info', {
    kind: 'domain',
    class: 'domain',
  }),
  'truncate.gbudb.net': plain('free', 'http://www.gbudb.com/truncate/', 'info'),
  'bip.virusfree.cz': plain('botnet addresses', 'https://bip.virusfree.cz/', 'info', {
    kind: 'ip',
    class: 'exploited',
  }),
  'dnsbl-1.uceprotect.net': plain('single addresses, expire after 7 days', 'https://www.uceprotect.net/', 'info'),
  'dnsbl-2.uceprotect.net': plain(
    'whole networks: says little about one address',
    'https://www.uceprotect.net/',
    'info',
    {
      class: 'network',
    },
  ),
  'dnsbl-3.uceprotect.net': plain(
    'whole providers: says little about one address',
    'https://www.uceprotect.net/',
    'info',
    {
      class: 'network',
    },
  ),
  'combined.mail.abusix.zone': plain(
    'needs an account and a key (zone KEY.combined.mail.abusix.zone)',
    'https://abusix.com/',
    'warning',
    { kind: 'ip' },
  ),
  'dblack.mail.abusix.zone': plain('needs an account and a key', 'https://abusix.com/', 'warning', {
    kind: 'domain',
    class: 'domain',
  }),
  'dnsbl.dronebl.org': plain('made for IRC', 'https://dronebl.org/', 'info'),
  'list.dnswl.org': {
    kind: 'ip',
    codes: {
      kind: 'table',
      meanings: {
        '127.0.*.0': is('known sender, no trust', 'good', 'none'),
        '127.0.*.1': is('known sender, low trust', 'good', 'none'),
        '127.0.*.2': is('known sender, medium trust', 'good', 'none'),
        '127.0.*.3': is('known sender, high trust', 'good', 'none'),
      },
    },
    refusals: { '127.0.0.255': 'too many queries', '127.0.10.*': 'too many queries' },
    // Not to be on a list of good senders accuses nobody, so a dead one does no harm.
    untested: ['listed'],
    policy: 'a list of good senders; free at low volume',
    source: 'https://www.dnswl.org/',
  },
  'hostkarma.junkemailfilter.com': {
    kind: 'ip4',
    codes: {
      kind: 'table',
      meanings: {
        '127.0.0.1': is('white', 'good', 'none'),
        '127.0.0.2': is('black', 'listed', 'info'),
        '127.0.0.3': is('yellow: mixed', 'good', 'none'),
        '127.0.0.4': is('brown', 'listed', 'info'),
        '127.0.0.5': is('not to be blocked', 'good', 'none'),
      },
    },
    // It holds 127.0.0.1 on purpose, among the good ones.
    untested: ['clean'],
    policy: 'mixes good and bad senders',
    source: 'https://wiki.junkemailfilter.com/index.php/Spam_DNS_Lists',
  },
};

/** Lists that take a key as the first label of the zone: KEY.zen.dq.spamhaus.net. */
export const keyedSuffixes: readonly string[] = ['dq.spamhaus.net', 'mail.abusix.zone'];
