// Pure: (what was, what is known now, how much time has passed) -> (what is, what changed). Durations are counted in time
// that the collector saw pass, so that a restart or a jump of the wall clock neither raises nor resolves anything.
import type { AlertRule } from '#shared/alert-rules.ts';
import type { AgentView } from '../fleet/agent-view.ts';
import { observe } from './observe.ts';
import type { Observation } from './observe.ts';

export type AlertState = {
  /** Rule, agent and tags: the same trouble has the same key. */
  readonly key: string;
  readonly rule: string;
  readonly tenant: string;
  readonly agent: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly phase: 'pending' | 'firing';
  /** Wall clock when the condition was first seen, milliseconds since 1970. */
  readonly since: number;
  /** Time seen in the current direction: of the fire condition while pending, of the clear condition while firing. */
  readonly heldMs: number;
  /** The direction was seen at the last evaluation, so that the time since then counts. */
  readonly counting: boolean;
  /** What the agent says about it: a server's words, a value. */
  readonly detail: string;
};
export type Transition = {
  readonly kind: 'raised' | 'resolved';
  readonly alert: AlertState;
  readonly at: number;
  /** `gone`: nothing is reported about it any more. */
  readonly why: 'condition' | 'gone' | 'rule-off';
};
export type Evaluation = { readonly states: readonly AlertState[]; readonly transitions: readonly Transition[] };
export type Time = {
  /** Monotonic time since the last evaluation; 0 at the first. */
  readonly elapsedMs: number;
  /** Monotonic time since the collector started. */
  readonly runningMs: number;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
};
type Step = { readonly state: AlertState | undefined; readonly transition?: Transition };

/**
 * What is reported no more ends after a day in which the agent reported other things: an account or a list was removed.
 * Not at once: after a jump of the agent's clock the fleet forgets readings that come again with the next round.
 */
const goneMs = 24 * 3_600_000;

export function evaluate(
  options: Time & {
    readonly states: readonly AlertState[];
    readonly views: readonly AgentView[];
    readonly rules: readonly AlertRule[];
    /** Whether the readings of the agent are the present (present.ts); else its alerts but the silence stay as they are. */
    readonly isPresent: (view: AgentView) => boolean;
  },
): Evaluation {
  const { views, rules, isPresent } = options;
  const before = new Map(options.states.map((state) => [state.key, state]));
  const steps: Step[] = [];
  for (const view of views) {
    const present = isPresent(view);
    for (const seen of rules.flatMap((rule) => observe(rule, view, { present, runningMs: options.runningMs }))) {
      steps.push(advance(before.get(seen.key), seen, options));
      before.delete(seen.key);
    }
  }
  const ids = new Set(rules.map(({ id }) => id));
  const known = new Set(views.map((view) => view.tenant + '/' + view.id));
  const reporting = new Set(views.filter(isPresent).map((view) => view.tenant + '/' + view.id));
  for (const state of before.values()) {
    if (!ids.has(state.rule)) steps.push(end(state, options, 'rule-off'));
    else if (!known.has(state.tenant + '/' + state.agent)) steps.push(end(state, options, 'gone'));
    else if (!reporting.has(state.tenant + '/' + state.agent)) steps.push({ state: { ...state, counting: false } });
    else steps.push(advanceGone(state, options));
  }
  return {
    states: steps.flatMap(({ state }) => (state === undefined ? [] : [state])),
    transitions: steps.flatMap(({ transition }) => (transition === undefined ? [] : [transition])),
  };
}

function advance(state: AlertState | undefined, seen: Observation, time: Time): Step {
  return state?.phase === 'firing' ? advanceFiring(state, seen, time) : advancePending(state, seen, time);
}

function advanceFiring(state: AlertState, seen: Observation, time: Time): Step {
  switch (seen.sign) {
    case 'unknown':
      return { state: { ...state, counting: false } };
    case 'fire':
      return { state: { ...state, heldMs: 0, counting: false, detail: seen.detail } };
    case 'between':
      return { state: { ...state, heldMs: 0, counting: false } };
    case 'clear': {
      const next = count(state, time);
      return next.heldMs < seen.clearMs ? { state: next } : end(next, time, 'condition');
    }
  }
}

function advancePending(state: AlertState | undefined, seen: Observation, time: Time): Step {
  const { key, rule, tenant, agent, tags, detail } = seen;
  switch (seen.sign) {
    case 'unknown':
      return { state: state === undefined ? undefined : { ...state, counting: false } };
    case 'clear':
    case 'between':
      return { state: undefined };
    case 'fire': {
      const heldMs = seen.heldMs ?? (state === undefined ? 0 : count(state, time).heldMs);
      const since = state?.since ?? seen.since ?? time.now;
      const base = { key, rule, tenant, agent, tags, since, detail };
      if (heldMs < seen.forMs) return { state: { ...base, phase: 'pending', heldMs, counting: true } };
      const alert: AlertState = { ...base, phase: 'firing', heldMs: 0, counting: false };
      return { state: alert, transition: { kind: 'raised', alert, at: time.now, why: 'condition' } };
    }
  }
}

function advanceGone(state: AlertState, time: Time): Step {
  const next = count(state, time);
  return state.phase === 'pending' || next.heldMs >= goneMs ? end(next, time, 'gone') : { state: next };
}

function count(state: AlertState, time: Time): AlertState {
  return { ...state, heldMs: state.heldMs + (state.counting ? time.elapsedMs : 0), counting: true };
}

/** What was never told needs no ending. */
function end(alert: AlertState, time: Time, why: Transition['why']): Step {
  if (alert.phase === 'pending') return { state: undefined };
  return { state: undefined, transition: { kind: 'resolved', alert, at: time.now, why } };
}
