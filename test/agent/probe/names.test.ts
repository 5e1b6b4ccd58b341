import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addressTarget, domainTarget, isPrivate, toAsciiName } from '../../../agent/probe/names.ts';
import { parseResolver, showResolver } from '../../../agent/probe/resolvers.ts';

test('addresses are reversed as RFC 5782 says', () => {
  assert.equal(addressTarget('192.0.2.99')?.name, '99.2.0.192');
  assert.equal(
    addressTarget('2001:db8:1:2:3:4:567:89ab')?.name,
    'b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2',
  );
  const short = addressTarget('2001:DB8::1');
  assert.equal(short?.label, '2001:db8::1');
  assert.equal(short.name, '1.' + '0.'.repeat(23) + '8.b.d.0.1.0.0.2');
  assert.equal(addressTarget('::')?.name, Array.from({ length: 32 }, () => '0').join('.'));
});

test('IPv4 inside IPv6 is asked as IPv4', () => {
  assert.deepEqual(addressTarget('::ffff:192.0.2.99'), { family: 'ip4', name: '99.2.0.192', label: '192.0.2.99' });
});

test('what is no address is none', () => {
  for (const text of [
    '',
    '192.0.2',
    '192.0.2.256',
    '192.0.2.1.5',
    'example.org',
    'fe80::1%eth0',
    '2001:db8:::1',
    '1',
    '0x7f.1',
  ])
    assert.equal(addressTarget(text), undefined, text);
});

test('domains become lower case ASCII, and addresses are no domains', () => {
  assert.equal(domainTarget('Example.ORG.')?.name, 'example.org');
  assert.equal(domainTarget('bücher.example')?.name, 'xn--bcher-kva.example');
  for (const text of [
    '',
    'localhost',
    '192.0.2.1',
    'a..b',
    '-a.example',
    'a b.example',
    'x'.repeat(64) + '.example',
    'a@b.example',
    'a/b.example',
  ])
    assert.equal(domainTarget(text), undefined, text);
});

test('names are limited to what DNS can hold', () => {
  const label = 'x'.repeat(62);
  assert.equal(toAsciiName([label, label, label, label].join('.'))?.length, 251);
  assert.equal(toAsciiName([label, label, label, label, 'ab'].join('.')), undefined);
  assert.equal(toAsciiName('1.2'), '1.2', 'a plain name is not taken for an address');
  assert.equal(toAsciiName('_dmarc.example.org'), '_dmarc.example.org');
});

test('private addresses are told from public ones', () => {
  const kinds = (texts: readonly string[]) => texts.map((text) => isPrivate(addressTarget(text) ?? assert.fail(text)));
  const hidden = [
    '10.1.2.3',
    '127.0.0.2',
    '192.168.1.1',
    '172.16.0.1',
    '172.31.9.9',
    '100.64.0.1',
    '169.254.1.1',
    'fd00::1',
    'fe80::1',
    '::1',
  ];
  assert.deepEqual(
    kinds(hidden),
    hidden.map(() => true),
  );
  const seen = ['192.0.2.1', '172.32.0.1', '100.128.0.1', '11.0.0.1', '2001:db8::1'];
  assert.deepEqual(
    kinds(seen),
    seen.map(() => false),
  );
});

test('resolvers are addresses with or without a port', () => {
  assert.deepEqual(parseResolver('192.0.2.53'), { address: '192.0.2.53', port: 53, family: 4 });
  assert.deepEqual(parseResolver('192.0.2.53:5353'), { address: '192.0.2.53', port: 5_353, family: 4 });
  assert.deepEqual(parseResolver('[::1]:5353'), { address: '::1', port: 5_353, family: 6 });
  assert.deepEqual(parseResolver('::1'), { address: '::1', port: 53, family: 6 });
  for (const text of [
    '',
    'localhost',
    'dns.example:53',
    '192.0.2.53:0',
    '192.0.2.53:70000',
    '[::1',
    '[192.0.2.1]:53',
    '::1]:53',
  ])
    assert.equal(parseResolver(text), undefined, text);
  assert.equal(showResolver({ address: '::1', port: 5_353, family: 6 }), '[::1]:5353');
  assert.equal(showResolver({ address: '192.0.2.53', port: 53, family: 4 }), '192.0.2.53');
});
