// A fleet, alerts and health fed by hand, so that a test says exactly what the web room sees.
import { createPoint } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import type { FieldsOf, MetricName, TagsOf } from '#shared/metrics.ts';
import type { AgentView } from '../../../collector/fleet/agent-view.ts';
import type { ShownAlert, Sources } from '../../../collector/web/sources.ts';

export type HandFed = {
  readonly sources: Omit<Sources, 'store'>;
  /** Adds or replaces an agent and tells the listeners. */
  readonly put: (view: Partial<AgentView> & Pick<AgentView, 'tenant' | 'id'>) => void;
  readonly alerts: ShownAlert[];
  /** Problem by part. */
  readonly parts: Record<string, string | undefined>;
  readonly listeners: () => number;
};

export function createHandFed(): HandFed {
  const views = new Map<string, AgentView>();
  const listeners = new Set<(origin: { tenant: string; agent: string }) => void>();
  const alerts: ShownAlert[] = [];
  const parts: Record<string, string | undefined> = { broker: undefined, store: undefined, alert: undefined };
  return {
    sources: {
      fleet: {
        views: () => [...views.values()],
        view: (tenant, id) => views.get(tenant + '/' + id),
        onChange(listener) {
          listeners.add(listener);
          return () => void listeners.delete(listener);
        },
      },
      alert: { active: () => alerts },
      health: () => parts,
    },
    put(view) {
      const before = views.get(view.tenant + '/' + view.id) ?? blank;
      views.set(view.tenant + '/' + view.id, { ...before, ...view });
      for (const listener of listeners) listener({ tenant: view.tenant, agent: view.id });
    },
    alerts,
    parts,
    listeners: () => listeners.size,
  };
}

const blank = {
  state: 'online',
  lastSeenAt: 0,
  silentMs: 0,
  version: '0.1.0',
  mailIn: { count: 0 },
  mailOut: { count: 0 },
  queue: { count: 0, oldestSeconds: 0 },
  readings: [],
} as const;

export function reading<N extends MetricName>(name: N, at: number, tags: TagsOf<N>, fields: FieldsOf<N>): Point {
  return createPoint(name, at, tags, fields);
}

export function alert(rest: Partial<ShownAlert> & Pick<ShownAlert, 'id'>): ShownAlert {
  return {
    severity: 'critical',
    tenant: 'acme',
    agent: 'nas-1',
    title: 'acme/nas-1: silent',
    text: '',
    since: 1,
    ...rest,
  };
}
