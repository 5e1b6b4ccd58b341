import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deletable, dueCopies, isShorter, readKeep, spellKeep } from '../../../agent/receive/retention.ts';
import type { Copy, Keep } from '../../../agent/receive/retention.ts';

const handed: Copy = {
  number: 1,
  uidl: 'a',
  state: 'handed-over',
  handedOverDay: 10,
  proven: true,
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
    ['from before the first run, not wanted', { state: 'passed-over' }, 'none', 99, false],
    ['nothing shows that it is the mail that the ledger means', { proven: false }, 'none', 10, false],
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
    { proven: false },
    { state: 'passed-over' },
  ];
  const other = { ...handed, number: 3, uidl: 'b' };
  for (const change of undecided) {
    const copies = [handed, { ...handed, number: 2, ...change }, other];
    assert.deepEqual(deletable(copies, { days: 14 }, 30), [3], JSON.stringify(change));
  }
  assert.deepEqual(deletable([handed, { ...handed, number: 2 }, other], { days: 14 }, 30), [1, 2, 3]);
});

test('what is worth a look is what may be deleted but for the proof', () => {
  const copies = [
    { ...handed, proven: false },
    { ...handed, number: 2, uidl: 'b', state: 'seen' as const },
  ];
  assert.deepEqual(dueCopies(copies, 'none', 10), [1]);
  assert.deepEqual(deletable(copies, 'none', 10), []);
});

test('keeping times are spelled and compared', () => {
  const keeps: readonly Keep[] = ['none', { days: 1 }, { days: 14 }, 'forever'];
  for (const [index, keep] of keeps.entries()) {
    assert.deepEqual(readKeep(spellKeep(keep)), keep);
    for (const [other, longer] of keeps.entries()) assert.equal(isShorter(keep, longer), index < other);
  }
  assert.equal(readKeep('days:x'), undefined);
});
