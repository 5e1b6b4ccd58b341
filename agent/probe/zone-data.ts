// The block lists we know, as data: what their codes mean, with which codes they refuse, and which lists are dead.
// A code means nothing by itself: one list's "listed" is another one's "I do not talk to you".

export type Codes =
  /** Whole address -> meaning. */
  | { readonly kind: 'table'; readonly meanings: Readonly<Record<string, string>> }
  /** Bits of the last octet -> meaning. */
  | { readonly kind: 'bits'; readonly meanings: Readonly<Record<number, string>> }
  /** Any address in 127.0.0.0/8 that is not a refusal. */
  | { readonly kind: 'any' };

/** ip: IPv4 and IPv6 addresses; ip4, ip6: only those; domain: names; unknown: the self-test finds out. */
export type ZoneKind = 'ip' | 'ip4' | 'ip6' | 'domain' | 'unknown';

export type ZoneData = {
  readonly kind: ZoneKind;
  readonly codes: Codes;
  /** Codes with which the list refuses, beside those of every list. */
  readonly refusals?: Readonly<Record<string, string>>;
  /** Codes that are no accusation but a fact about the line; they count as clean and are told. */
  readonly expected?: Readonly<Record<string, string>>;
  /** A name that a domain list always lists, when it is not TEST (RFC 5782 section 5). */
  readonly testName?: string;
  readonly note: string;
};

/** Refusals that any list may use (Spamhaus began; others followed). */
export const commonRefusals: Readonly<Record<string, string>> = {
  '127.255.255.252': 'the zone name is mistyped',
  '127.255.255.254':
    'asked through a public or unattributable resolver; use a resolver of your own or a key of the list',
  '127.255.255.255': 'too many queries, or no account at the list',
};

const pbl = 'on the policy list (PBL): expected for a line that sends through a relay';
const zen: ZoneData = {
  kind: 'ip',
  codes: {
    kind: 'table',
    meanings: {
      '127.0.0.2': 'SBL',
      '127.0.0.3': 'CSS',
      '127.0.0.4': 'XBL',
      '127.0.0.5': 'XBL',
      '127.0.0.6': 'XBL',
      '127.0.0.7': 'XBL',
      '127.0.0.9': 'DROP',
    },
  },
  expected: { '127.0.0.10': pbl, '127.0.0.11': pbl },
  note: 'free for small non-commercial use; through public resolvers only with a key (zone KEY.zen.dq.spamhaus.net)',
};
const dbl: ZoneData = {
  kind: 'domain',
  codes: {
    kind: 'table',
    meanings: {
      '127.0.1.2': 'spam domain',
      '127.0.1.4': 'phishing domain',
      '127.0.1.5': 'malware domain',
      '127.0.1.6': 'botnet domain',
      '127.0.1.102': 'abused legitimate domain',
      '127.0.1.103': 'abused redirector',
      '127.0.1.104': 'abused legitimate domain (phishing)',
      '127.0.1.105': 'abused legitimate domain (malware)',
      '127.0.1.106': 'abused legitimate domain (botnet)',
    },
  },
  refusals: { '127.0.1.255': 'an address was asked of a list of domains' },
  testName: 'dbltest.com',
  note: 'a list of domains: an address is never asked; key as for zen',
};

const listedAt2 = (note: string, kind: ZoneKind = 'ip4'): ZoneData => ({ kind, codes: { kind: 'any' }, note });

