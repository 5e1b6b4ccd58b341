import assert from 'node:assert/strict';
import { test } from 'node:test';
import { renderTable } from './table.ts';
import { against, figure, median, percentile } from './verdict.ts';

const common = { name: 'case', unit: 'mails/s', peer: 'mpop', atLeast: 1 };

test('against() takes the median of the ratios, not the ratio of the medians', () => {
  const pairs = [
    { ours: 100, peer: 100 },
    { ours: 20, peer: 10 },
    { ours: 300, peer: 100 },
  ];
  const result = against({ ...common, pairs });
  assert.deepEqual([result.ours, result.peers, result.ratio, result.holds], [100, { mpop: 100 }, 2, true]);
});

test('against() misses the bar just below it, and when nothing was measured', () => {
  assert.equal(against({ ...common, pairs: [{ ours: 99, peer: 100 }] }).holds, false);
  assert.equal(against({ ...common, pairs: [] }).holds, false);
});

test('figure() holds up to its bar, and misses it when there is no figure', () => {
  const bar = { kind: 'at-most', value: 30 } as const;
  assert.equal(figure({ name: 'memory', unit: 'MB', ours: 30, bar }).holds, true);
  assert.equal(figure({ name: 'memory', unit: 'MB', ours: 31, bar }).holds, false);
  const missing = figure({ name: 'memory', unit: 'MB', ours: null, bar });
  assert.deepEqual([missing.holds, missing.ours, missing.ratio], [false, null, null]);
  assert.equal(figure({ name: 'told', unit: 'MB', ours: 31 }).holds, true);
});

test('percentile() is a value that occurred', () => {
  assert.equal(percentile([5, 1, 4, 2, 3], 0.95), 5);
  assert.equal(median([4, 1, 3, 2]), 2);
  assert.ok(Number.isNaN(median([])));
});

test('renderTable() shows a missed bar and a figure without one', () => {
  const missed = figure({ name: 'a', unit: 's', ours: null, bar: { kind: 'at-most', value: 1 } });
  const told = figure({ name: 'b', unit: 'bytes', ours: 7 });
  const [, , first = '', second = ''] = renderTable([missed, told]).split('\n');
  assert.match(first, /^a +s +- .*<= 1 s +NO/);
  assert.match(second, /^b +bytes +7$/);
});
