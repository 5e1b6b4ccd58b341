import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#shared/clock.ts';
import { createDns } from '../../../agent/probe/dns.ts';
import { createDnsbl } from '../../../agent/probe/dnsbl.ts';
import { openZone } from '../../../agent/probe/zones.ts';
import { check, healthy4, ip4, list, short, targets } from './scripted-list.ts';
import type { Entries } from './scripted-list.ts';

const key = 'abcdefghij1234567890klmnop';
const v6TestPoint = '2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0';
const healthy6 = { [v6TestPoint]: ['127.0.0.2'] };
const healthyDomain = { test: ['127.0.1.2'] };

test('a listing carries its codes, their meaning and the words of the list', async (t) => {
  const { results } = await check(t, 'zen.spamhaus.org', [
    list(
      'zen.spamhaus.org',
      { ...healthy4, ...healthy6, '10.2.0.192': ['127.0.0.2', '127.0.0.4'] },
      { '10.2.0.192': ['https://example.net/why'] },
    ),
  ]);
  assert.deepEqual(short(results), [
    '192.0.2.10 listed: SBL, XBL: https://example.net/why',
    '192.0.2.11 clean',
    '2001:db8::10 clean',
  ]);
  assert.deepEqual(results[0]?.codes, ['127.0.0.2', '127.0.0.4']);
});

test('a text that cannot be had does not undo a listing', async (t) => {
  const entries = { ...healthy4, '10.2.0.192': ['127.0.0.2'] };
  const { results } = await check(
    t,
    'bl.test',
    [list('bl.test', entries, { '10.2.0.192': { rcode: 'SERVFAIL' } })],
    [ip4],
  );
  assert.deepEqual(short(results), ['192.0.2.10 listed: listed']);
});

test('the policy list of dynamic addresses is told, but is no listing', async (t) => {
  const entries = { ...healthy4, '10.2.0.192': ['127.0.0.10'] };
  const { results } = await check(t, 'zen.spamhaus.org', [list('zen.spamhaus.org', entries)], [ip4]);
  assert.equal(results[0]?.state, 'clean');
  assert.match(results[0].reason, /policy list \(PBL\)/);
});

/** what, zone, entries, expected state and reason for 192.0.2.10 */
const troubles: readonly (readonly [string, string, Entries, RegExp])[] = [
  [
    'refuses the resolver',
    'zen.spamhaus.org',
    { '*': ['127.255.255.254'] },
    /^refused: answered 127\.255\.255\.254: asked through a public/,
  ],
  [
    'refuses only the question itself',
    'bl.test',
    { ...healthy4, '10.2.0.192': ['127.255.255.255'] },
    /^refused: answered 127\.255\.255\.255/,
  ],
  ['answers REFUSED', 'bl.test', { '*': { rcode: 'REFUSED' } }, /^error: .*REFUSED/],
  ['answers SERVFAIL', 'bl.test', { '*': { rcode: 'SERVFAIL' } }, /^error: .*SERVFAIL/],
  [
    'answers SERVFAIL to the question itself',
    'bl.test',
    { ...healthy4, '10.2.0.192': { rcode: 'SERVFAIL' } },
    /^error: .*SERVFAIL/,
  ],
  ['is silent', 'bl.test', { '*': 'silence' }, /^error: .*no answer within 1000 ms/],
  [
    'is silent to the question itself',
    'bl.test',
    { ...healthy4, '10.2.0.192': 'silence' },
    /^error: .*no answer within/,
  ],
  ['answers garbage', 'bl.test', { '*': Buffer.alloc(30) }, /^error: .*no answer within/],
  [
    'lists the whole world',
    'bl.test',
    { '*': ['127.0.0.2'] },
    /^zone-unhealthy: lists 127\.0\.0\.1, which no list may hold/,
  ],
  [
    'is a parked domain',
    'bl.test',
    { '*': ['192.0.2.80'] },
    /^zone-unhealthy: answered 192\.0\.2\.80, outside 127\.0\.0\.0\/8/,
  ],
  ['is empty', 'bl.test', {}, /^zone-unhealthy: does not list its test entry 127\.0\.0\.2/],
  [
    'is empty but for the target',
    'bl.test',
    { '10.2.0.192': ['127.0.0.2'] },
    /^zone-unhealthy: does not list its test entry/,
  ],
  [
    'answers a code that it does not document',
    'zen.spamhaus.org',
    { ...healthy4, '10.2.0.192': ['127.0.0.77'] },
    /^error: answered 127\.0\.0\.77/,
  ],
];
for (const [what, zone, entries, expected] of troubles) {
  test('a list that ' + what + ' is neither clean nor listed', async (t) => {
    const timeoutMs = expected.source.includes('no answer') ? 1_000 : 10_000;
    const { results } = await check(t, zone, [list(zone, entries)], [ip4], timeoutMs);
    assert.equal(results.length, 1);
    assert.match(results[0]?.state + ': ' + results[0]?.reason, expected);
  });
}

test('addresses are never asked of a list of domains, domains never of a list of addresses', async (t) => {
  const dbl = await check(t, 'dbl.spamhaus.org', [list('dbl.spamhaus.org', { 'dbltest.com': ['127.0.1.2'] })]);
  assert.deepEqual(short(dbl.results), ['example.org clean']);
  const invented = dbl.queries.flat()[2]?.name ?? '';
  assert.match(invented, /^[a-z][a-z0-9]{15}\.dbl\.spamhaus\.org$/);
  assert.deepEqual(
    dbl.queries.flat().map((query) => query.name),
    ['dbltest.com.dbl.spamhaus.org', 'invalid.dbl.spamhaus.org', invented, 'example.org.dbl.spamhaus.org'],
  );
  const spamcop = await check(t, 'bl.spamcop.net', [list('bl.spamcop.net', healthy4)]);
  assert.deepEqual(short(spamcop.results), ['192.0.2.10 clean', '192.0.2.11 clean']);
  assert.ok(
    spamcop.queries.flat().every((query) => /^(?:(?:\d+\.){4}|[a-z0-9]{16}\.)bl\.spamcop\.net$/.test(query.name)),
  );
});

