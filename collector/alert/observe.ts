// What one rule sees at one agent now, before anything is remembered. Pure.
import type { AlertRule, Comparison, RuleSource } from '#shared/alert-rules.ts';
import type { Point } from '#shared/meter.ts';
import { metrics } from '#shared/metrics.ts';
import type { FieldSpec } from '#shared/metrics.ts';
import type { AgentView } from '../fleet/agent-view.ts';

export type Observation = {
  readonly key: string;
  readonly rule: string;
  readonly tenant: string;
  readonly agent: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly detail: string;
  /** `between`: the value lies between the two limits. `unknown`: nothing is known now, everything stays as it is. */
  readonly sign: 'fire' | 'clear' | 'between' | 'unknown';
  readonly forMs: number;
  readonly clearMs: number;
  /** How long the condition has held, where that is known and need not be counted. */
  readonly heldMs?: number;
  /** Since when, by the wall clock, where that is known. */
  readonly since?: number;
};
type Now = {
  /** The readings are the present. */
  readonly present: boolean;
  readonly runningMs: number;
};

/** The longest pause of an agent between two tries to reach a collector that was away, and the time of a try. */
const reconnectMs = 330_000;

export function observe(rule: AlertRule, view: AgentView, now: Now): readonly Observation[] {
  const { source } = rule;
  switch (source.kind) {
    case 'silence':
      return [observeSilence(rule, view, now)];
    case 'reading':
      return view.readings.flatMap((point) => observeReading(rule, source, view, point, now));
  }
}

const longestPlannedMs = 5 * 86_400_000;

function observeSilence(rule: AlertRule, view: AgentView, now: Now): Observation {
  // A NAS that goes off every evening, or over Christmas, is no alarm; one that does not come back is.
  const planned = view.plannedOff === true && view.silentMs < longestPlannedMs;
  const silent = view.state !== 'online' && !planned;
  const base = baseOf(rule, view, {});
  return {
    ...base,
    // Not heard since this collector started: it may still wait before its next try. Without this time every long
    // standstill of the collector would end in a storm.
    forMs: base.forMs + (view.silentMs >= now.runningMs ? reconnectMs : 0),
    detail: view.lastSeenAt === 0 ? 'never seen' : 'last seen ' + new Date(view.lastSeenAt).toISOString(),
    sign: silent ? 'fire' : 'clear',
    heldMs: view.silentMs,
    ...(view.lastSeenAt === 0 ? {} : { since: view.lastSeenAt }),
  };
}

type ReadingSource = Extract<RuleSource, { readonly kind: 'reading' }>;

function observeReading(
  rule: AlertRule,
  source: ReadingSource,
  view: AgentView,
  point: Point,
  now: Now,
): readonly Observation[] {
  const value = point.fields[source.field];
  if (point.name !== source.metric || typeof value !== 'number') return [];
  const sign = now.present ? signOf(source, value) : 'unknown';
  return [{ ...baseOf(rule, view, point.tags), detail: detailOf(view, point, source, value), sign }];
}

function signOf(source: ReadingSource, value: number): Observation['sign'] {
  if (holds(source.fire, value)) return 'fire';
  if (holds(source.clear, value)) return 'clear';
  // A state that is neither, such as a block list that did not answer, says nothing; a number between the limits does.
  return source.fire.op === '=' ? 'unknown' : 'between';
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

function baseOf(rule: AlertRule, view: AgentView, tags: Readonly<Record<string, string>>) {
  const sorted = Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    key: JSON.stringify([rule.id, view.tenant, view.id, ...sorted]),
    rule: rule.id,
    tenant: view.tenant,
    agent: view.id,
    tags,
    forMs: rule.forSeconds * 1_000,
    clearMs: rule.clearSeconds * 1_000,
  };
}

function detailOf(view: AgentView, point: Point, source: ReadingSource, value: number): string {
  const words = point.fields['problem'] ?? point.fields['reason'];
  if (typeof words === 'string') return words;
  const spec: FieldSpec | undefined = Object.entries<FieldSpec>(metrics[source.metric].fields).find(
    ([field]) => field === source.field,
  )?.[1];
  const shown = spec?.unit === 's' ? showDuration(value) : String(value);
  // The queue waits for a relay: say what the one says that has something to say.
  const relays = view.readings.filter(({ name }) => name === 'relay').map(({ fields }) => fields['problem']);
  const relay = relays.find((problem) => typeof problem === 'string' && problem !== '');
  return (
    source.metric +
    ' ' +
    source.field.replace(/_seconds$/, '').replaceAll('_', ' ') +
    ': ' +
    shown +
    (typeof relay === 'string' && relay !== '' ? '; relay: ' + relay : '')
  );
}

export function showDuration(seconds: number): string {
  if (seconds < 120) return Math.round(seconds) + ' s';
  if (seconds < 7_200) return Math.round(seconds / 60) + ' min';
  if (seconds < 172_800) return Math.round(seconds / 3_600) + ' h';
  return Math.round(seconds / 86_400) + ' days';
}
