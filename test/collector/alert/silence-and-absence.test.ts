// What the table of evaluate.test.ts does not show: silence over a restart, limits that are left half-way, readings that go.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alertRules } from '#shared/alert-rules.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { evaluate } from '../../../collector/alert/evaluate.ts';
import type { AlertState } from '../../../collector/alert/evaluate.ts';
import { showDuration } from '../../../collector/alert/observe.ts';
import type { AgentState, AgentView } from '../../../collector/fleet/agent-view.ts';

const start = 1_700_000_000_000;
type Scene = {
  readonly state?: AgentState;
  readonly silentMs?: number;
  readonly readings?: readonly Point[];
  readonly present?: boolean;
  readonly plannedOff?: boolean;
};

/** One evaluation after another with the default rules; gives what was told. */
function player(first: readonly AlertState[] = []) {
  let states = first;
  let runningMs = 0;
  return {
    states: () => states,
    /** `seconds` pass, then the scene is seen. */
    see(seconds: number, scene: Scene): readonly string[] {
      runningMs += seconds * 1_000;
      const result = evaluate({
        states,
        views: [viewOf(scene)],
        rules: alertRules,
        isPresent: () => scene.present ?? (scene.state ?? 'online') === 'online',
        elapsedMs: seconds * 1_000,
        runningMs,
        now: start + runningMs,
      });
      states = result.states;
      return result.transitions.map(({ kind, why, alert }) => kind + ' ' + alert.rule + ' ' + why);
    },
  };
}

function viewOf(scene: Scene): AgentView {
  return {
    tenant: 'acme',
    id: 'nas-1',
    state: scene.state ?? 'online',
    lastSeenAt: start - 1_000_000,
    silentMs: scene.silentMs ?? 0,
    plannedOff: scene.plannedOff ?? false,
    version: '',
    mailIn: { count: 0 },
    mailOut: { count: 0 },
    queue: { count: 0, oldestSeconds: 0 },
    readings: scene.readings ?? [],
  };
}

const queue = (oldest: number): Scene => ({ readings: [createPoint('queue', start, {}, { oldest_seconds: oldest })] });
const account = (up: number): Scene => ({
  readings: [createPoint('account', start, { account: 'info' }, { up, problem: '' })],
});
const hour = 3_600;

test('after a restart of the collector an agent gets the time of its longest pause before it is told as silent', () => {
  const collector = player();
  let told: readonly string[] = [];
  // Not heard in this run: silent for exactly as long as the collector runs.
  for (let second = 5; second < 450; second += 5)
    told = [...told, ...collector.see(5, { state: 'stale', silentMs: second * 1_000 })];
  assert.deepEqual(told, []);
  assert.deepEqual(collector.see(5, { state: 'offline', silentMs: 450_000 }), ['raised agent-silent condition']);
});

test('a silence that had begun before the restart does not make the agent silent sooner', () => {
  const before = player();
  before.see(1_000, {});
  before.see(115, { state: 'stale', silentMs: 115_000 });
  const after = player(before.states());
  assert.deepEqual(after.see(5, { state: 'stale', silentMs: 5_000 }), []);
  assert.deepEqual(after.see(100, { state: 'stale', silentMs: 105_000 }), []);
});

test('an agent that was told as silent is told once, over any number of restarts, and its return is told', () => {
  const first = player();
  first.see(1_000, {});
  assert.deepEqual(first.see(200, { state: 'stale', silentMs: 200_000 }), ['raised agent-silent condition']);
  const second = player(first.states());
  assert.deepEqual(second.see(0, { state: 'stale', silentMs: 0 }), []);
  assert.deepEqual(second.see(900, { state: 'offline', silentMs: 900_000 }), []);
  const third = player(second.states());
  assert.deepEqual(third.see(0, { state: 'stale', silentMs: 0 }), []);
  assert.deepEqual(third.see(5, {}), []);
  assert.deepEqual(third.see(5, {}), []);
  assert.deepEqual(third.see(5, {}), ['resolved agent-silent condition']);
  assert.deepEqual(third.states(), []);
});

test('the silence began when the agent was last heard', () => {
  const collector = player();
  collector.see(1_000, {});
  collector.see(200, { state: 'stale', silentMs: 200_000 });
  assert.equal(collector.states()[0]?.since, start - 1_000_000);
});

test('a value that falls between the limits ends what was counted towards the raising', () => {
  const collector = player();
  assert.deepEqual(collector.see(0, queue(901)), []);
  assert.deepEqual(collector.see(50, queue(901)), []);
  assert.deepEqual(collector.see(5, queue(600)), []);
  assert.deepEqual(collector.see(50, queue(901)), []);
  assert.deepEqual(collector.see(59, queue(901)), []);
  assert.deepEqual(collector.see(1, queue(901)), ['raised queue-old condition']);
  assert.deepEqual(collector.see(50, queue(299)), [], 'the time before it was seen does not count');
  assert.deepEqual(collector.see(59, queue(299)), []);
  assert.deepEqual(collector.see(5, queue(600)), [], 'and so towards the resolving');
  assert.deepEqual(collector.see(50, queue(299)), []);
  assert.deepEqual(collector.see(59, queue(299)), []);
  assert.deepEqual(collector.see(1, queue(299)), ['resolved queue-old condition']);
});

