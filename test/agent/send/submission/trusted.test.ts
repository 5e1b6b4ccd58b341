import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTrust, findNetworkProblem } from '../../../../agent/send/submission/trusted.ts';

for (const [text, problem] of [
  ['192.168.1.20', undefined],
  ['192.168.1.0/24', undefined],
  ['192.168.0.0/16', undefined],
  ['10.0.0.0/16', undefined],
  ['127.0.0.1', undefined],
  ['203.0.113.8/29', undefined],
  ['203.0.113.8', undefined],
  ['::1', undefined],
  ['fd00:1:2:3::/64', undefined],
  ['2001:db8:1:2::/64', undefined],
  ['0.0.0.0/0', /a wide network/],
  ['0.0.0.0/1', /a wide network/],
  ['128.0.0.0/1', /a wide network/],
  ['10.0.0.0/8', /private network of \/16 or narrower/],
  ['192.168.0.0/15', /a wide network/],
  ['203.0.113.0/24', /network of the Internet of \/29 or narrower/],
  ['172.32.0.0/16', /a wide network/],
  ['::/0', /IPv4/],
  ['2000::/3', /\/64 or narrower/],
  ['fd00::/8', /\/64 or narrower/],
  ['2001:db8::/63', /\/64 or narrower/],
  ['::ffff:0:0/96', /IPv4 address written as such/],
  ['::ffff:192.168.1.1', /IPv4 address written as such/],
  ['::/96', /IPv4 address written as such/],
  ['64:ff9b::/96', /IPv4 address written as such/],
  ['0:0:0:0:0:ffff::/96', /IPv4 address written as such/],
  ['192.168.1.0/33', /an address, or a network/],
  ['192.168.1.0/-1', /an address, or a network/],
  ['192.168.1.0/', /an address, or a network/],
  ['192.168.1.0/0x10', /an address, or a network/],
  ['192.168.1/24', /an address, or a network/],
  ['192.168.1.0/24/8', /an address, or a network/],
  ['fe80::1%eth0', /an address, or a network/],
  ['*', /an address, or a network/],
  ['localhost', /an address, or a network/],
] as const)
  test('trusted network ' + text + (problem === undefined ? ' may be trusted' : ' is refused'), () => {
    const found = findNetworkProblem(text);
    if (problem === undefined) assert.equal(found, undefined);
    else assert.match((found?.found ?? '') + ' ' + (found?.expected ?? ''), problem);
  });

test('an address has the rights of the first entry that names it, however it is written', () => {
  const trust = createTrust(
    [
      { id: 'printer', addresses: ['192.168.1.20', 'fd00::20'], senders: ['printer@office.test'] },
      {
        id: 'office',
        addresses: ['192.168.1.0/24', 'fd00::/64'],
        senders: ['@office.test'],
        limits: { mailsPerDay: 5 },
      },
    ],
    { mailsPerHour: 9 },
  );
  assert.deepEqual(trust('192.168.1.20'), {
    user: 'trusted/printer',
    senders: ['printer@office.test'],
    limits: { mailsPerHour: 9 },
  });
  assert.equal(trust('::ffff:192.168.1.20')?.user, 'trusted/printer');
  assert.equal(trust('::FFFF:192.168.1.20')?.user, 'trusted/printer');
  assert.equal(trust('fd00:0:0:0::20')?.user, 'trusted/printer');
  assert.deepEqual(trust('192.168.1.21')?.limits, { mailsPerHour: 9, mailsPerDay: 5 });
  assert.equal(trust('fd00::1%eth0')?.user, 'trusted/office');
  for (const other of [
    '192.168.2.20',
    '192.168.0.255',
    'fd00:0:0:1::20',
    '::ffff:192.168.2.20',
    '::c0a8:0114',
    '',
    'x',
    undefined,
  ])
    assert.equal(trust(other), undefined, other);
});

test('without entries nobody is trusted; a wide network counts for nothing even when it gets past the check', () => {
  assert.equal(createTrust([], {})('127.0.0.1'), undefined);
  const wide = createTrust(
    [{ id: 'all', addresses: ['0.0.0.0/0', '::/0', '::ffff:0:0/96'], senders: ['@a.test'] }],
    {},
  );
  for (const address of ['127.0.0.1', '192.0.2.1', '::1', '2001:db8::1'])
    assert.equal(wide(address), undefined, address);
});
