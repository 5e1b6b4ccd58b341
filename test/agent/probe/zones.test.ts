import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UserError } from '#shared/failure.ts';
import { refusedZones } from '../../../agent/probe/dead-zones.ts';
import { readCodes } from '../../../agent/probe/zone-codes.ts';
import { knownZones } from '../../../agent/probe/zone-data.ts';
import { openZone } from '../../../agent/probe/zones.ts';

const key = 'abcdefghij1234567890klmnop';

/** zone, addresses, kind, what the meaning or text says */
const readings: readonly (readonly [string, readonly string[], string, RegExp])[] = [
  ['zen.spamhaus.org', ['127.0.0.2'], 'known', /^SBL$/],
  ['zen.spamhaus.org', ['127.0.0.4', '127.0.0.3', '127.0.0.10'], 'known', /^XBL,CSS,on the policy list/],
  ['zen.spamhaus.org', ['127.0.0.10'], 'known', /policy list/],
  ['zen.spamhaus.org', ['127.0.0.11', '127.0.0.10'], 'known', /policy list/],
  ['zen.spamhaus.org', ['127.0.0.99'], 'unknown', /127\.0\.0\.99, a code that the list does not document/],
  ['zen.spamhaus.org', ['127.0.0.1'], 'unknown', /127\.0\.0\.1/],
  ['zen.spamhaus.org', ['127.255.255.254'], 'refused', /public or unattributable resolver/],
  ['zen.spamhaus.org', ['127.255.255.252'], 'refused', /mistyped/],
  ['zen.spamhaus.org', ['127.255.255.255'], 'refused', /too many queries/],
  ['zen.spamhaus.org', ['127.255.255.253'], 'refused', /an error code/],
  ['zen.spamhaus.org', ['127.0.0.2', '127.255.255.254'], 'refused', /public/],
  ['zen.spamhaus.org', ['62.0.58.94'], 'unhealthy', /62\.0\.58\.94, outside 127\.0\.0\.0\/8/],
  ['zen.spamhaus.org', ['127.0.0.2', '192.0.2.1'], 'unhealthy', /192\.0\.2\.1/],
  ['dbl.spamhaus.org', ['127.0.1.2'], 'known', /spam domain/],
  ['dbl.spamhaus.org', ['127.0.1.104'], 'known', /abused legitimate domain/],
  ['dbl.spamhaus.org', ['127.0.1.255'], 'refused', /an address was asked of a list of domains/],
  ['multi.surbl.org', ['127.0.0.72'], 'known', /^phishing,abuse$/],
  ['multi.surbl.org', ['127.0.0.1'], 'refused', /refuses this resolver/],
  ['multi.surbl.org', ['127.0.0.73'], 'refused', /refuses this resolver/],
  ['multi.uribl.com', ['127.0.0.2'], 'known', /^black$/],
  ['multi.uribl.com', ['127.0.0.14'], 'known', /^black,grey,red$/],
  ['multi.uribl.com', ['127.0.0.1'], 'refused', /refuses this resolver/],
  ['multi.uribl.com', ['127.0.0.16'], 'unknown', /127\.0\.0\.16/],
  ['rep.mailspike.net', ['127.0.0.12'], 'known', /bad reputation/],
  ['rep.mailspike.net', ['127.0.0.17'], 'known', /good reputation/],
  ['list.dnswl.org', ['127.0.5.3'], 'known', /high trust/],
  ['list.dnswl.org', ['127.0.0.255'], 'refused', /too many/],
  ['list.dnswl.org', ['127.0.10.3'], 'refused', /too many/],
  ['list.dnswl.org', ['127.0.5.9'], 'unknown', /127\.0\.5\.9/],
  ['hostkarma.junkemailfilter.com', ['127.0.0.1'], 'known', /white/],
  ['hostkarma.junkemailfilter.com', ['127.0.0.5'], 'known', /not to be blocked/],
  ['bl.spamcop.net', ['127.0.0.2'], 'known', /listed/],
  ['bl.unknown.example', ['127.0.0.2'], 'known', /listed/],
  ['bl.unknown.example', ['127.200.1.9'], 'known', /listed/],
  ['bl.unknown.example', ['127.0.0.1'], 'refused', /refuse a resolver/],
  ['bl.unknown.example', ['127.255.255.7'], 'refused', /error code/],
  ['bl.unknown.example', ['0.0.0.0'], 'unhealthy', /0\.0\.0\.0/],
  ['bl.unknown.example', [''], 'unhealthy', /outside/],
];

for (const [name, addresses, kind, says] of readings) {
  test(name + ' answering ' + addresses.join(' and ') + ' is ' + kind, () => {
    const reading = readCodes(openZone(name), addresses);
    assert.equal(reading.kind, kind);
    const words = 'meanings' in reading ? reading.meanings.map(({ text }) => text).join(',') : reading.text;
    assert.match(words, says);
  });
}

test('a key in a zone name is never shown, and the list is still known', () => {
  const zone = openZone(key.toUpperCase() + '.zen.dq.spamhaus.net');
  assert.equal(zone.name, key + '.zen.dq.spamhaus.net');
  assert.equal(zone.label, '***.zen.dq.spamhaus.net');
  assert.equal(zone.kind, 'ip');
  assert.equal(zone.mask('see https://example.net/' + key.toUpperCase() + '/x'), 'see https://example.net/***/x');
  assert.equal(openZone('short.combined.mail.abusix.zone').label, '***.combined.mail.abusix.zone');
  assert.equal(openZone(key + '.bl.unknown.example').label, '***.bl.unknown.example');
  assert.equal(openZone('spamhaus.example').mask('spamhaus.example'), 'spamhaus.example');
});

test('a refusal does not show the key either', () => {
  for (const name of [key + '.dnsbl.sorbs.net', key + '..zen.dq.spamhaus.net'])
    assert.throws(
      () => openZone(name),
      (error) => error instanceof UserError && !error.message.includes(key),
    );
});

test('every dead or unfit list is refused with its reason, and so are the zones below it', () => {
  for (const [zone, reason] of Object.entries(refusedZones)) {
    for (const name of [zone, 'x.' + zone.toUpperCase()])
      assert.throws(
        () => openZone(name),
        (error) =>
          error instanceof UserError && error.message.includes(': ' + reason + ', expected a block list that works'),
      );
  }
  assert.throws(() => openZone('rbl.spamhaus.org'), /zen\.spamhaus\.org is meant/);
});

test('every list we know can be opened', () => {
  for (const zone of Object.keys(knownZones)) assert.equal(openZone(zone).label, zone);
});

test('what is no DNS name is refused', () => {
  for (const name of ['', 'zen', 'a b.example', 'zen..spamhaus.org', 'x'.repeat(64) + '.example'])
    assert.throws(() => openZone(name), /not a DNS name, expected the name of a block list/);
});