test('a list of domains without a test entry of its own is tested with TEST and INVALID', async (t) => {
  const { results } = await check(t, 'dbl.spamhaus.org', [
    list('dbl.spamhaus.org', { ...healthyDomain, 'example.org': ['127.0.1.4'] }),
  ]);
  assert.deepEqual(short(results), ['example.org listed: phishing domain']);
  const world = await check(t, 'dbl.spamhaus.org', [list('dbl.spamhaus.org', { '*': ['127.0.1.2'] })]);
  assert.match(short(world.results)[0] ?? '', /zone-unhealthy: lists INVALID/);
});

test('an unknown list of addresses, of domains, or of both, shows by its test entries what it is', async (t) => {
  const addresses = await check(t, 'bl.test', [list('bl.test', { ...healthy4, '11.2.0.192': ['127.0.0.9'] })]);
  assert.deepEqual(short(addresses.results), ['192.0.2.10 clean', '192.0.2.11 listed: listed']);
  const domains = await check(t, 'bl.test', [list('bl.test', healthyDomain)]);
  assert.deepEqual(short(domains.results), ['example.org clean']);
  const all = await check(t, 'bl.test', [list('bl.test', { ...healthy4, ...healthy6, ...healthyDomain })]);
  assert.equal(all.results.filter((result) => result.state === 'clean').length, 4);
});

test('an unknown list of which nothing is healthy says so for every target', async (t) => {
  const { results } = await check(t, 'bl.test', [list('bl.test', {})]);
  assert.deepEqual(
    results.map((result) => result.state),
    targets.map(() => 'zone-unhealthy'),
  );
});

test('IPv6 has a self-test of its own', async (t) => {
  const { results } = await check(t, 'zen.spamhaus.org', [list('zen.spamhaus.org', healthy4)]);
  assert.match(short(results)[2] ?? '', /^2001:db8::10 zone-unhealthy: does not list its test entry ::ffff:7f00:2/);
  assert.equal(results[0]?.state, 'clean');
});

test('a resolver that is refused, fails or invents answers is replaced by the next one, with its own self-test', async (t) => {
  const good = list('bl.test', { ...healthy4, '10.2.0.192': ['127.0.0.2'] });
  const bad: readonly Entries[] = [
    { '*': ['127.255.255.254'] },
    { '*': { rcode: 'SERVFAIL' } },
    { '*': ['192.0.2.80'] },
    {},
  ];
  for (const entries of bad) {
    const { results, queries } = await check(t, 'bl.test', [list('bl.test', entries), good], [ip4]);
    assert.deepEqual(short(results), ['192.0.2.10 listed: listed']);
    assert.ok(
      queries[0]?.every((query) => !query.name.startsWith('10.2.')),
      'nothing was asked without a self-test',
    );
    assert.ok(queries[1]?.some((query) => query.name === '2.0.0.127.bl.test'));
  }
});

test('a healthy self-test through one resolver does not make another one healthy', async (t) => {
  // The first fails only for the target, the second one knows nothing: its NXDOMAIN must not become "clean".
  const first = list('bl.test', { ...healthy4, '10.2.0.192': { rcode: 'SERVFAIL' } });
  const { results } = await check(t, 'bl.test', [first, list('bl.test', {})], [ip4]);
  assert.equal(results[0]?.state, 'error');
});

test('a key is masked in the zone and in the words of the list, and asked as it is', async (t) => {
  const zone = key + '.zen.dq.spamhaus.net';
  const { results, queries } = await check(
    t,
    zone,
    [list(zone, { ...healthy4, '10.2.0.192': ['127.0.0.2'] }, { '10.2.0.192': ['query of ' + key.toUpperCase()] })],
    [ip4],
  );
  assert.deepEqual(short(results), ['192.0.2.10 listed: SBL: query of ***']);
  assert.equal(results[0]?.zone, '***.zen.dq.spamhaus.net');
  assert.ok(queries.flat().every((query) => query.name.endsWith(zone)));
  assert.doesNotMatch(JSON.stringify(results), new RegExp(key, 'i'));
});

test('the words of a list are cleaned and bounded', async (t) => {
  const entries = { ...healthy4, '10.2.0.192': ['127.0.0.2'] };
  const words = 'a\nb\u001b[2J' + 'x'.repeat(250);
  const { results } = await check(
    t,
    'bl.test',
    [list('bl.test', entries, { '10.2.0.192': [words.slice(0, 250)] })],
    [ip4],
  );
  assert.match(results[0]?.reason ?? '', /^listed: a b \[2Jx+$/);
  assert.ok((results[0]?.reason.length ?? 0) <= 200);
});

test('without a resolver every result is an error', async () => {
  const dnsbl = createDnsbl({ dns: createDns({ resolvers: [] }), clock: systemClock });
  const results = await dnsbl.check(openZone('bl.spamcop.net'), targets, AbortSignal.timeout(5_000));
  assert.deepEqual(short(results), [
    '192.0.2.10 error: no resolver is known',
    '192.0.2.11 error: no resolver is known',
  ]);
});
