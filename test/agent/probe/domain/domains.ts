// Domains with known faults, as their zones, and what is to be found of each. The table is the oracle: written by what the RFCs
// and receivers say, not by what our code says. Findings that all is well are left out of it.
import { generateKeyPairSync } from 'node:crypto';
import type { DomainOptions } from '../../../../agent/probe/domain/domain-options.ts';
import type { Records, Zones } from './zone-server.ts';

export const relayAddress = '203.0.113.9';
export const siteAddress = '198.51.100.7';

export type Case = {
  readonly name: string;
  readonly options?: Partial<DomainOptions>;
  /** Below the domain; `@` is the domain itself. */
  readonly zone: Readonly<Record<string, Records | 'SERVFAIL' | 'SILENCE'>>;
  /** `LEVEL CHECK: TEXT`. */
  readonly found: readonly string[];
};

function rsa(bits: number): string {
  return generateKeyPairSync('rsa', { modulusLength: bits })
    .publicKey.export({ type: 'spki', format: 'der' })
    .toString('base64');
}
const key2048 = rsa(2_048);
const ed25519 = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).subarray(-32);

const spf = 'v=spf1 include:_spf.provider.test -all';
const mx = ['10 mx.provider.test'];
const well: Case['zone'] = {
  '@': { MX: mx, TXT: [spf, 'some-site-verification=abc'] },
  _dmarc: { TXT: ['v=DMARC1; p=quarantine; rua=mailto:dmarc@@DOMAIN@'] },
  's1._domainkey': { TXT: ['v=DKIM1; k=rsa; p=' + key2048] },
};
const withSpf = (...texts: readonly string[]): Case['zone'] => ({ ...well, '@': { MX: mx, TXT: texts } });
const withMx = (...records: readonly string[]): Case['zone'] => ({ ...well, '@': { MX: records, TXT: [spf] } });
const withDkim = (...texts: readonly string[]): Case['zone'] => ({ ...well, 's1._domainkey': { TXT: texts } });
const withDmarc = (...texts: readonly string[]): Case['zone'] => ({ ...well, _dmarc: { TXT: texts } });
const without = (name: string): Case['zone'] =>
  Object.fromEntries(Object.entries(well).filter(([key]) => key !== name));

/** What all of them share. */
export const common: Zones = {
  'mx.provider.test': { A: ['203.0.113.25'] },
  'mx2.provider.test': { AAAA: ['2001:db8::25'] },
  'mx.stranger.test': { A: ['203.0.113.66'] },
  'alias.provider.test': { CNAME: ['mx.provider.test'] },
  'home.provider.test': { A: ['192.168.1.5'] },
  '_spf.provider.test': { TXT: ['v=spf1 ip4:203.0.113.0/28 -all'] },
  'office.ddns.test': { A: [siteAddress] },
  'broken.provider.test': 'SERVFAIL',
  'reports.test': { A: ['203.0.113.80'] },
  'agreed.test._report._dmarc.reports.test': { TXT: ['v=DMARC1'] },
  ...Object.fromEntries(
    Array.from({ length: 12 }, (_, n) => ['n' + n + '.spf.test', { TXT: ['v=spf1 ip4:192.0.2.' + n + ' -all'] }]),
  ),
};