test('what is not the present neither raises nor resolves, and counts for nothing', () => {
  const collector = player();
  collector.see(0, account(0));
  collector.see(300, account(0));
  assert.deepEqual(collector.see(hour, { ...account(0), present: false }), []);
  assert.deepEqual(collector.see(hour, account(0)), []);
  assert.deepEqual(collector.see(299, account(0)), []);
  assert.deepEqual(collector.see(1, account(0)), ['raised account-failing condition']);
  assert.deepEqual(collector.see(hour, { ...account(1), present: false }), []);
  assert.deepEqual(collector.see(hour, account(1)), []);
  assert.deepEqual(collector.see(60, account(1)), ['resolved account-failing condition']);
});

test('what is reported no more ends after a day of other reports, and says so', () => {
  const collector = player();
  collector.see(0, account(0));
  collector.see(600, account(0));
  assert.deepEqual(collector.see(5, {}), []);
  assert.deepEqual(collector.see(hour * 23, {}), []);
  assert.deepEqual(
    collector.see(hour * 48, { state: 'offline', silentMs: 1 }).filter((line) => line.includes('account')),
    [],
  );
  assert.deepEqual(collector.see(hour, {}), [], 'while it was silent nothing was known');
  assert.deepEqual(collector.see(hour, {}), ['resolved account-failing gone']);
  assert.deepEqual(collector.states(), []);
});

test('what comes back within the day is the same alert', () => {
  const collector = player();
  collector.see(0, account(0));
  collector.see(600, account(0));
  for (const seconds of [5, hour * 23]) assert.deepEqual(collector.see(seconds, {}), []);
  assert.deepEqual(collector.see(5, account(0)), []);
  for (const seconds of [5, hour * 23]) assert.deepEqual(collector.see(seconds, {}), []);
  assert.deepEqual(collector.see(5, account(0)), []);
  assert.deepEqual(collector.see(5, account(1)), []);
  assert.deepEqual(collector.see(60, account(1)), ['resolved account-failing condition']);
});

test('what was never told is forgotten without a word', () => {
  const collector = player();
  collector.see(0, account(0));
  assert.equal(collector.states().length, 1);
  assert.deepEqual(collector.see(5, {}), []);
  assert.deepEqual(collector.states(), []);
});

test('the detail names what waits in the units of people, and what the relay says', () => {
  const collector = player();
  const well = createPoint('relay', start, { relay: 'a' }, { up: 1, problem: '' });
  const relay = createPoint('relay', start, { relay: 'r' }, { up: 0, problem: '535 wrong password' });
  collector.see(0, { readings: [...(queue(1_020).readings ?? []), well, relay] });
  assert.equal(collector.states()[0]?.detail, 'queue oldest: 17 min; relay: 535 wrong password');
  assert.deepEqual([0, 119, 120, 7_199, 7_200, 200_000].map(showDuration), [
    '0 s',
    '119 s',
    '2 min',
    '120 min',
    '2 h',
    '2 days',
  ]);
});

test('the alerts of an agent that was removed end at once', () => {
  const collector = player();
  collector.see(0, { state: 'offline', silentMs: 0 });
  assert.deepEqual(collector.see(5, { state: 'offline', silentMs: hour * 1_000 }), ['raised agent-silent condition']);
  const result = evaluate({
    states: collector.states(),
    views: [],
    rules: alertRules,
    isPresent: () => true,
    elapsedMs: 5_000,
    runningMs: 10_000,
    now: start,
  });
  assert.deepEqual(
    result.transitions.map(({ kind, why }) => kind + ' ' + why),
    ['resolved gone'],
  );
  assert.deepEqual(result.states, []);
});

test('a machine that was switched off as planned is no alarm, unless it stays away for days', () => {
  const hourMs = 3_600_000;
  const collector = player();
  collector.see(3_600, {});
  assert.deepEqual(collector.see(600, { state: 'offline', silentMs: 600_000, plannedOff: true }), []);
  assert.deepEqual(collector.see(60 * 3_600, { state: 'offline', silentMs: 60 * hourMs, plannedOff: true }), []);
  assert.match(
    collector.see(80 * 3_600, { state: 'offline', silentMs: 140 * hourMs, plannedOff: true }).join(),
    /agent-silent/,
  );
  const other = player();
  other.see(3_600, {});
  assert.match(other.see(600, { state: 'offline', silentMs: 600_000 }).join(), /agent-silent/, 'one that just ends');
});
