// Agents and alerts as JSON: the short form of /api/agents, the richer one of the live feed, the whole one of one agent.
import type { Point } from '#shared/meter.ts';
import { dnsblStates } from '#shared/metrics.ts';
import type { DnsblState, MetricName } from '#shared/metrics.ts';
import type { AgentState, AgentView } from '../fleet/agent-view.ts';
import type { Recent } from './recent.ts';
import type { HealthSource, ShownAlert } from './sources.ts';

export type AgentItem = {
  readonly tenant: string;
  readonly id: string;
  readonly state: AgentState;
  /** ISO 8601, null when it was never heard. */
  readonly lastSeenAt: string | null;
  readonly mailIn: { readonly count: number };
  readonly mailOut: { readonly count: number };
  readonly queue: { readonly count: number; readonly oldestSeconds: number };
};

export function agentItem(view: AgentView): AgentItem {
  return {
    tenant: view.tenant,
    id: view.id,
    state: view.state,
    lastSeenAt: isoTime(view.lastSeenAt),
    mailIn: { count: view.mailIn.count },
    mailOut: { count: view.mailOut.count },
    queue: { count: view.queue.count, oldestSeconds: view.queue.oldestSeconds },
  };
}

/** What is no longer an address of the site is not shown. */
type ListCounts = Record<Exclude<DnsblState, 'gone'>, number>;

const maxProblems = 5;

/** What a row of the fleet shows; bounded, whatever an agent reports. */
export function liveItem(view: AgentView, recent: Recent | undefined) {
  const accounts = accountItems(view.readings);
  const relays = relayItems(view.readings);
  const lists: ListCounts = { clean: 0, listed: 0, refused: 0, error: 0, 'zone-unhealthy': 0 };
  for (const { state } of dnsblItems(view.readings)) lists[state] += 1;
  return {
    ...agentItem(view),
    accounts: accounts.length,
    failing: {
      count: accounts.filter(({ up }) => !up).length,
      accounts: accounts
        .filter(({ up }) => !up)
        .slice(0, maxProblems)
        .map(({ account, problem }) => ({ account, problem })),
      relays: relays
        .filter(({ up }) => !up)
        .slice(0, maxProblems)
        .map(({ relay, problem }) => ({ relay, problem })),
    },
    held: numberOf(pointsOf(view.readings, 'queue')[0], 'held'),
    hold: holdOf(view.readings),
    quarantine: numberOf(pointsOf(view.readings, 'quarantine')[0], 'count'),
    dnsbl: lists,
    recent: recent ?? null,
  };
}
export type LiveItem = ReturnType<typeof liveItem>;

export function agentDetails(view: AgentView) {
  const [queue] = pointsOf(view.readings, 'queue');
  const [agent] = pointsOf(view.readings, 'agent');
  const [quarantine] = pointsOf(view.readings, 'quarantine');
  return {
    ...agentItem(view),
    version: view.version,
    hold: holdOf(view.readings),
    quarantine:
      quarantine === undefined
        ? null
        : {
            count: numberOf(quarantine, 'count'),
            bytes: numberOf(quarantine, 'bytes'),
            oldestSeconds: numberOf(quarantine, 'oldest_seconds'),
            at: isoTime(quarantine.at),
          },
    queue: {
      ...agentItem(view).queue,
      held: numberOf(queue, 'held'),
      unknown: numberOf(queue, 'unknown'),
      at: isoTime(queue?.at ?? 0),
    },
    accounts: accountItems(view.readings),
    relay: relayItems(view.readings),
    dnsbl: dnsblItems(view.readings),
    agent:
      agent === undefined
        ? null
        : {
            uptimeSeconds: numberOf(agent, 'uptime_seconds'),
            rssBytes: numberOf(agent, 'rss_bytes'),
            outboxBatches: numberOf(agent, 'outbox_batches'),
            outboxBytes: numberOf(agent, 'outbox_bytes'),
            outboxOldestSeconds: numberOf(agent, 'outbox_oldest_seconds'),
            outboxDropped: numberOf(agent, 'outbox_dropped'),
            at: isoTime(agent.at),
          },
  };
}

