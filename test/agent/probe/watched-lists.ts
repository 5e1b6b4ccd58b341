// A probe whose time passes only between rounds.
import { pino } from 'pino';
import { createMeter } from '#shared/meter.ts';
import type { Point } from '#shared/meter.ts';
import type { Finding } from '../../../agent/probe/check.ts';
import { createProbe } from '../../../agent/probe/probe.ts';
import type { Probe, ProbeOptions } from '../../../agent/probe/probe.ts';

export type Lists = ProbeOptions['config']['dnsbl'];
export type Watched = {
  readonly probe: Probe;
  readonly options: ProbeOptions;
  /** Lets time pass, then looks. */
  readonly round: (seconds?: number) => Promise<readonly Finding[]>;
  /** `TARGET ZONE STATE LEVEL` of the last round, in order. */
  readonly told: () => readonly string[];
  readonly points: (name: Point['name']) => readonly Point[];
  readonly lines: readonly string[];
};

export const standardLists: Lists = {
  zones: ['bl.test'],
  addresses: ['192.0.2.10'],
  names: [],
  relayAddresses: [],
  domains: [],
  relaying: true,
  mute: [],
  intervalSeconds: 1_800,
  confirmSeconds: 600,
  clearSeconds: 3_600,
};

export function build(
  dnsbl: Partial<Lists>,
  more: Partial<ProbeOptions> = {},
  signal: AbortSignal = AbortSignal.timeout(60_000),
): Watched {
  let now = 0;
  const lines: string[] = [];
  const said: Point[] = [];
  let last = 0;
  const clock = { now: () => 1_700_000_000_000 + now, monotonic: () => now, sleep: () => Promise.resolve() };
  const options: ProbeOptions = {
    config: { dnsbl: { ...standardLists, ...dnsbl } },
    meter: createMeter({ clock, sink: (point) => said.push(point) }),
    clock,
    random: Math.random,
    log: pino({ level: 'info' }, { write: (line) => void lines.push(line) }),
    dns: { timeoutMs: 10_000 },
    ...more,
  };
  const probe = createProbe(options);
  return {
    probe,
    options,
    lines,
    async round(seconds = 0) {
      now += seconds * 1_000;
      last = said.length;
      return (await probe.check?.run(signal)) ?? [];
    },
    told: () =>
      said
        .slice(last)
        .filter(({ name }) => name === 'dnsbl')
        .map(({ tags, fields }) => [tags['target'], tags['zone'], fields['state'], fields['level']].join(' '))
        .toSorted(),
    points: (name) => said.filter((point) => point.name === name),
  };
}
