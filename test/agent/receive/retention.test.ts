import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deletable } from '../../../agent/receive/retention.ts';
import type { Copy, Keep } from '../../../agent/receive/retention.ts';

const handed: Copy = {
  number: 1,
  uidl: 'a',
  state: 'handed-over',
  handedOverDay: 10,
  recordedBytes: 500,
  listedBytes: 500,
  fetchedNow: false,
};

test('what may be deleted, one mail', () => {
  const table: readonly (readonly [string, Partial<Copy>, Keep, number, boolean])[] = [
    ['handed over, keep none', {}, 'none', 10, true],
    ['handed over, keep forever', {}, 'forever', 9_999, false],
    ['same day', {}, { days: 1 }, 10, false],
    ['next day: a few minutes may have passed', {}, { days: 1 }, 11, false],
    ['the day after that', {}, { days: 1 }, 12, true],
    ['14 days, not over', {}, { days: 14 }, 24, false],
    ['14 days, over', {}, { days: 14 }, 25, true],
    ['day unknown', { handedOverDay: undefined }, { days: 1 }, 99, false],
    ['never handed over', { state: 'seen' }, 'none', 99, false],
    ['in quarantine', { state: 'quarantined' }, 'none', 99, false],
    ['DELE was not confirmed', { state: 'delete-pending' }, 'none', 10, true],
    ['DELE was not confirmed, but keep was made longer', { state: 'delete-pending' }, { days: 30 }, 12, false],
    ['gone', { state: 'gone' }, 'none', 99, false],
    ['another size is listed now', { listedBytes: 501 }, 'none', 10, false],
    ['no size was recorded', { recordedBytes: undefined, listedBytes: undefined }, 'none', 10, false],
    [
      'no size, but read in this session',
      { recordedBytes: undefined, listedBytes: undefined, fetchedNow: true },
      'none',
      10,
      true,
    ],
    ['another size, but read in this session', { listedBytes: 501, fetchedNow: true }, 'none', 10, true],
    ['the days went backwards', {}, { days: 1 }, 3, false],
  ];
  for (const [name, change, keep, today, expected] of table)
    assert.deepEqual(deletable([{ ...handed, ...change }], keep, today), expected ? [1] : [], name);
});

test('a copy whose UIDL is shared goes only when all copies may go', () => {
  const undecided: readonly Partial<Copy>[] = [
    { state: 'seen', handedOverDay: undefined },
    { state: 'quarantined' },
    { handedOverDay: 24 },
    { listedBytes: 1 },
  ];
  const other = { ...handed, number: 3, uidl: 'b' };
  for (const change of undecided) {
    const copies = [handed, { ...handed, number: 2, ...change }, other];
    assert.deepEqual(deletable(copies, { days: 14 }, 30), [3], JSON.stringify(change));
  }
  assert.deepEqual(deletable([handed, { ...handed, number: 2 }, other], { days: 14 }, 30), [1, 2, 3]);
});
