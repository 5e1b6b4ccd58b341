// Whether the readings of an agent are the present. They are not while it is silent, while the database takes nothing (it is
// heard, but no batch is counted), and while it sends the backlog of an outage: then its readings walk through the past.
// Told by the collector's clock and by the agent's own word on its outbox, never by comparing two wall clocks.
import type { Clock } from '#shared/clock.ts';
import type { AgentView } from '../fleet/agent-view.ts';

const limitMs = 60_000;

export type Presence = {
  /** To be called at each evaluation; gives what holds for these views. */
  readonly look: (views: readonly AgentView[]) => (view: AgentView) => boolean;
};

export function createPresence(options: { readonly clock: Clock }): Presence {
  const { clock } = options;
  /** Time of the agent's last gauges, by its own clock, and since when they are the last, by ours; undefined: from an earlier run. */
  const told = new Map<string, { readonly at: number; readonly since: number | undefined }>();

  function isPresent(view: AgentView): boolean {
    const since = told.get(keyOf(view))?.since;
    if (view.state !== 'online' || since === undefined) return false;
    const backlogSeconds = Number(ownWord(view)?.fields['outbox_oldest_seconds'] ?? 0);
    // Heard, but for a while nothing of it was counted.
    return backlogSeconds * 1_000 <= limitMs && clock.monotonic() - since - view.silentMs <= limitMs;
  }

  return {
    look(views) {
      for (const view of views) {
        const at = ownWord(view)?.at;
        const known = told.get(keyOf(view));
        if (at === undefined || at === known?.at) continue;
        told.set(keyOf(view), { at, since: known === undefined ? undefined : clock.monotonic() });
      }
      return isPresent;
    },
  };
}

/** The gauges that every flush carries. */
const ownWord = (view: AgentView) => view.readings.find(({ name }) => name === 'agent');
const keyOf = (view: AgentView): string => view.tenant + '/' + view.id;
