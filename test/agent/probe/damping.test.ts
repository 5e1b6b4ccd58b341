import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findMassChange, nextStanding, unknownStanding } from '../../../agent/probe/damping.ts';
import type { Standing } from '../../../agent/probe/damping.ts';
import type { DnsblResult } from '../../../agent/probe/dnsbl.ts';
import { levelOf, remedyOf } from '../../../agent/probe/severity.ts';
import type { Role } from '../../../agent/probe/severity.ts';
import { knownZones, levels, listingClasses } from '../../../agent/probe/zone-data.ts';
import { createZonePace, isLineDown } from '../../../agent/probe/zone-pace.ts';

const minute = 60_000;
const hour = 60 * minute;
const limits = { confirmMs: 10 * minute, clearMs: hour };

function result(state: DnsblResult['state'], more: Partial<DnsblResult> = {}): DnsblResult {
  const listed = state === 'listed';
  return {
    target: '192.0.2.1',
    zone: 'bl.test',
    state,
    codes: [],
    level: listed ? 'warning' : 'none',
    ...(listed && { class: 'spam' as const }),
    reason: '',
    checkedAt: 0,
    ...more,
  };
}

/** Minute and state of each answer; the level that is told after each. */
function play(...answers: readonly (readonly [number, DnsblResult['state'], Partial<DnsblResult>?])[]) {
  let standing: Standing = unknownStanding;
  return answers.map(([at, state, more]) => {
    standing = nextStanding(standing, result(state, more), at * minute, limits);
    return standing.level;
  });
}

test('a listing needs a second answer, and some time between them', () => {
  assert.deepEqual(play([0, 'listed'], [10, 'listed']), ['none', 'warning']);
  assert.deepEqual(play([0, 'listed'], [9, 'listed'], [11, 'listed']), ['none', 'none', 'warning']);
  assert.deepEqual(play([0, 'listed'], [0, 'listed'], [0, 'listed']), ['none', 'none', 'none']);
});

test('one answer that says otherwise begins anew', () => {
  assert.deepEqual(play([0, 'listed'], [5, 'clean'], [15, 'listed'], [25, 'listed']), [
    'none',
    'none',
    'none',
    'warning',
  ]);
  const told = play([0, 'listed'], [10, 'listed'], [20, 'clean'], [50, 'listed'], [81, 'clean'], [141, 'clean']);
  assert.deepEqual(told, ['none', 'warning', 'warning', 'warning', 'warning', 'none']);
  const slow = play([0, 'listed'], [10, 'listed'], [20, 'clean'], [50, 'clean'], [80, 'clean']);
  assert.deepEqual(slow, ['none', 'warning', 'warning', 'warning', 'none'], 'taken back more slowly than told');
});

test('another accusation is another listing, and the first one stays until it is sure', () => {
  const worse = { class: 'domain', level: 'critical' } as const;
  const told = play([0, 'listed'], [10, 'listed'], [20, 'listed', worse], [25, 'listed', worse], [30, 'listed', worse]);
  assert.deepEqual(told, ['none', 'warning', 'warning', 'warning', 'critical']);
});

test('what cannot be seen changes nothing, in either direction', () => {
  for (const state of ['refused', 'error', 'zone-unhealthy', 'not-applicable', 'gone'] as const) {
    assert.deepEqual(play([0, state], [600, state]), ['none', 'none']);
    assert.deepEqual(play([0, 'listed'], [10, 'listed'], [20, state], [900, state]).at(-1), 'warning');
    assert.deepEqual(play([0, 'listed'], [5, state], [10, 'listed']).at(-1), 'warning');
  }
});

test('what is worth knowing but accuses nobody is told at once', () => {
  assert.deepEqual(play([0, 'clean', { level: 'info' }], [30, 'clean']), ['info', 'none']);
});

test('a mass change is more than half of the lists that answered, and three at least', () => {
  const lists = (counts: { changed: number; same: number; clean: number; blind: number }) => {
    const { blind, changed, clean, same } = counts;
    const results = [
      ...Array.from({ length: changed }, (_, n) => result('listed', { zone: 'changed' + n })),
      ...Array.from({ length: same }, (_, n) => result('listed', { zone: 'same' + n })),
      ...Array.from({ length: clean }, (_, n) => result('clean', { zone: 'clean' + n })),
      ...Array.from({ length: blind }, (_, n) => result('error', { zone: 'blind' + n })),
    ];
    const before = ({ zone }: DnsblResult) => (zone.startsWith('same') ? 'listed' : 'clean');
    return [...findMassChange(before, results)];
  };
  assert.deepEqual(lists({ changed: 3, same: 0, clean: 2, blind: 9 }), ['192.0.2.1']);
  assert.deepEqual(lists({ changed: 3, same: 0, clean: 3, blind: 0 }), []);
  assert.deepEqual(lists({ changed: 2, same: 0, clean: 0, blind: 0 }), []);
  assert.deepEqual(lists({ changed: 3, same: 4, clean: 0, blind: 0 }), []);
});

