import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openDatabase } from '#shared/sqlite.ts';
import { readHeader } from '../../../../agent/receive/delivery/header.ts';
import { composeProbe } from '../../../../agent/probe/round-trip/compose.ts';
import { createOwnMail } from '../../../../agent/probe/round-trip/own-mail.ts';
import type { Incoming } from '../../../../agent/probe/round-trip/own-mail.ts';
import { createToken, readToken, tokenHeader } from '../../../../agent/probe/round-trip/token.ts';
import { createTripTable, roundTripSchema } from '../../../../agent/probe/round-trip/trip-table.ts';

function createRig() {
  const db = openDatabase({ path: ':memory:', schema: [roundTripSchema] });
  const table = createTripTable(db);
  const token = createToken(table.key());
  table.add(token.id, 'way', 1_000);
  const probe = composeProbe({
    from: 'info@example.org',
    to: 'office@provider.example',
    trip: 'way',
    id: token.id,
    tokenLine: token.line,
    at: 1_000,
  }).toString('latin1');
  return { table, token, probe, read: createOwnMail({ table, readHeader }) };
}

function mailOf(text: string, from = 'info@example.org'): Incoming {
  const bytes = Buffer.from(text, 'latin1');
  return { from, body: { open: () => [bytes], sizeBytes: bytes.length } };
}

const received = 'Received: from relay.example ([203.0.113.9]) by mx.example; Tue, 25 Nov 2025 10:00:00 +0000\r\n';

test('a probe is known again by its proof, once; the very same mail is, again, known and nothing more', async () => {
  const { probe, read, token } = createRig();
  const first = await read(mailOf(received + probe));
  assert.deepEqual([first?.kind, first?.id, first?.again], ['probe', token.id, false]);
  assert.equal((await read(mailOf(received + probe)))?.again, true, 'fetched twice, after a crash');
  assert.equal(
    await read(mailOf(received + received + probe)),
    undefined,
    'a copy that somebody sent is ordinary mail',
  );
});

test('a line that a server has folded or written in other letters is still ours', async () => {
  const { probe, read, token } = createRig();
  const line = token.line;
  const folded = line.replace(' 1 ', ' 1\r\n\t').replace(tokenHeader, tokenHeader.toUpperCase());
  assert.equal((await read(mailOf(received + probe.replace(line, folded))))?.id, token.id);
});

test('forged, altered, foreign, doubled and unknown tokens are ordinary mail', async () => {
  const { probe, read, table, token } = createRig();
  const other = createToken(Buffer.alloc(32, 7)); // of another agent
  table.add(other.id, 'way', 1_000); // so that the proof alone is in the way
  const never = createToken(table.key()); // proved, but not sent by us as far as we know
  const [, id = '', proof = ''] = /: 1 (\S+) (\S+)/.exec(token.line) ?? [];
  const wrong = (line: string): string => probe.replace(token.line, tokenHeader + ': ' + line);
  const table_: readonly (readonly [string, string])[] = [
    ['of another key', probe.replace(token.line, other.line)],
    ['another id', wrong('1 ' + other.id + ' ' + proof)],
    ['another version', wrong('2 ' + id + ' ' + proof)],
    ['cut off', wrong('1 ' + id + ' ' + proof.slice(1))],
    ['one letter changed', wrong('1 ' + id + ' ' + (proof.startsWith('A') ? 'B' : 'A') + proof.slice(1))],
    ['twice', probe.replace(token.line, token.line + '\r\n' + token.line)],
    ['never sent', probe.replace(token.line, never.line)],
    ['in the body alone', 'Subject: hello\r\n\r\n' + token.line + '\r\n'],
    ['empty', wrong('')],
    ['too large', probe + 'x'.repeat(70_000)],
  ];
  for (const [what, text] of table_) assert.equal(await read(mailOf(text)), undefined, what);
  assert.equal((await read(mailOf(probe)))?.kind, 'probe', 'none of them has used the id up');
});

test('a report about a probe is known by the header that it returns, and tells the reason', async () => {
  const { probe, read, token } = createRig();
  const report =
    'From: MAILER-DAEMON@relay.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nSorry.\r\n--b\r\n' +
    'Content-Type: message/delivery-status\r\n\r\nFinal-Recipient: rfc822; office@provider.example\r\nStatus: 5.1.1\r\n' +
    'Diagnostic-Code: smtp; 550 5.1.1 <office@provider.example>\r\n    unknown user\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r\n' +
    probe.split('\r\n\r\n')[0] +
    '\r\n--b--\r\n';
  const strangers = report.replace(/ ([A-Za-z0-9_-]{43})/, ' ' + 'C'.repeat(43));
  assert.equal(await read(mailOf(strangers, '')), undefined, "without the proof it is somebody's report");
  assert.equal(await read(mailOf(report.replace('multipart/report', 'text/plain'), 'x@example.net')), undefined);
  const own = await read(mailOf(report, ''));
  assert.equal(own?.kind, 'bounce');
  assert.deepEqual(own, {
    kind: 'bounce',
    id: token.id,
    text: '550 5.1.1 <office@provider.example> unknown user',
    again: false,
  });
  const { read: again, probe: quoted } = createRig();
  const old =
    'Subject: failure notice\r\n\r\nI could not deliver it.\r\n> ' +
    (quoted.split('\r\n\r\n')[0] ?? '').replaceAll('\r\n', '\r\n> ');
  assert.equal((await again(mailOf(old, '')))?.kind, 'bounce', 'an old server quotes');
});

test('the key is made once and kept; ids are forgotten, and what brings a forgotten one is ordinary mail', async () => {
  const db = openDatabase({ path: ':memory:', schema: [roundTripSchema] });
  const [one, two] = [createTripTable(db), createTripTable(db)];
  assert.deepEqual(Buffer.from(one.key()), Buffer.from(two.key()));
  const token = createToken(one.key());
  assert.equal(readToken(two.key(), token.line.slice(token.line.indexOf(':') + 1)), token.id);
  one.add(token.id, 'way', 5_000);
  one.forget(5_000);
  assert.deepEqual(one.use(token.id, 'd'), { trip: 'way', again: false });
  one.forget(5_001);
  assert.equal(one.use(token.id, 'd'), undefined);
  one.see('relay', ['203.0.113.9', '203.0.113.10'], 6_000);
  one.see('relay', ['203.0.113.9'], 7_000);
  assert.deepEqual(one.addresses('relay', 6_000), ['203.0.113.9', '203.0.113.10']);
  assert.deepEqual(one.addresses('relay', 6_001), ['203.0.113.9']);
  assert.deepEqual(one.addresses('site', 0), []);
});
