import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAddresses, checkDomain } from '../../../../agent/probe/domain/domain.ts';
import type { DomainOptions } from '../../../../agent/probe/domain/domain-options.ts';
import { createDns } from '../../../../agent/probe/dns.ts';
import type { Finding } from '../../../../agent/probe/check.ts';
import { checkAuthentication } from '../../../../agent/probe/domain/authentication.ts';
import { cases, relayAddress, siteAddress, zonesOf } from './domains.ts';
import { startZoneServer } from './zone-server.ts';

const standard: Omit<DomainOptions, 'name'> = { selectors: ['s1'], receives: true, sends: true, sendsDirect: false };
const never = new AbortController().signal;

function lineOf({ check, level, text }: Finding): string {
  return level + ' ' + check + ': ' + text.replaceAll(/127\.0\.0\.1:\d+/g, 'SERVER');
}

test('each of more than thirty domains with known faults gets the findings of the table, and no others', async (t) => {
  assert.ok(cases.length >= 30);
  const server = await startZoneServer(t, zonesOf(cases));
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 300, tries: 1 });
  const deps = {
    dns,
    addresses: (kind: 'site' | 'relay') => (kind === 'relay' ? [relayAddress] : [siteAddress]),
    authentication: () => undefined,
  };
  for (const { found, name, options } of cases) {
    // On a loaded machine an answer may be late: only silence is meant to be.
    const patient =
      name === 'silent.test' ? deps : { ...deps, dns: createDns({ resolvers: [server.resolver], timeoutMs: 15_000 }) };
    const findings = await checkDomain({ ...standard, name, ...options }, patient, never);
    const told = findings.filter(({ level }) => level !== 'ok').map(lineOf);
    assert.deepEqual(told, found, name);
    for (const { level, remedy, text } of findings)
      assert.ok(level === 'ok' || level === 'info' || remedy !== undefined, name + ': ' + text + ': no remedy');
  }
  assert.ok(server.askedByTcp.length > 0, 'a key of 4096 bits needs TCP');
});

test('a well domain is told with what was looked at', async (t) => {
  const server = await startZoneServer(t, zonesOf(cases));
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 15_000 });
  const addresses = (kind: 'site' | 'relay') => (kind === 'relay' ? [relayAddress] : []);
  const findings = await checkDomain(
    { ...standard, name: 'well.test' },
    { dns, addresses, authentication: () => undefined },
    never,
  );
  assert.deepEqual(findings.map(lineOf), [
    'ok mx: mail goes to mx.provider.test',
    'ok spf: 1 of 10 look-ups; the relay passes from 203.0.113.9',
    'ok dkim: s1: an RSA key of 2048 bits',
    'ok dmarc: the policy is quarantine',
  ]);
  const unicode = await checkDomain(
    { ...standard, name: 'prüfung.test' },
    { dns, addresses, authentication: () => undefined },
    never,
  );
  assert.deepEqual(
    unicode.map(({ level }) => level),
    ['ok', 'ok', 'ok', 'ok'],
    'asked as xn--',
  );
  const receiving = { ...standard, name: 'spf-two.test', sends: false };
  const only = await checkDomain(receiving, { dns, addresses, authentication: () => undefined }, never);
  assert.deepEqual(only.map(lineOf), ['ok mx: mail goes to mx.provider.test']);
});

test('without a known address of the relay the record is still judged, and it is said what is not', async (t) => {
  const server = await startZoneServer(t, zonesOf(cases));
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 15_000 });
  const deps = { dns, addresses: () => [], authentication: () => undefined };
  const broken = await checkDomain({ ...standard, name: 'spf-too-many.test' }, deps, never);
  assert.equal(broken.find(({ check }) => check === 'spf')?.level, 'critical');
  const unsure = await checkDomain({ ...standard, name: 'well.test' }, deps, never);
  assert.deepEqual(
    unsure.filter(({ check }) => check === 'spf').map(({ level, text }) => level + ' ' + text),
    ['ok 1 of 10 look-ups', 'info whether the relay may send is not checked, since its addresses are not known'],
  );
});

