import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seriesOf } from '#shared/series.ts';

const values = [
  'info',
  '',
  'a b',
  "it's",
  'say "x"',
  'back\\slash',
  'ä ☃ 邮件',
  '\ud800',
  '\u2028',
  '\u007f',
  '~!#[]',
  '192.0.2.1',
  '\u0000',
  'a\nb',
];

test('the text of a series is that of JSON with the tags in order, whatever they hold: databases know it', () => {
  for (const one of values)
    for (const other of values) {
      const tags = { zone: one, target: other };
      const expected = JSON.stringify(['dnsbl', ['target', other], ['zone', one]]);
      assert.equal(seriesOf({ name: 'dnsbl', tags }), expected);
    }
  assert.equal(seriesOf({ name: 'queue', tags: {} }), '["queue"]');
});
