// Every known failure of sending has a guard; what is about replies and reports has a mutant for each guard; every mutant has a
// place where it can be planted.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { read } from './guards.ts';
import { failures } from './send-failures.ts';
import { mutants } from './send-mutants.ts';

test('each failure has a test that is named after it or after what guards against it', () => {
  for (const [number, { file, title, what }] of failures) {
    const source = read('test/' + file + '.test.ts');
    // A row of a table: its number stands apart from the name.
    const found =
      source.includes("('" + title) ||
      source.includes('("' + title) ||
      source.includes("'" + title.replace(': ', "',"));
    assert.ok(found, number + ' (' + what + '): no test ' + JSON.stringify(title) + ' in ' + file);
  }
});

test('each test of a reply or a report that has a number has a mutant that it must fail on', () => {
  for (const file of ['replies', 'bounces']) {
    const path = 'test/agent/send/failures/' + file + '.test.ts';
    const numbers = [...read(path).matchAll(/(?:^test\(['"](\d+[a-z]?): |^ {4}'(\d+[a-z]?)',$)/gm)];
    const planted = new Set(mutants.filter((mutant) => mutant.tests === path).map((mutant) => mutant.title));
    assert.ok(numbers.length > 4, file);
    for (const [, one = '', other = ''] of numbers)
      assert.ok(planted.has((one || other) + ': '), path + ' ' + (one || other));
  }
});

test('each mutant can be planted, and its guard exists', () => {
  for (const { source, tests, text, title, what } of mutants) {
    assert.equal(read(source).split(text).length, 2, source + ': ' + what);
    const number = /^(\d+[a-z]?): $/.exec(title)?.[1];
    const names = number === undefined ? [title] : [title, "'" + number + "',"];
    assert.ok(
      names.some((name) => read(tests).includes(name)),
      tests + ': ' + title,
    );
  }
});
