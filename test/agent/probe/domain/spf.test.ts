// Our evaluation of SPF against mailauth's, which shares no line with it, on records made by chance from every mechanism.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spf } from 'mailauth/lib/spf/index.js';
import type { RecordType } from '../../../../agent/probe/dns-message.ts';
import type { Look } from '../../../../agent/probe/domain/look.ts';
import { evaluateSpf } from '../../../../agent/probe/domain/spf-evaluate.ts';
import { expandMacros, parseAddress, readRecord } from '../../../../agent/probe/domain/spf-record.ts';
import type { Zones } from './zone-server.ts';

/** Seeded, so that a failure can be looked at again. */
function chance(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 0x1_0000_0000;
  };
}

function lookIn(zones: Zones): Look {
  return async (name, type) => {
    const zone = zones[name.toLowerCase()];
    if (zone === undefined) return { kind: 'none', exists: false };
    if (typeof zone === 'string') return { kind: 'unknown', text: zone };
    const values = zone[type];
    return values === undefined ? { kind: 'none', exists: true } : { kind: 'found', values };
  };
}

async function byMailauth(zones: Zones, domain: string, ip: string): Promise<string> {
  const look = lookIn(zones);
  const fail = (code: string): Error => Object.assign(new Error(code), { code });
  const resolver = async (name: string, type: string): Promise<string[]> => {
    const found = await look(name, type as RecordType); // it asks for no others
    if (found.kind === 'unknown') throw fail('ESERVFAIL');
    if (found.kind === 'none') throw fail(found.exists ? 'ENODATA' : 'ENOTFOUND');
    const values: unknown =
      type === 'TXT'
        ? found.values.map((value) => [value])
        : type === 'MX'
          ? found.values.map((value) => ({ priority: Number(value.split(' ')[0]), exchange: value.split(' ')[1] }))
          : [...found.values];
    return values as string[]; // as node:dns gives them, which the types of the library do not say
  };
  const answer = await spf({
    sender: 'postmaster@' + domain,
    ip,
    helo: domain,
    mta: 'localhost',
    resolver,
    strict: true,
  });
  return answer.status.result;
}

const hosts: Zones = {
  'a.host.test': { A: ['192.0.2.1', '192.0.2.9'] },
  'b.host.test': { A: ['198.51.100.4'], AAAA: ['2001:db8::4'] },
  'mx.host.test': { MX: ['10 a.host.test', '20 b.host.test'] },
  'broken.host.test': 'SERVFAIL',
  '1.2.0.192.in-addr.arpa': { PTR: ['a.host.test'] },
  '192.0.2.1.list.test': { A: ['127.0.0.2'] },
  'postmaster.d0.test.user.test': { A: ['127.0.0.2'] },
};
const clients = ['192.0.2.1', '192.0.2.9', '198.51.100.4', '203.0.113.5', '2001:db8::4', '::ffff:192.0.2.1'];