export const knownZones: Readonly<Record<string, ZoneData>> = {
  'zen.spamhaus.org': zen,
  'zen.dq.spamhaus.net': zen,
  'dbl.spamhaus.org': dbl,
  'dbl.dq.spamhaus.net': dbl,
  'b.barracudacentral.org': listedAt2('free, but the address of the resolver must be registered'),
  'bl.spamcop.net': listedAt2('free'),
  'psbl.surriel.com': listedAt2('free; anybody can remove an address'),
  'bl.mailspike.net': listedAt2('free'),
  'rep.mailspike.net': {
    kind: 'ip4',
    codes: {
      kind: 'table',
      meanings: {
        '127.0.0.10': 'worst reputation',
        '127.0.0.11': 'very bad reputation',
        '127.0.0.12': 'bad reputation',
      },
    },
    expected: Object.fromEntries(
      [13, 14, 15, 16, 17, 18, 19, 20].map((code) => [
        '127.0.0.' + code,
        code < 17 ? 'neutral reputation' : 'good reputation',
      ]),
    ),
    note: 'a reputation list: only .10 to .12 are bad',
  },
  'multi.surbl.org': {
    kind: 'domain',
    codes: {
      kind: 'bits',
      meanings: { 4: 'DM', 8: 'phishing', 16: 'malware', 32: 'click tracking', 64: 'abuse', 128: 'cracked site' },
    },
    refusals: { '127.0.0.1': 'the list refuses this resolver' },
    testName: 'test.surbl.org',
    note: 'free for small sites',
  },
  'multi.uribl.com': {
    kind: 'domain',
    codes: { kind: 'bits', meanings: { 2: 'black', 4: 'grey', 8: 'red' } },
    refusals: { '127.0.0.1': 'the list refuses this resolver' },
    testName: 'test.uribl.com',
    note: 'free at low volume, public resolvers are refused',
  },
  'bl.blocklist.de': listedAt2('free'),
  'bl.spameatingmonkey.net': listedAt2('has limits'),
  'bl.ipv6.spameatingmonkey.net': listedAt2('has limits', 'ip6'),
  'uribl.spameatingmonkey.net': listedAt2('has limits', 'domain'),
  'truncate.gbudb.net': listedAt2('free'),
  'bip.virusfree.cz': listedAt2('botnet addresses', 'ip'),
  'dnsbl-1.uceprotect.net': listedAt2('single addresses, expire after 7 days'),
  'dnsbl-2.uceprotect.net': listedAt2('whole networks: says little about one address'),
  'dnsbl-3.uceprotect.net': listedAt2('whole providers: says little about one address'),
  'combined.mail.abusix.zone': listedAt2('needs an account and a key (zone KEY.combined.mail.abusix.zone)', 'ip'),
  'dblack.mail.abusix.zone': listedAt2('needs an account and a key', 'domain'),
  'dnsbl.dronebl.org': listedAt2('made for IRC'),
};

/** Lists that take a key as the first label of the zone: KEY.zen.dq.spamhaus.net. */
export const keyedSuffixes: readonly string[] = ['dq.spamhaus.net', 'mail.abusix.zone'];

/** A zone, or every zone below it, and why it must not be asked. */
export const refusedZones: Readonly<Record<string, string>> = {
  'dnsbl.sorbs.net': 'shut down in June 2024, answers nothing',
  'ix.dnsbl.manitu.net': 'shut down in January 2025, answers nothing',
  'ahbl.org': 'shut down in 2015, lists the whole world',
  'relays.ordb.org': 'shut down, listed the whole world',
  'list.dsbl.org': 'shut down in 2008',
  'dnsbl.njabl.org': 'shut down in 2013',
  'rfc-ignorant.org': 'shut down in 2012',
  'rbl.megarbl.net': 'its domain lapsed, lists the whole world',
  'bl.spamcannibal.org': 'its domain lapsed in 2019',
  'bl.emailbasura.org': 'its domain was bought by a speculator, lists the whole world',
  'rbl.msrbl.net': 'its domain lapsed twice, listed the whole world',
  'dul.ru': 'lists the whole world since 2015',
  'dnsbl.inps.de': 'shut down in 2020, answers nothing',
  'ubl.unsubscore.com': 'shut down',
  'dnsbl.madavi.de': 'shut down in March 2025',
  'spam.dnsbl.anonmails.de': 'shut down',
  'cidr.bl.mcafee.com': 'shut down',
  'sbl.spamdown.org': 'lists the whole world since 2026',
  'ips.backscatterer.org': 'has answered with the address of a parked domain',
  'spam.abuse.ch': 'shut down, its servers fail',
  'combined.abuse.ch': 'shut down, its servers fail',
  'drone.abuse.ch': 'shut down, its servers fail',
  'dnsbl.darklist.de': 'shut down',
  'list.bbfh.org': 'shut down',
  'dul.pacifier.net': 'shut down',
  'dynip.rothen.com': 'shut down',
  'tr.countries.nerd.dk': 'says in which country an address is, not whether it is bad',
  'rbl.spamhaus.org': 'has never existed; zen.spamhaus.org is meant',
  'list.dnswl.org': 'lists good senders',
  'swl.spamhaus.org': 'lists good senders',
  'wl.mailspike.net': 'lists good senders',
  'hostkarma.junkemailfilter.com': 'mixes good and bad senders and cannot be tested (RFC 5782 section 5)',
  'score.senderscore.com': 'refuses everybody without an account',
  'bl.score.senderscore.com': 'refuses everybody without an account',
};
