// What is told of every target at every list: the damped standing of each, and one gauge for each in each round.
import type { Clock } from '#shared/clock.ts';
import type { Meter } from '#shared/meter.ts';
import { dnsblStates } from '#shared/metrics.ts';
import { findMassChange, nextStanding, unknownStanding } from './damping.ts';
import type { Standing } from './damping.ts';
import type { DnsblResult, ListTarget } from './dnsbl.ts';
import { isPrimary } from './severity.ts';
import { levels } from './zone-data.ts';
import type { Level } from './zone-data.ts';

export type Standings = {
  /** `fresh`: of this round; `all`: with the last ones of lists that were not asked in it. */
  readonly take: (fresh: readonly DnsblResult[], all: readonly DnsblResult[], targets: readonly ListTarget[]) => void;
  /** How loud a target's standing at a list is told. */
  readonly of: (result: DnsblResult) => { readonly level: Level; readonly doubtful: boolean };
  /** Targets that are no longer ours. */
  readonly forget: (results: readonly DnsblResult[]) => void;
};

/** After so long, many lists that began to agree at the same time are believed: a dead list would have failed its self-test. */
const doubtMs = 21_600_000;
/** Of lists beside the big ones, as many must agree on a relay that others use too. */
const relayLists = 2;

export function createStandings(options: {
  readonly config: { readonly confirmSeconds: number; readonly clearSeconds: number };
  readonly meter: Meter;
  readonly clock: Clock;
  readonly muted: ReadonlySet<string>;
}): Standings {
  const { config, meter, clock, muted } = options;
  const limits = { confirmMs: config.confirmSeconds * 1_000, clearMs: config.clearSeconds * 1_000 };
  const standings = new Map<string, Standing>();
  const states = new Map<string, DnsblResult['state']>();
  const doubted = new Map<string, number>();
  let relays: ReadonlySet<string> = new Set();

  function updateDoubts(results: readonly DnsblResult[]): void {
    const doubtful = findMassChange((result) => states.get(keyOf(result)), results);
    for (const target of doubted.keys()) if (!doubtful.has(target)) doubted.delete(target);
    for (const target of doubtful) if (!doubted.has(target)) doubted.set(target, clock.monotonic());
  }

  function isDoubtful(target: string): boolean {
    const since = doubted.get(target);
    return since !== undefined && clock.monotonic() - since < doubtMs;
  }

  /** One small list alone says little about an address that many customers of the provider send from. */
  function isAlone(result: DnsblResult): boolean {
    if (!relays.has(result.target)) return false;
    const told = [...standings].filter(
      ([key, { class: one }]) => key.startsWith(result.target + ' ') && one !== undefined,
    );
    if (told.some(([, { class: one }]) => one !== undefined && isPrimary(one))) return false;
    return told.length < relayLists;
  }

  function levelOf(result: DnsblResult): Level {
    if (muted.has(result.zone)) return 'none';
    const { level } = standings.get(keyOf(result)) ?? unknownStanding;
    return level === 'warning' && isAlone(result) ? 'info' : level;
  }

  return {
    take(fresh, all, targets) {
      relays = new Set(targets.filter(({ role }) => role === 'relay').map(({ label }) => label));
      updateDoubts(all);
      for (const result of fresh) {
        if (isDoubtful(result.target)) continue;
        const key = keyOf(result);
        const at = clock.monotonic() - (clock.now() - result.checkedAt);
        standings.set(key, nextStanding(standings.get(key) ?? unknownStanding, result, at, limits));
        if (result.state === 'clean' || result.state === 'listed') states.set(key, result.state);
      }
      for (const result of all) say(result, levelOf(result));
      for (const { label } of targets) {
        const own = all.filter(({ target }) => target === label);
        const listed = own.filter((result) => standings.get(keyOf(result))?.class !== undefined).length;
        if (own.length > 0)
          meter.say('dnsbl_target', { target: label }, { listed, doubtful: isDoubtful(label) ? 1 : 0 });
      }
    },
    of: (result) => ({ level: levelOf(result), doubtful: isDoubtful(result.target) }),
    forget(results) {
      for (const result of results) {
        standings.delete(keyOf(result));
        states.delete(keyOf(result));
        doubted.delete(result.target);
        const reason = 'no longer an address of this site';
        say({ ...result, state: 'gone', reason }, 'none');
        meter.say('dnsbl_target', { target: result.target }, { listed: 0, doubtful: 0 });
      }
    },
  };

  function say(result: DnsblResult, level: Level): void {
    const { reason, state, target, zone } = result;
    if (state === 'not-applicable') return;
    const fields = {
      state: dnsblStates.indexOf(state),
      level: levels.indexOf(level),
      class: result.class ?? '',
      reason,
    };
    meter.say('dnsbl', { target, zone }, fields);
  }
}

function keyOf({ target, zone }: DnsblResult): string {
  return target + ' ' + zone;
}
