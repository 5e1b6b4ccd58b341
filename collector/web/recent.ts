// The last 24 hours of every agent in half hours, for the rows of the fleet: read from the store while somebody looks,
// one agent after the other, again only when its mail moved or the picture has aged.
import type { Clock } from '#shared/clock.ts';
import { describe } from '#shared/failure.ts';
import type { Log } from '#shared/log.ts';
import type { AgentView } from '../fleet/agent-view.ts';
import type { Origin, Series, SeriesQuery } from '../store/store.ts';
import type { Gate } from './gate.ts';
import type { StoreSource } from './sources.ts';

const stepMs = 30 * 60_000;
const steps = 48;

export type Recent = {
  /** Start of the first half hour, milliseconds since 1970. */
  readonly from: number;
  readonly stepSeconds: number;
  /** Delivered and sent mails of each half hour. */
  readonly mailIn: readonly number[];
  readonly mailOut: readonly number[];
  readonly quarantined: number;
  readonly failed: number;
  /** Mean from the provider's Received date to the local 250; null when no mail told. */
  readonly delaySeconds: number | null;
};

export type RecentReader = {
  readonly of: (tenant: string, id: string) => Recent | undefined;
  /** Reads those that are due; calls `fresh` after each. Never throws for the store's trouble. */
  readonly refresh: (
    views: readonly AgentView[],
    fresh: (origin: Origin) => void,
    signal: AbortSignal,
  ) => Promise<void>;
};

type Entry = { readonly recent: Recent | undefined; readonly readAt: number; readonly moved: string };

const limits = { movedMs: 10_000, agedMs: 300_000, pauseMs: 20, failedMs: 10_000 };

export function createRecent(options: {
  readonly store: StoreSource;
  readonly gate: Gate;
  readonly clock: Clock;
  readonly log: Log;
}): RecentReader {
  const { clock, log } = options;
  const entries = new Map<string, Entry>();
  let problem = '';
  let quietUntil = -Infinity;

  function isDue(view: AgentView): boolean {
    const entry = entries.get(keyOf(view));
    if (entry === undefined) return true;
    const age = clock.monotonic() - entry.readAt;
    return age >= limits.agedMs || (age >= limits.movedMs && entry.moved !== movedOf(view));
  }

  function tell(text: string): void {
    if (text === problem) return;
    problem = text;
    if (text !== '') log.warn({ error: text }, 'the last 24 hours cannot be read');
  }

  return {
    of: (tenant, id) => entries.get(tenant + '/' + id)?.recent,
    async refresh(views, fresh, signal) {
      const known = new Set(views.map(keyOf));
      for (const key of entries.keys()) if (!known.has(key)) entries.delete(key);
      if (clock.monotonic() < quietUntil) return;
      for (const view of views.filter(isDue)) {
        if (signal.aborted) return;
        const origin = { tenant: view.tenant, agent: view.id };
        try {
          const recent = await read(options, origin);
          entries.set(keyOf(view), { recent, readAt: clock.monotonic(), moved: movedOf(view) });
          tell('');
          fresh(origin);
        } catch (error) {
          tell(describe(error));
          quietUntil = clock.monotonic() + limits.failedMs;
          return;
        }
        // The embedded store answers in this very process: leave it time for the rest.
        await clock.sleep(limits.pauseMs, signal);
      }
    },
  };
}

const keyOf = (view: AgentView): string => view.tenant + '/' + view.id;
const movedOf = (view: AgentView): string => view.mailIn.count + '/' + view.mailOut.count;

async function read(
  options: { readonly store: StoreSource; readonly gate: Gate; readonly clock: Clock },
  origin: Origin,
): Promise<Recent> {
  const to = Math.floor(options.clock.now() / stepMs) * stepMs + stepMs;
  const from = to - steps * stepMs;
  const ask = (rest: Pick<SeriesQuery, 'metric' | 'field' | 'stepMs' | 'aggregate'>): Promise<readonly Series[]> =>
    options.gate(() => options.store.query({ ...origin, from, to, ...rest }));
  const mailIn = await ask({ metric: 'mail_in', field: 'count', stepMs, aggregate: 'sum' });
  const mailOut = await ask({ metric: 'mail_out', field: 'count', stepMs, aggregate: 'sum' });
  const delay = await ask({ metric: 'mail_in', field: 'delay_seconds', stepMs: to - from, aggregate: 'mean' });
  return {
    from,
    stepSeconds: stepMs / 1_000,
    mailIn: perStep(mailIn, 'delivered', from),
    mailOut: perStep(mailOut, 'sent', from),
    quarantined: total(perStep(mailIn, 'quarantined', from)),
    failed: total(perStep(mailOut, 'failed', from)),
    delaySeconds: meanDelay(delay, mailIn),
  };
}

function perStep(series: readonly Series[], outcome: string, from: number): readonly number[] {
  const sums = Array.from({ length: steps }, () => 0);
  for (const { tags, values } of series) {
    if (tags['outcome'] !== outcome) continue;
    for (const [at, value] of values) {
      const step = Math.floor((at - from) / stepMs);
      if (step >= 0 && step < steps) sums[step] = (sums[step] ?? 0) + value;
    }
  }
  return sums;
}

/** Of several mailboxes, weighted by how many mails each had. */
function meanDelay(delay: readonly Series[], counts: readonly Series[]): number | null {
  let seconds = 0;
  let mails = 0;
  for (const { tags, values } of delay) {
    const mean = values[0]?.[1];
    if (mean === undefined || tags['outcome'] !== 'delivered') continue;
    const same = counts.find((other) => JSON.stringify(sorted(other.tags)) === JSON.stringify(sorted(tags)));
    const weight = total((same?.values ?? []).map(([, count]) => count));
    seconds += mean * weight;
    mails += weight;
  }
  return mails === 0 ? null : seconds / mails;
}

const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0);
const sorted = (tags: Readonly<Record<string, string>>) => Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1));
