import assert from 'node:assert/strict';
import { test } from 'node:test';
import { alertRules } from '#shared/alert-rules.ts';
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import { evaluate } from '../../../collector/alert/evaluate.ts';
import type { AlertState } from '../../../collector/alert/evaluate.ts';
import { rulesInForce } from '../../../collector/alert/rules.ts';
import type { AgentState, AgentView } from '../../../collector/fleet/agent-view.ts';

const start = 1_700_000_000_000;
const rules = rulesInForce({
  rules: {
    'agent-silent': { forSeconds: 120, clearSeconds: 10 },
    'account-failing': { forSeconds: 60, clearSeconds: 20 },
    'queue-old': { forSeconds: 60, clearSeconds: 20 },
    'address-listed': { forSeconds: 60, clearSeconds: 20 },
  },
});

type Scene = { readonly state?: AgentState; readonly silentSeconds?: number; readonly readings?: readonly Point[] };

function view(scene: Scene): AgentView {
  return {
    tenant: 'acme',
    id: 'nas-1',
    state: scene.state ?? 'online',
    lastSeenAt: start,
    silentMs: (scene.silentSeconds ?? 0) * 1_000,
    version: '',
    mailIn: { count: 0 },
    mailOut: { count: 0 },
    queue: { count: 0, oldestSeconds: 0 },
    readings: scene.readings ?? [],
  };
}

const account = (up: number): Point =>
  createPoint('account', start, { account: 'info' }, { up, problem: up === 1 ? '' : 'login refused' });
const queue = (oldest: number): Point => createPoint('queue', start, {}, { oldest_seconds: oldest });
const listed = (state: number, level = state === 1 ? 2 : 0): Point =>
  createPoint('dnsbl', start, { target: '192.0.2.1', zone: 'bl.test' }, { state, level });

/** Plays scenes of so many seconds each; gives what was told, with the second at which it was. */
function play(
  scenes: readonly (readonly [seconds: number, scene: Scene])[],
  options: { readonly stepSeconds?: number; readonly restartAt?: number } = {},
): readonly string[] {
  const step = options.stepSeconds ?? 5;
  let states: readonly AlertState[] = [];
  const told: string[] = [];
  let second = 0;
  let elapsed = 0;
  for (const [seconds, scene] of scenes) {
    for (let end = second + seconds; second < end; second += step) {
      if (second === options.restartAt) {
        states = JSON.parse(JSON.stringify(states)) as readonly AlertState[]; // what the disk gives back
        elapsed = 0;
      }
      const result = evaluate({
        states,
        views: [view(scene)],
        rules,
        isPresent: online,
        runningMs: Infinity,
        elapsedMs: elapsed * 1_000,
        now: start + second * 1_000,
      });
      states = result.states;
      told.push(...result.transitions.map(({ kind, alert }) => second + ' ' + kind + ' ' + alert.rule));
      elapsed = step;
    }
  }
  return told;
}

const online = ({ state }: AgentView): boolean => state === 'online';
const later = { isPresent: online, runningMs: Infinity, elapsedMs: 5_000, now: start };
const bad = { readings: [account(0)] };
const good = { readings: [account(1)] };

test('a condition must hold its time before it is raised, and the opposite its own before it is resolved', () => {
  assert.deepEqual(
    play([
      [100, bad],
      [100, good],
    ]),
    ['60 raised account-failing', '120 resolved account-failing'],
  );
});

test('a short trouble is never told', () => {
  assert.deepEqual(
    play([
      [55, bad],
      [30, good],
      [55, bad],
      [100, good],
    ]),
    [],
  );
});

test('flapping is one alert', () => {
  const flaps = Array.from(
    { length: 10 },
    () =>
      [
        [10, bad],
        [10, good],
      ] as const,
  ).flat();
  assert.deepEqual(play([[70, bad], ...flaps, [100, good]]), [
    '60 raised account-failing',
    '280 resolved account-failing',
  ]);
});

test('a restart of the collector neither repeats, forgets nor hurries', () => {
  const scenes = [
    [100, bad],
    [100, good],
  ] as const;
  assert.deepEqual(play(scenes, { restartAt: 80 }), ['60 raised account-failing', '120 resolved account-failing']);
  // The time across the restart is not counted: it was not seen.
  assert.deepEqual(play(scenes, { restartAt: 30 }), ['65 raised account-failing', '120 resolved account-failing']);
  assert.deepEqual(play(scenes, { restartAt: 110 }), ['60 raised account-failing', '125 resolved account-failing']);
});

