import assert from 'node:assert/strict';
import { test } from 'node:test';
import { presetNames } from '../../../../agent/accounts/presets.ts';
import { groupFields, splitLines } from '../../../../agent/send/submission/header.ts';
import { examine, refusalText } from '../../../../agent/send/submission/preflight.ts';
import { preflightRules } from '../../../../agent/send/submission/preflight-rules.ts';

const good =
  'Date: Wed, 25 Nov 2026 10:20:00 +0100\nFrom: =?UTF-8?Q?B=C3=BCro?= <sales@office.test>\nTo: a@world.test\nSubject: offer\nMessage-ID: <1@office.test>\n';
const fieldsOf = (header: string) => groupFields(splitLines(Buffer.from(header.replaceAll('\n', '\r\n'))));

function look(header: string, preset: string | undefined, sizeBytes = 1_000): string {
  const found = examine({ fields: fieldsOf(header), sizeBytes }, { preset, user: 'sales@office.test' });
  return found.map((finding) => finding.rule).join(' ');
}

test('an ordinary mail is fine everywhere, and without a preset nothing is known', () => {
  for (const preset of presetNames) assert.equal(look(good, preset), '', preset);
  assert.equal(look('Subject: \u00e4\nSubject: again\n', undefined), '');
});

const rows: readonly (readonly [header: string, preset: string, rule: string])[] = [
  [good + 'Subject: again\n', 'ionos', 'field-twice'],
  [good + 'Subject: again\n', 'gmail', 'field-twice-google'],
  [good + 'Message-ID: <2@office.test>\n', 'gmail', 'field-twice-google'],
  [good + 'Message-ID: <2@office.test>\n', 'ionos', ''],
  [good + 'Received: x\nReceived: y\n', 'gmx', ''],
  [good.replace(/^From:.*\n/m, ''), 'microsoft-365', 'no-from'],
  [good.replace(/^From:.*\n/m, 'From: \n'), 'outlook-com', 'no-from from-not-login'],
  [good.replace(/^To:.*\n/m, 'To:\n'), 'gmx', 'empty-recipients'],
  [good.replace(/^To:.*\n/m, 'To:\n'), 'gmail', ''],
  [good.replace(/^To:.*\n/m, ''), 'gmx', ''],
  [good.replace('=?UTF-8?Q?B=C3=BCro?=', 'Stra\u00dfe'), 'ionos', 'letters-not-encoded'],
  [good.replace('=?UTF-8?Q?B=C3=BCro?=', 'Stra\u00dfe'), 't-online', ''],
  [good.replace(/^Date:.*\n/m, 'Date: 2026-11-25 10:20\n'), 'web-de', 'bad-date'],
  [good.replace(/^Date:.*\n/m, 'Date: 25 Nov 2026 10:20 GMT (local)\n'), 'web-de', ''],
  [good.replace('<sales@office.test>', 'sales@office.test, info@office.test'), 'ionos', 'many-authors'],
  [
    good.replace('<sales@office.test>', 'sales@office.test, info@office.test') + 'Sender: sales@office.test\n',
    'ionos',
    '',
  ],
  [good.replace('sales@office.test', 'info@office.test'), 'gmx', 'from-not-login'],
  [good.replace('sales@office.test', 'info@office.test'), 'ionos', ''],
  [good.replace('sales@office.test', 'info@office.test'), 'gmail', 'from-rewritten'],
];

test('each rule finds what its provider was told to refuse, and nothing else', () => {
  for (const [header, preset, expected] of rows) assert.equal(look(header, preset), expected, preset + '\n' + header);
  assert.equal(look(good, 'gmx', 69_920_428), 'too-big');
  assert.equal(look(good, 'gmx', 69_920_427), '');
});

test('every rule is tried by a row, and says where it comes from', () => {
  const hit = new Set([...rows.flatMap((row) => row[2].split(' ')), 'too-big']);
  for (const { id, meaning, remedy, source } of preflightRules) {
    assert.ok(hit.has(id), id);
    assert.ok(source.length > 5, id);
    for (const sentence of [meaning, remedy]) assert.match(sentence, /^[A-Z].*[^.]$/, id);
  }
});

test('the refusal names field and remedy; what an alias could make right is never refused for', () => {
  const found = examine({ fields: fieldsOf(good + 'Subject: again\n') }, { preset: 'ionos', user: 'u' });
  assert.equal(
    refusalText(found),
    '5.6.0 The provider would refuse this mail: The header field Subject stands there more than once. The program that wrote the mail must write this field as RFC 5322 says',
  );
  const alias = examine(
    { fields: fieldsOf(good.replace('sales@office.test', 'info@office.test')) },
    { preset: 'gmx', user: 'sales@office.test' },
  );
  assert.equal(alias.length, 1);
  assert.equal(refusalText(alias), undefined);
  assert.equal(refusalText([]), undefined);
});
