// The rows of the loss table: what is done to the parts while measurements are on their way. Each has its own chance, by a seed.
import { encodeBatch } from '#shared/wire.ts';
import type { TelemetrySite } from './telemetry-site.ts';

export type Row = {
  readonly name: string;
  readonly site: 'embedded' | 'external';
  /** One fault, at a moment that chance chooses, between mails that are said before, during and after it. */
  readonly once: (site: TelemetrySite, chance: Chance) => Promise<void>;
  /** A process is started several times for each seed. */
  readonly restarts?: true;
  /** Mails of one millisecond are told apart by as much, ms. */
  readonly apartMs?: number;
};
export type Chance = {
  readonly below: (limit: number) => number;
  /** A moment that nothing announces: up to so many milliseconds. */
  readonly moment: (limitMs: number) => Promise<void>;
};

const dayMs = 86_400_000;
const some = ({ below }: Chance): number => 1 + below(40);

export const rows: readonly Row[] = [
  {
    name: 'the agent is killed',
    site: 'embedded',
    restarts: true,
    async once(site, chance) {
      // Killed while it says them: some are committed, some are not.
      const saying = site.agent.tell({ say: 400 }).catch(() => {});
      await chance.moment(120);
      await site.agent.kill();
      await saying;
      await site.agent.start();
      await site.agent.tell({ say: some(chance) });
      await chance.moment(400);
      await site.agent.kill();
      await site.agent.start();
    },
  },
  {
    name: 'the collector is killed',
    site: 'embedded',
    restarts: true,
    async once(site, chance) {
      await site.agent.tell({ say: some(chance) });
      await chance.moment(1_200);
      await site.collector.kill();
      await site.agent.tell({ say: some(chance) });
      await site.collector.start();
      await site.agent.tell({ say: some(chance) });
    },
  },
  {
    name: 'the embedded broker stops and starts',
    site: 'embedded',
    restarts: true,
    async once(site, chance) {
      await site.agent.tell({ say: some(chance) });
      await chance.moment(1_200);
      await site.collector.stop();
      await site.agent.tell({ say: some(chance) });
      await site.collector.start();
    },
  },
  {
    name: 'the line is cut, in the middle of what goes up or down',
    site: 'embedded',
    async once(site, chance) {
      site.line.cutAfter(chance.below(2) === 0 ? 'up' : 'down', 200 + chance.below(6_000), 1 + chance.below(3));
      await site.agent.tell({ say: some(chance) });
      await chance.moment(800);
      site.line.cut();
      await site.agent.tell({ say: some(chance) });
      await chance.moment(300);
      site.line.cutAfter('up', 0);
    },
  },
  {
    name: 'one message of a hundred is poison',
    site: 'embedded',
    async once(site, chance) {
      for (let n = 0; n < 5; n += 1) {
        await site.agent.tell({ say: 20, unknown: true });
        await site.poison([poison(chance)]);
        await chance.moment(100);
      }
    },
  },
  {
    name: 'the disk of the collector is full',
    site: 'embedded',
    async once(site, chance) {
      await site.agent.tell({ say: some(chance) });
      const giveBack = site.disk?.fill();
      await site.agent.tell({ say: some(chance) });
      await chance.moment(2_500);
      if (chance.below(3) === 0) {
        await site.agent.kill();
        await site.agent.start();
      }
      giveBack?.();
      await site.agent.tell({ say: some(chance) });
    },
  },
  {
    name: 'the clock of the agent jumps a day on, and back',
    site: 'embedded',
    async once(site, chance) {
      await site.agent.tell({ say: some(chance) });
      await site.agent.tell({ ahead: dayMs + chance.below(dayMs), say: some(chance) });
      await chance.moment(600);
      await site.agent.tell({ ahead: -dayMs, say: some(chance) });
      await chance.moment(600);
      await site.agent.tell({ ahead: 0, say: some(chance) });
    },
  },
  {
    name: 'mails of the same millisecond',
    site: 'embedded',
    apartMs: 50,
    async once(site, chance) {
      await site.agent.tell({ say: 2, together: true });
      await chance.moment(60);
      await site.agent.tell({ say: some(chance), together: true });
      await chance.moment(200);
    },
  },
  {
    name: 'mosquitto is killed',
    site: 'external',
    async once(site, chance) {
      await site.agent.tell({ say: some(chance) });
      await chance.moment(1_200);
      await site.mosquitto?.crash();
      await site.agent.tell({ say: some(chance) });
      await chance.moment(300);
      await site.mosquitto?.start();
      await site.agent.tell({ say: some(chance) });
    },
  },
  {
    name: 'influxd is down',
    site: 'external',
    async once(site, chance) {
      await site.agent.tell({ say: some(chance) });
      await chance.moment(600);
      if (chance.below(2) === 0) await site.influxdb?.crash();
      else await site.influxdb?.stop();
      await site.agent.tell({ say: some(chance) });
      await chance.moment(1_500);
      if (chance.below(2) === 0) {
        await site.collector.kill();
        await site.collector.start();
      }
      await site.influxdb?.start();
    },
  },
];

function poison({ below }: Chance): Uint8Array {
  const good = encodeBatch({ outbox: 'o-poison-' + below(1e9), seq: 1, oldest: 1, at: Date.now(), points: [] });
  switch (below(5)) {
    case 0:
      return Uint8Array.from({ length: below(2_000) }, () => below(256));
    case 1:
      return Buffer.from(good.slice(0, below(good.length)));
    case 2:
      return Buffer.from(good.replace('"points":[]', '"points":[["mail_in",1,{"account":"a"},{"count":"many"}]]'));
    case 3:
      return Buffer.from(good.replace('"seq":1', '"seq":' + '9'.repeat(1 + below(30))));
    default:
      return Buffer.alloc(60_000, '[');
  }
}

/** Same seed, same chance: a linear congruential generator will do. */
export function createChance(seed: number): Chance {
  let state = (seed * 2_654_435_761 + 12_345) >>> 0;
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * limit);
  };
  return { below, moment: (limitMs) => new Promise((resolve) => setTimeout(resolve, below(limitMs))) };
}

export type Verdict = { readonly holds: boolean; readonly note: string };

/** Runs a row with these seeds on its site; every mail that was ever committed there must be stored once, at its own time. */
export async function judgeRow(row: Row, site: TelemetrySite, seeds: readonly number[]): Promise<Verdict> {
  for (const seed of seeds) await row.once(site, createChance(seed));
  const { committed, stored, counted } = await site.compare();
  const lost = [...committed.keys()].filter((serial) => !stored.has(serial));
  const invented = [...stored.keys()].filter((serial) => !committed.has(serial));
  const moved = [...committed].filter(([serial, at]) => {
    const other = stored.get(serial);
    return other !== undefined && (other < at || other - at > (row.apartMs ?? 0));
  });
  const holds = lost.length + invented.length + moved.length === 0 && counted === committed.size;
  const note = [
    committed.size + ' committed',
    stored.size + ' stored',
    counted + ' counted',
    'lost ' + lost.length,
    'invented ' + invented.length,
    'at another time ' + moved.length,
  ];
  return { holds, note: note.join(', ') };
}