test('an agent is silent by the time nothing was heard, whatever the rhythm of the evaluation', () => {
  const scenes = (silent: number) =>
    [0, silent].map(
      (silentSeconds) => [1, { state: silentSeconds === 0 ? 'online' : 'stale', silentSeconds }] as const,
    );
  assert.deepEqual(play(scenes(119), { stepSeconds: 1 }), []);
  assert.deepEqual(play(scenes(121), { stepSeconds: 1 }), ['1 raised agent-silent']);
});

test('an agent that said goodbye is told when it stays away', () => {
  const away = Array.from({ length: 150 }, (_, second) => [1, { state: 'offline', silentSeconds: second }] as const);
  assert.deepEqual(play([...away, [30, {}]], { stepSeconds: 1 }), [
    '120 raised agent-silent',
    '160 resolved agent-silent',
  ]);
});

test('while the agent is silent, its old words neither raise nor resolve', () => {
  assert.deepEqual(play([[100, { ...bad, state: 'stale' }]]), []);
  assert.deepEqual(
    play([
      [70, bad],
      [100, { ...good, state: 'offline', silentSeconds: 1 }],
      [5, good],
      [15, good],
    ]),
    ['60 raised account-failing'],
  );
  assert.deepEqual(
    play([
      [70, bad],
      [100, { ...good, state: 'offline', silentSeconds: 1 }],
      [40, good],
    ]),
    ['60 raised account-failing', '190 resolved account-failing'],
  );
});

test('a reading that vanishes does not resolve', () => {
  assert.deepEqual(
    play([
      [70, bad],
      [300, {}],
    ]),
    ['60 raised account-failing'],
  );
});

test('between the limits of raising and resolving everything stays as it is', () => {
  const between = { readings: [queue(600)] };
  assert.deepEqual(play([[300, between]]), []);
  assert.deepEqual(
    play([
      [70, { readings: [queue(901)] }],
      [300, between],
      [40, { readings: [queue(299)] }],
    ]),
    ['60 raised queue-old', '390 resolved queue-old'],
  );
});

test('a list that refuses or is broken neither raises nor resolves', () => {
  for (const state of [2, 3, 4]) {
    assert.deepEqual(play([[300, { readings: [listed(state)] }]]), []);
    assert.deepEqual(
      play([
        [70, { readings: [listed(1)] }],
        [300, { readings: [listed(state, 2)] }],
        [40, { readings: [listed(0)] }],
      ]),
      ['60 raised address-listed', '390 resolved address-listed'],
    );
  }
});

test('every list, account and agent is an alert of its own', () => {
  const points = ['a', 'b'].map((name) => createPoint('account', start, { account: name }, { up: 0 }));
  const result = evaluate({
    states: [],
    views: [view({ readings: points })],
    rules: rules.map((rule) => ({ ...rule, forSeconds: 0 })),
    isPresent: online,
    runningMs: Infinity,
    elapsedMs: 0,
    now: start,
  });
  assert.deepEqual(
    result.transitions.map(({ alert }) => alert.tags),
    [{ account: 'a' }, { account: 'b' }],
  );
});

test('a rule that is switched off ends its alert', () => {
  const state = evaluate({
    states: [],
    views: [view(bad)],
    rules: rules.map((rule) => ({ ...rule, forSeconds: 0 })),
    isPresent: online,
    runningMs: Infinity,
    elapsedMs: 0,
    now: start,
  }).states;
  const off = rulesInForce({ rules: { 'account-failing': { enabled: false } } });
  const result = evaluate({ ...later, states: state, views: [view(bad)], rules: off });
  assert.deepEqual(
    result.transitions.map(({ kind, alert }) => kind + ' ' + alert.rule),
    ['resolved account-failing'],
  );
  assert.deepEqual(result.states, []);
});

test('held mail is told after ten minutes, and resolved when a person has dealt with it', () => {
  const held = (count: number): Point => createPoint('queue', start, {}, { oldest_seconds: 0, held: count });
  assert.deepEqual(
    play([
      [595, { readings: [held(1)] }],
      [60, { readings: [held(0)] }],
      [700, { readings: [held(2)] }],
      [50, { readings: [held(0)] }],
      [700, { readings: [held(3)] }],
      [70, { readings: [held(0)] }],
    ]),
    ['1255 raised queue-held', '2165 resolved queue-held'],
  );
});

test('the defaults are known by names of their own, each with words for a person', () => {
  const ids = alertRules.map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ['agent-silent', 'agent-held', 'account-failing', 'queue-old', 'queue-held', 'address-listed'])
    assert.ok(ids.includes(id), id);
  for (const { title, meaning, remedy } of alertRules)
    for (const words of [title, meaning, remedy]) assert.ok(words.length > 20);
});