export const cases: readonly Case[] = [
  { name: 'well.test', zone: well, found: [] },
  { name: 'two-hosts.test', zone: withMx('10 mx.provider.test', '20 mx2.provider.test'), found: [] },
  { name: 'no-such-domain.test', zone: {}, found: ['critical mx: the domain does not exist in DNS'] },
  {
    name: 'address-only.test',
    zone: { ...well, '@': { A: ['203.0.113.99'], TXT: [spf] } },
    found: ['warning mx: no MX: mail goes to the address of the domain itself, 203.0.113.99'],
  },
  {
    name: 'no-mx.test',
    zone: { ...well, '@': { TXT: [spf] } },
    found: ['critical mx: no MX and no address: mail for the domain cannot be delivered'],
  },
  {
    name: 'null-mx.test',
    zone: withMx('0 .'),
    found: ['critical mx: the domain says that it takes no mail (null MX, RFC 7505)'],
  },
  { name: 'sends-only.test', options: { receives: false }, zone: withMx('0 .'), found: [] },
  {
    name: 'null-and-other.test',
    zone: withMx('0 .', '10 mx.provider.test'),
    found: ['critical mx: one MX says that the domain takes no mail, beside 1 that say where it goes (RFC 7505)'],
  },
  {
    name: 'mx-alias.test',
    zone: withMx('10 alias.provider.test'),
    found: ['warning mx: MX host alias.provider.test is an alias of mx.provider.test; some servers refuse that'],
  },
  {
    name: 'mx-address.test',
    zone: withMx('10 203.0.113.25'),
    found: [
      'critical mx: MX names the address 203.0.113.25 in the place of a host; mail for the domain cannot be delivered',
    ],
  },
  {
    name: 'mx-gone.test',
    zone: withMx('10 old.provider.test'),
    found: ['critical mx: MX host old.provider.test has no address; mail for the domain cannot be delivered'],
  },
  {
    name: 'mx-half-gone.test',
    zone: withMx('10 mx.provider.test', '20 old.provider.test'),
    found: ['warning mx: MX host old.provider.test has no address'],
  },
  {
    name: 'mx-private.test',
    zone: withMx('10 home.provider.test'),
    found: [
      'critical mx: MX host home.provider.test has only the private address 192.168.1.5; mail for the domain cannot be delivered',
    ],
  },
  {
    name: 'mx-hijacked.test',
    options: { mx: ['mx.provider.test'] },
    zone: withMx('10 mx.stranger.test'),
    found: ['critical mx: MX is not as configured; not expected: mx.stranger.test; missing: mx.provider.test'],
  },
  {
    name: 'mx-lost-one.test',
    options: { mx: ['mx.provider.test', 'MX2.provider.test.'] },
    zone: withMx('10 mx.provider.test'),
    found: ['warning mx: MX is not as configured; missing: mx2.provider.test'],
  },
  {
    name: 'spf-none.test',
    zone: withSpf('v=spf10 is something else'),
    found: [
      'warning spf: no SPF record: receivers cannot tell who may send for the domain, and large ones refuse such mail',
    ],
  },
  {
    name: 'spf-two.test',
    zone: withSpf(spf, 'v=spf1 -all'),
    found: ['critical spf: 2 SPF records: receivers take that for none that is valid (RFC 7208 section 4.5)'],
  },
  {
    name: 'spf-too-many.test',
    zone: withSpf('v=spf1 ' + Array.from({ length: 11 }, (_, n) => 'include:n' + n + '.spf.test').join(' ') + ' -all'),
    found: ['critical spf: needs 11 look-ups, receivers stop at 10 and take the record for broken'],
  },
  {
    name: 'spf-nearly.test',
    zone: withSpf(
      'v=spf1 include:_spf.provider.test ' +
        Array.from({ length: 9 }, (_, n) => 'include:n' + n + '.spf.test').join(' ') +
        ' -all',
    ),
    found: ['info spf: 10 of 10 look-ups: one more include may break it'],
  },
  {
    name: 'spf-voids.test',
    zone: withSpf('v=spf1 a:gone1.test a:gone2.test a:gone3.test include:_spf.provider.test -all'),
    found: ['critical spf: 3 names in it do not exist, receivers stop at 2 and take the record for broken'],
  },
  {
    name: 'spf-everybody.test',
    zone: withSpf('v=spf1 include:_spf.provider.test +all'),
    found: ['critical spf: the SPF record lets everybody send for the domain: v=spf1 include:_spf.provider.test +all'],
  },
  {
    name: 'spf-foreign.test',
    zone: withSpf('v=spf1 ip4:192.0.2.77 -all'),
    found: ['critical spf: the relay sends from 203.0.113.9, which the SPF record does not allow (fail)'],
  },
  {
    name: 'spf-softly-foreign.test',
    zone: withSpf('v=spf1 ip4:192.0.2.77 ~all'),
    found: ['critical spf: the relay sends from 203.0.113.9, which the SPF record does not allow (softfail)'],
  },
  {
    name: 'spf-typing-error.test',
    zone: withSpf('v=spf1 inlcude:_spf.provider.test -all'),
    found: [
      'critical spf: the record is broken: the term inlcude:_spf.provider.test is not known (record of spf-typing-error.test)',
    ],
  },
  {
    name: 'spf-include-gone.test',
    zone: withSpf('v=spf1 include:gone.provider.test -all'),
    found: ['critical spf: the record is broken: it includes gone.provider.test, which has no SPF record'],
  },
  {
    name: 'spf-round.test',
    zone: withSpf('v=spf1 include:spf-round.test -all'),
    found: ['critical spf: needs more than 40 look-ups, receivers stop at 10 and take the record for broken'],
  },
  {
    name: 'spf-line.test',
    zone: withSpf('v=spf1 a:office.ddns.test include:_spf.provider.test -all'),
    found: [
      'warning spf: lets the line of this site send too, 198.51.100.7: whoever has the address next may send for the domain',
    ],
  },
  {
    name: 'spf-line-wanted.test',
    options: { sendsDirect: true },
    zone: withSpf('v=spf1 a:office.ddns.test include:_spf.provider.test -all'),
    found: [],
  },
  {
    name: 'spf-open-end.test',
    zone: withSpf('v=spf1 include:_spf.provider.test ?all'),
    found: ['info spf: says nothing against other senders'],
  },
  {
    name: 'spf-ptr.test',
    zone: withSpf('v=spf1 include:_spf.provider.test ptr -all'),
    found: ['info spf: uses ptr, which receivers may pass over (RFC 7208 section 5.5)'],
  },
  {
    name: 'spf-not-now.test',
    zone: withSpf('v=spf1 include:broken.provider.test -all'),
    found: ['unknown spf: cannot be evaluated now: SERVER: SERVFAIL'],
  },
  {
    name: 'dkim-none.test',
    zone: without('s1._domainkey'),
    found: ['critical dkim: s1: no key is published: signatures with it cannot be verified'],
  },
  {
    name: 'dkim-revoked.test',
    zone: withDkim('v=DKIM1; p='),
    found: ['critical dkim: s1: the key is revoked (p= is empty)'],
  },
  {
    name: 'dkim-weak.test',
    zone: withDkim('v=DKIM1; k=rsa; p=' + rsa(768)),
    found: ['critical dkim: s1: an RSA key of 768 bits, which receivers do not accept (RFC 8301)'],
  },
  {
    name: 'dkim-short.test',
    zone: withDkim('p=' + rsa(1_024)),
    found: ['info dkim: s1: an RSA key of 1024 bits; 2048 are wanted'],
  },
  { name: 'dkim-long.test', zone: withDkim('v=DKIM1; k=rsa; p=' + rsa(4_096)), found: [] },
  { name: 'dkim-ed25519.test', zone: withDkim('v=DKIM1; k=ed25519; p=' + ed25519.toString('base64')), found: [] },
  {
    name: 'dkim-cut.test',
    zone: withDkim('v=DKIM1; k=rsa; p=' + key2048.slice(0, 255)),
    found: ['critical dkim: s1: the key is damaged, perhaps cut off'],
  },
  {
    name: 'dkim-two.test',
    zone: withDkim('v=DKIM1; p=' + key2048, 'v=DKIM1; p='),
    found: ['critical dkim: s1: 2 records: receivers may take any of them'],
  },
  {
    name: 'dkim-sha1.test',
    zone: withDkim('v=DKIM1; h=sha1; p=' + key2048),
    found: ['critical dkim: s1: allows sha1 alone, which receivers no longer accept (RFC 8301)'],
  },
  {
    name: 'dkim-test.test',
    zone: withDkim('v=DKIM1; t=y; p=' + key2048),
    found: ['info dkim: s1: an RSA key of 2048 bits, marked as a test (t=y): receivers pass over signatures that fail'],
  },
  {
    name: 'dkim-by-alias.test',
    zone: {
      ...well,
      's1._domainkey': { CNAME: ['s1.keys.dkim-by-alias.test'] },
      's1.keys': { TXT: ['v=DKIM1; p=' + key2048] },
    },
    found: [],
  },
  {
    name: 'dmarc-none.test',
    zone: without('_dmarc'),
    found: [
      'warning dmarc: no DMARC record: anybody can write in the name of the domain, and large receivers ask for one',
    ],
  },
  {
    name: 'dmarc-two.test',
    zone: withDmarc('v=DMARC1; p=none', 'v=DMARC1; p=reject'),
    found: ['critical dmarc: 2 DMARC records: receivers pass over all of them'],
  },
  {
    name: 'dmarc-watching.test',
    zone: withDmarc('v=DMARC1; p=none; rua=mailto:d@dmarc-watching.test'),
    found: ['info dmarc: the policy is none: forged mail is only reported'],
  },
  {
    name: 'dmarc-no-policy.test',
    zone: withDmarc('v=DMARC1; rua=mailto:d@dmarc-no-policy.test'),
    found: ['critical dmarc: the record has no policy (p=)'],
  },
  {
    name: 'dmarc-unread.test',
    zone: withDmarc('v=DMARC1; p=reject'),
    found: ['info dmarc: nobody gets the reports of receivers (no rua)'],
  },
  {
    name: 'dmarc-not-agreed.test',
    zone: withDmarc('v=DMARC1; p=reject; rua=mailto:x@reports.test'),
    found: ['warning dmarc: reports go to reports.test, which has not agreed to take them'],
  },
  { name: 'agreed.test', zone: withDmarc('v=DMARC1; p=reject; rua=mailto:x@reports.test!10m'), found: [] },
  { name: 'dmarc-tagged.test', zone: withDmarc('v=DMARC1; p=reject; rua=mailto:d+dmarc@dmarc-tagged.test'), found: [] },
  {
    name: 'dmarc-no-address.test',
    zone: withDmarc('v=DMARC1; p=reject; rua=d@dmarc-no-address.test'),
    found: ['warning dmarc: reports go to d@dmarc-no-address.test, which is no mailto: address'],
  },
  { name: 'mail.well.test', zone: { ...without('_dmarc') }, found: [] },
  { name: 'xn--prfung-4ya.test', zone: well, found: [] },
  {
    name: 'servfail.test',
    zone: { ...well, '@': 'SERVFAIL' },
    found: ['unknown mx: MX: SERVER: SERVFAIL', 'unknown spf: SPF: SERVER: SERVFAIL'],
  },
  {
    name: 'silent.test',
    zone: { ...well, '@': 'SILENCE' },
    found: ['unknown mx: MX: SERVER: no answer within 300 ms', 'unknown spf: SPF: SERVER: no answer within 300 ms'],
  },
];

export function zonesOf(all: readonly Case[]): Zones {
  const entries = all.flatMap(({ name, zone }) =>
    Object.entries(zone).map(
      ([label, records]) => [label === '@' ? name : label + '.' + name, fill(records, name)] as const,
    ),
  );
  return { ...common, ...Object.fromEntries(entries) };
}

function fill(records: Records | 'SERVFAIL' | 'SILENCE', name: string): Records | 'SERVFAIL' | 'SILENCE' {
  if (typeof records === 'string') return records;
  const { TXT } = records;
  return TXT === undefined ? records : { ...records, TXT: TXT.map((text) => text.replace('@DOMAIN@', name)) };
}
