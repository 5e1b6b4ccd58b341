// Pure: (what was, what is known now, how much time has passed) -> (what is, what changed). Durations are counted in time
// that the collector saw pass, so that a restart or a jump of the wall clock neither raises nor resolves anything.
import type { AlertRule, Comparison } from '#shared/alert-rules.ts';
import type { AgentView } from '../fleet/agent-view.ts';

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
  /** What the agent says about it: a server's words, a value. */
  readonly detail: string;
};
export type Transition = { readonly kind: 'raised' | 'resolved'; readonly alert: AlertState; readonly at: number };
export type Evaluation = { readonly states: readonly AlertState[]; readonly transitions: readonly Transition[] };

/** `unclear`: neither the fire nor the clear condition holds, or nothing is known: everything stays as it is. */
type Sign = 'fire' | 'clear' | 'unclear';
type Observation = Omit<AlertState, 'phase' | 'since' | 'heldMs'> & {
  readonly sign: Sign;
  /** The condition is known to have held so long already. */
  readonly knownMs: number;
};

export function evaluate(options: {
  readonly states: readonly AlertState[];
  readonly views: readonly AgentView[];
  readonly rules: readonly AlertRule[];
  /** Monotonic time since the last evaluation; 0 at the first. */
  readonly elapsedMs: number;
  /** Wall clock, milliseconds since 1970. */
  readonly now: number;
}): Evaluation {
  const before = new Map(options.states.map((state) => [state.key, state]));
  const states: AlertState[] = [];
  const transitions: Transition[] = [];
  for (const rule of options.rules) {
    for (const seen of options.views.flatMap((view) => observe(rule, view))) {
      const step = advance(rule, before.get(seen.key), seen, options);
      before.delete(seen.key);
      if (step.state !== undefined) states.push(step.state);
      if (step.transition !== undefined) transitions.push(step.transition);
    }
  }
  // Not observed now: the reading has gone. It stays as it is while its rule exists; a rule that was switched off ends it.
  const ids = new Set(options.rules.map(({ id }) => id));
  for (const state of before.values()) {
    if (ids.has(state.rule)) states.push(state);
    else if (state.phase === 'firing') transitions.push({ kind: 'resolved', alert: state, at: options.now });
  }
  return { states, transitions };
}

function advance(
  rule: AlertRule,
  state: AlertState | undefined,
  seen: Observation,
  time: { readonly elapsedMs: number; readonly now: number },
): { readonly state: AlertState | undefined; readonly transition?: Transition } {
  const { sign, knownMs, ...identity } = seen;
  if (state?.phase === 'firing') {
    if (sign === 'unclear') return { state };
    if (sign === 'fire') return { state: { ...state, heldMs: 0, detail: seen.detail } };
    const heldMs = state.heldMs + time.elapsedMs;
    if (heldMs < rule.clearSeconds * 1_000) return { state: { ...state, heldMs } };
    return { state: undefined, transition: { kind: 'resolved', alert: { ...state, heldMs }, at: time.now } };
  }
  if (sign === 'unclear') return { state };
  if (sign === 'clear') return { state: undefined };
  const heldMs = Math.max(knownMs, state === undefined ? 0 : state.heldMs + time.elapsedMs);
  const since = state?.since ?? time.now - knownMs;
  if (heldMs < rule.forSeconds * 1_000) return { state: { ...identity, phase: 'pending', since, heldMs } };
  const alert: AlertState = { ...identity, phase: 'firing', since, heldMs: 0 };
  return { state: alert, transition: { kind: 'raised', alert, at: time.now } };
}

function observe(rule: AlertRule, view: AgentView): readonly Observation[] {
  const { source } = rule;
  const base = { rule: rule.id, tenant: view.tenant, agent: view.id };
  if (source.kind === 'silence') {
    const silent = view.state !== 'online';
    const detail = view.lastSeenAt === 0 ? 'never seen' : 'last seen ' + new Date(view.lastSeenAt).toISOString();
    return [
      {
        ...base,
        key: keyOf(rule.id, view, {}),
        tags: {},
        detail,
        sign: silent ? 'fire' : 'clear',
        knownMs: silent ? view.silentMs : 0,
      },
    ];
  }
  return view.readings.flatMap((point) => {
    const value = point.fields[source.field];
    if (point.name !== source.metric || typeof value !== 'number') return [];
    // While the agent is silent its last words are old: they raise nothing and resolve nothing.
    const sign =
      view.state !== 'online'
        ? 'unclear'
        : holds(source.fire, value)
          ? 'fire'
          : holds(source.clear, value)
            ? 'clear'
            : 'unclear';
    return [
      {
        ...base,
        key: keyOf(rule.id, view, point.tags),
        tags: point.tags,
        detail: detailOf(view, point.fields, source.field),
        sign,
        knownMs: 0,
      },
    ];
  });
}

function holds(comparison: Comparison, value: number): boolean {
  switch (comparison.op) {
    case '<':
      return value < comparison.value;
    case '>':
      return value > comparison.value;
    case '=':
      return value === comparison.value;
  }
}

function detailOf(view: AgentView, fields: Readonly<Record<string, number | string>>, field: string): string {
  const words = fields['problem'] ?? fields['reason'];
  if (typeof words === 'string') return words;
  // The queue waits for the relay: say what the relay says.
  const relay = view.readings.find((point) => point.name === 'relay')?.fields['problem'];
  return (
    field.replaceAll('_', ' ') +
    ': ' +
    String(fields[field]) +
    (typeof relay === 'string' && relay !== '' ? '; relay: ' + relay : '')
  );
}

function keyOf(rule: string, view: AgentView, tags: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([rule, view.tenant, view.id, ...sorted]);
}
