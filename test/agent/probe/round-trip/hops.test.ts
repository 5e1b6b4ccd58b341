import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readHeader } from '../../../../agent/receive/delivery/header.ts';
import { currentOf, readSighting } from '../../../../agent/probe/round-trip/hops.ts';

const id = 'mww7vvjb-7a19ef2c979c';
const own = 'Received: from localhost\r\n\tby nas with ESMTP id ' + id + ';\r\n\tTue, 25 Nov 2025 10:00:00 +0000\r\n';
const reads = (...lines: readonly string[]) =>
  readSighting(readHeader(Buffer.from(lines.join('') + own + 'Subject: x\r\n\r\n')), id);

test('the relay saw us, and another provider saw the relay', () => {
  const seen = reads(
    'Authentication-Results: mx.other.example; spf=pass (sender) smtp.mailfrom=info@example.org;\r\n dkim=pass header.d=example.org; dmarc=pass\r\n',
    'Received: from store.other.example (10.0.0.7) by box.other.example; Tue, 25 Nov 2025 10:00:09 +0000\r\n',
    'Received: from out.relay.example (out.relay.example [203.0.113.9])\r\n\t(using TLSv1.3) by mx.other.example (Postfix) with ESMTPS id 1; Tue, 25 Nov 2025 10:00:08 +0000 (UTC)\r\n',
    'Received: from inner.relay.example (inner.relay.example [203.0.113.200]) by out.relay.example; Tue, 25 Nov 2025 10:00:07 +0000\r\n',
    'Received: from nas (dsl-7.isp.example [198.51.100.7])\r\n\tby smtp.relay.example with ESMTPSA id 2;\r\n\tTue, 25 Nov 2025 11:00:06 +0100\r\n',
  );
  assert.deepEqual(seen, {
    site: ['198.51.100.7'],
    relay: ['203.0.113.9'],
    relayAt: Date.parse('2025-11-25T10:00:06Z'),
    authentication: { spf: 'pass', dkim: 'pass', dmarc: 'pass' },
  });
});

test('IPv6, literals with a name, private addresses, and a relay that is also the mailbox', () => {
  const seen = reads(
    'Received: from mx.relay.example ([IPv6:2001:DB8:0::25]) by store.relay.example with LMTP; Tue, 25 Nov 2025 10:00:08 +0000\r\n',
    'Received: from nas ([IPv6:2001:db8::7] helo=nas) by smtp.relay.example with esmtpsa (Exim 4.96) id 1abc; Tue, 25 Nov 2025 10:00:06 +0000\r\n',
  );
  assert.deepEqual([seen.site, seen.relay], [['2001:db8::7'], ['2001:db8::25']]);
  const inside = reads('Received: from nas ([192.168.1.5]) by smtp.relay.example; Tue, 25 Nov 2025 10:00:06 +0000\r\n');
  assert.deepEqual([inside.site, inside.relay], [[], []]);
});

test("what stands below our own line is nobody's word, and without our line there is none", () => {
  const forged =
    'Received: from liar (liar [203.0.113.66]) by smtp.relay.example; Tue, 25 Nov 2025 10:00:06 +0000\r\n' +
    'Authentication-Results: mx.other.example; spf=fail; dmarc=fail\r\n';
  const bytes = Buffer.from(own + forged + '\r\n');
  assert.deepEqual(readSighting(readHeader(bytes), id), { site: [], relay: [], authentication: {} });
  const seen = readSighting(readHeader(Buffer.from(forged + '\r\n')), id);
  assert.deepEqual([seen.site, seen.relay], [[], []]);
  const longer = readSighting(readHeader(Buffer.from(forged + own.replace(id, id + '-0') + '\r\n')), id);
  assert.deepEqual(longer.site, [], 'an id that only begins like ours');
});

test('of several signatures one that passes is enough; comments are not read', () => {
  const seen = reads(
    'Authentication-Results: mx.example; dkim=fail (as a comment; spf=pass dmarc=pass) header.d=a.example; dkim=pass header.d=b.example; spf=softfail\r\n',
    'Received: from nas ([198.51.100.7]) by smtp.relay.example; no date\r\n',
  );
  assert.deepEqual(seen.authentication, { spf: 'softfail', dkim: 'pass' });
  assert.equal(seen.relayAt, undefined);
});

test('of a line that got another address only the present one counts, of each family', () => {
  const seen = ['198.51.100.8', '2001:db8::8', '198.51.100.7', '2001:db8::7'];
  assert.deepEqual(currentOf(seen), ['198.51.100.8', '2001:db8::8']);
  assert.deepEqual(currentOf([]), []);
});