export function accountItems(readings: readonly Point[]) {
  return pointsOf(readings, 'account')
    .map((point) => ({
      account: point.tags['account'] ?? '-',
      up: numberOf(point, 'up') === 1,
      problem: textOf(point, 'problem'),
      backlog: numberOf(point, 'backlog'),
      kept: numberOf(point, 'kept'),
      error: textOf(point, 'error'),
      roundSeconds: numberOf(point, 'round_seconds'),
      parts: {
        connectSeconds: maybeOf(point, 'connect_seconds'),
        tlsSeconds: maybeOf(point, 'tls_seconds'),
        loginSeconds: maybeOf(point, 'login_seconds'),
        listSeconds: maybeOf(point, 'list_seconds'),
        firstByteSeconds: maybeOf(point, 'first_byte_seconds'),
      },
      mailbox: { mails: maybeOf(point, 'mailbox_mails'), bytes: maybeOf(point, 'mailbox_bytes') },
      wake: wakeOf(point),
      at: isoTime(point.at),
    }))
    .sort((a, b) => compare(a.account, b.account));
}

export function relayItems(readings: readonly Point[]) {
  return pointsOf(readings, 'relay')
    .map((point) => ({
      relay: point.tags['relay'] ?? '-',
      up: numberOf(point, 'up') === 1,
      problem: textOf(point, 'problem'),
      stoodIn: numberOf(point, 'stood_in') === 1,
      left: { mails: maybeOf(point, 'budget_mails'), recipients: maybeOf(point, 'budget_recipients') },
      at: isoTime(point.at),
    }))
    .sort((a, b) => compare(a.relay, b.relay));
}

export function dnsblItems(readings: readonly Point[]) {
  return pointsOf(readings, 'dnsbl')
    .flatMap((point) => {
      const state = dnsblStates[numberOf(point, 'state')] ?? 'error'; // a state of a newer agent is not "clean"
      return state === 'gone' ? [] : [{ point, state }];
    })
    .map(({ point, state }) => ({
      target: point.tags['target'] ?? '-',
      zone: point.tags['zone'] ?? '-',
      state,
      reason: textOf(point, 'reason'),
      at: isoTime(point.at),
    }))
    .sort((a, b) => compare(a.target, b.target) || compare(a.zone, b.zone));
}

export function alertItem(alert: ShownAlert) {
  return {
    id: alert.id,
    tenant: alert.tenant,
    agent: alert.agent,
    severity: alert.severity,
    title: alert.title,
    since: isoTime(alert.since),
    text: alert.text,
  };
}
export type AlertItem = ReturnType<typeof alertItem>;

/** Parts that are not well, in the order in which the collector names them. A part that cannot say is not well. */
export function problemsOf(health: HealthSource): readonly { readonly part: string; readonly problem: string }[] {
  return Object.entries(health()).flatMap(([part, problem]) => (problem === undefined ? [] : [{ part, problem }]));
}

/** Milliseconds to ISO 8601; null for 0 and for what no calendar has. */
export function isoTime(ms: number): string | null {
  return ms > 0 && ms < 8.64e15 ? new Date(ms).toISOString() : null;
}

function pointsOf(readings: readonly Point[], name: MetricName): readonly Point[] {
  return readings.filter((point) => point.name === name);
}
function numberOf(point: Point | undefined, field: string): number {
  const value = point?.fields[field];
  return typeof value === 'number' ? value : 0;
}
function maybeOf(point: Point, field: string): number | null {
  const value = point.fields[field];
  return typeof value === 'number' ? value : null;
}
/** Null: no wake is configured. */
function wakeOf(point: Point): boolean | null {
  const wake = maybeOf(point, 'wake');
  return wake === null ? null : wake === 1;
}
/** Why the agent moves no mail; empty when it does. */
function holdOf(readings: readonly Point[]): string {
  const [hold] = pointsOf(readings, 'hold');
  return hold !== undefined && numberOf(hold, 'held') === 1 ? textOf(hold, 'reason') || 'held' : '';
}
function textOf(point: Point, field: string): string {
  const value = point.fields[field];
  return typeof value === 'string' ? value : '';
}
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