test('a list that refuses or is dead is asked ever more rarely, one that fails comes back sooner', () => {
  const interval = hour / 2;
  const pauses = (state: DnsblResult['state']) => {
    const pace = createZonePace(interval);
    const found: number[] = [];
    let asked = 0;
    for (let now = 0; found.length < 8; now += interval) {
      if (!pace.isDue('bl.test', now)) continue;
      if (now > 0) found.push((now - asked) / hour);
      asked = now;
      pace.take('bl.test', [result(state)], now, false);
    }
    return found;
  };
  assert.deepEqual(pauses('error'), [0.5, 1, 2, 4, 4, 4, 4, 4]);
  for (const state of ['refused', 'zone-unhealthy'] as const)
    assert.deepEqual(pauses(state), [0.5, 1, 2.5, 4.5, 6, 6, 6, 6]);
  assert.deepEqual(
    pauses('clean'),
    Array.from({ length: 8 }, () => 0.5),
  );
});

test('a line that is down is not the fault of the lists; that nothing was seen is counted all the same', () => {
  const pace = createZonePace(hour / 2);
  for (let now = 0; now <= 12 * hour; now += hour / 2) {
    assert.ok(pace.isDue('bl.test', now));
    pace.take('bl.test', [result('error')], now, true);
  }
  assert.equal(pace.blindFor('bl.test', 12 * hour), 12 * hour);
  pace.take('bl.test', [result('clean')], 12 * hour, false);
  assert.equal(pace.blindFor('bl.test', 13 * hour), 0);
});

test('the line is down when two lists or more were asked and none of them answered', () => {
  assert.ok(isLineDown([[result('error')], [result('error'), result('not-applicable')]]));
  assert.ok(!isLineDown([[result('error')]]));
  assert.ok(!isLineDown([[result('error')], [result('refused')]]));
  assert.ok(!isLineDown([[result('error')], [result('clean')]]));
  assert.ok(!isLineDown([[result('error')], [result('not-applicable')]]));
});

test('after a change of resolvers every list is asked again', () => {
  const pace = createZonePace(hour / 2);
  pace.take('bl.test', [result('refused')], 0, false);
  pace.take('bl.test', [result('refused')], hour, false);
  assert.ok(!pace.isDue('bl.test', hour * 1.5));
  pace.reset();
  assert.ok(pace.isDue('bl.test', hour * 1.5));
  assert.equal(pace.blindFor('bl.test', hour * 2), hour * 2);
});

/** role, class, level in the data of the list; what is told while relaying, and while not */
const loud: readonly (readonly [Role, (typeof listingClasses)[number], 'info' | 'warning', string, string])[] = [
  ['site', 'policy', 'info', 'info', 'warning'],
  ['relay', 'policy', 'info', 'warning', 'warning'],
  ['site', 'exploited', 'warning', 'warning', 'warning'],
  ['site', 'spam', 'warning', 'warning', 'warning'],
  ['relay', 'spam', 'warning', 'warning', 'warning'],
  ['site', 'network', 'info', 'info', 'info'],
];
for (const [role, one, level, relaying, direct] of loud) {
  test(one + ' of a ' + role + ' is ' + relaying + ', and ' + direct + ' for who sends directly', () => {
    const meaning = { text: '', class: one, level };
    assert.equal(levelOf(meaning, role, true), relaying);
    assert.equal(levelOf(meaning, role, false), direct);
  });
}

test('there is something to do about every accusation', () => {
  for (const role of ['site', 'relay', 'domain'] as const)
    for (const one of listingClasses) assert.match(remedyOf(role, one), /^[A-Z].{20,}\.$/);
});

test('every list has a policy, a source, and known levels', () => {
  for (const [zone, { codes, policy, source }] of Object.entries(knownZones)) {
    assert.ok(policy !== '' && URL.canParse(source), zone);
    const meanings = codes.kind === 'any' ? [codes.meaning] : Object.values(codes.meanings);
    for (const { class: one, level, text } of meanings)
      assert.ok(listingClasses.includes(one) && levels.includes(level) && text !== '', zone);
  }
});