const v6 = '2001:db8::7';
const addressZones = {
  'office.ddns.test': { A: [siteAddress], AAAA: [v6] },
  'old.ddns.test': { A: ['198.51.100.99'] },
  'home.ddns.test': { A: ['192.168.1.2'] },
  'half.ddns.test': { A: ['198.51.100.99'], AAAA: [v6] },
  'broken.ddns.test': 'SERVFAIL',
  '9.113.0.203.in-addr.arpa': { PTR: ['out.provider.test'] },
  'out.provider.test': { A: [relayAddress] },
  '10.113.0.203.in-addr.arpa': { PTR: ['liar.provider.test'] },
  'liar.provider.test': { A: ['203.0.113.200'] },
  '12.113.0.203.in-addr.arpa': { PTR: ['broken.ddns.test'] },
  ['7' + '.0'.repeat(23) + '.8.b.d.0.1.0.0.2.ip6.arpa']: { PTR: ['office.ddns.test'] },
} as const;

test('dynamic names and pointers: drift, private addresses, names that do not lead back', async (t) => {
  const server = await startZoneServer(t, addressZones);
  const dns = createDns({ resolvers: [server.resolver], timeoutMs: 15_000 });
  const names = ['office', 'old', 'home', 'half', 'gone', 'broken'].map((label) => label + '.ddns.test');
  const addresses = (kind: 'site' | 'relay') =>
    kind === 'site' ? [siteAddress, v6] : [relayAddress, '203.0.113.10', '203.0.113.11', '203.0.113.12'];
  const findings = await checkAddresses({ dns, names, addresses }, never);
  assert.deepEqual(
    findings.map((finding) => finding.target + ' ' + lineOf(finding)),
    [
      'office.ddns.test ok ddns: leads to 198.51.100.7, 2001:db8::7, where this site is',
      'old.ddns.test warning ddns: leads to 198.51.100.99, but this site sends from 198.51.100.7, 2001:db8::7',
      'home.ddns.test warning ddns: the name leads to 192.168.1.2, which is not public',
      'half.ddns.test warning ddns: leads to 198.51.100.99, 2001:db8::7, but this site sends from 198.51.100.7, 2001:db8::7',
      'gone.ddns.test warning ddns: the name has no address',
      'broken.ddns.test unknown ddns: SERVER: SERVFAIL',
      '203.0.113.9 ok ptr: is out.provider.test, and that leads back',
      '203.0.113.10 warning ptr: is called liar.provider.test, which does not lead back to it',
      '203.0.113.11 warning ptr: has no name (PTR)',
      '203.0.113.12 unknown ptr: SERVER: SERVFAIL',
      '198.51.100.7 info ptr: has no name (PTR)',
      '2001:db8::7 ok ptr: is office.ddns.test, and that leads back',
    ],
  );
  const unseen = await checkAddresses({ dns, names: ['office.ddns.test'], addresses: () => [] }, never);
  assert.deepEqual(
    unseen.map(({ level }) => level),
    ['info'],
  );
});

test('what the receiver of a probe found is told, and DMARC that passes covers what it does not need', () => {
  const told = (results: Readonly<Record<string, string>>): readonly string[] =>
    checkAuthentication('example.org', results).map(({ level, text }) => level + ' ' + text);
  assert.deepEqual(told({}), []);
  assert.deepEqual(told({ spf: 'pass', dkim: 'pass', dmarc: 'pass' }), [
    'ok the receiver found SPF pass, DKIM pass, DMARC pass',
  ]);
  assert.deepEqual(told({ spf: 'softfail', dmarc: 'pass' }), [
    'info the receiver of the last round trip found SPF softfail',
  ]);
  assert.deepEqual(told({ spf: 'fail', dkim: 'none', dmarc: 'fail' }), [
    'warning the receiver of the last round trip found SPF fail',
    'info the receiver of the last round trip found DKIM none',
    'warning the receiver of the last round trip found DMARC fail',
  ]);
  assert.deepEqual(told({ spf: 'temperror' }), ['unknown the receiver of the last round trip found SPF temperror']);
});