function makeZones(random: () => number): Zones {
  const pick = <T>(all: readonly T[]): T => {
    const one = all[Math.floor(random() * all.length)];
    if (one === undefined) throw new Error('nothing to choose from');
    return one;
  };
  const other = (): string => 'd' + Math.floor(random() * 6) + '.test';
  const host = (): string => pick(['a.host.test', 'b.host.test', 'mx.host.test', 'gone.host.test', 'broken.host.test']);
  const term = (): string =>
    pick(['', '', '', '+', '-', '~', '?']) +
    pick([
      () => 'all',
      () => 'include:' + other(),
      () => 'a:' + host(),
      () => 'a:' + host() + pick(['/24', '/32//64', '//120', '/0']),
      () => 'mx:' + host(),
      () => 'mx',
      () => 'ptr:host.test',
      () => 'ip4:' + pick(['192.0.2.1', '192.0.2.0/24', '198.51.100.0/22', '0.0.0.0/0']),
      () => 'ip6:' + pick(['2001:db8::/32', '2001:db8::4', '2001:db8:1::/48']),
      () => 'exists:%{i}.list.test',
      () => 'exists:%{l}.%{d}.user.test',
      () => 'exists:%{ir}.%{v}.arpa',
      () => pick(['a/33', 'ip4:1.2.3', 'foo:bar.test', 'include', 'all:x.test', 'ip6:192.0.2.1', 'exists:%{z}.test']),
    ])();
  const record = (): string => {
    const terms = Array.from({ length: Math.floor(random() * 5) }, term);
    if (random() < 0.2) terms.push('redirect=' + other());
    if (random() < 0.4) terms.push(pick(['-all', '~all']));
    return ['v=spf1', ...terms].join(' ');
  };
  const domains = Array.from({ length: 6 }, (_, n) => {
    const texts = random() < 0.05 ? [record(), record()] : random() < 0.05 ? ['nothing'] : [record()];
    return ['d' + n + '.test', { TXT: texts, MX: ['10 a.host.test'] }] as const;
  });
  return { ...hosts, ...Object.fromEntries(domains) };
}

test('2,000 records made by chance give what mailauth finds', async () => {
  const random = chance(7);
  const seen = new Map<string, number>();
  for (let n = 0; n < 2_000; n += 1) {
    const zones = makeZones(random);
    const address = clients[n % clients.length] ?? '';
    const own = await evaluateSpf({ domain: 'd0.test', address, mostLookups: 10, mostVoids: 2 }, lookIn(zones));
    const theirs = await byMailauth(zones, 'd0.test', address);
    seen.set(theirs, (seen.get(theirs) ?? 0) + 1);
    assert.equal(own.result, theirs, n + ' ' + address + ' ' + own.reason + '\n' + JSON.stringify(zones, undefined, 1));
  }
  for (const result of ['pass', 'fail', 'softfail', 'neutral', 'permerror', 'temperror', 'none'])
    assert.ok((seen.get(result) ?? 0) >= 20, result + ' came ' + (seen.get(result) ?? 0) + ' times');
});

test('macros are expanded as RFC 7208 section 7.4 shows', () => {
  const letters: Readonly<Record<string, string>> = {
    s: 'strong-bad@email.example.com',
    l: 'strong-bad',
    o: 'email.example.com',
    d: 'email.example.com',
    i: '192.0.2.3',
    v: 'in-addr',
  };
  const expand = (text: string): string => expandMacros(text, (letter) => letters[letter] ?? '');
  const table = {
    '%{s}': 'strong-bad@email.example.com',
    '%{d4}': 'email.example.com',
    '%{d2}': 'example.com',
    '%{d1}': 'com',
    '%{dr}': 'com.example.email',
    '%{d2r}': 'example.email',
    '%{l-}': 'strong.bad',
    '%{lr-}': 'bad.strong',
    '%{l1r-}': 'strong',
    '%{ir}.%{v}._spf.%{d2}': '3.2.0.192.in-addr._spf.example.com',
    '%{lr-}.lp.%{ir}.%{v}._spf.%{d2}': 'bad.strong.lp.3.2.0.192.in-addr._spf.example.com',
  };
  for (const [text, expected] of Object.entries(table)) assert.equal(expand(text), expected, text);
  assert.equal(expand('%%x%-y'), '%x%20y');
});

test('records and addresses that cannot be read are told, not guessed', () => {
  for (const text of [
    'v=spf1 a:',
    'v=spf1 all/8',
    'v=spf1 ip4:1.2.3.4/33',
    'v=spf1 redirect=a.test redirect=b.test',
    'v=spf1 -',
  ])
    assert.equal(typeof readRecord(text), 'string', text);
  for (const text of ['1.2.3', '1.2.3.256', '2001:db8', 'host.test', '::g', ''])
    assert.equal(parseAddress(text), undefined, text);
  assert.deepEqual(parseAddress('::ffff:192.0.2.1'), parseAddress('192.0.2.1'));
});
