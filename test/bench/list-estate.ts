// 60 block lists as an office may have them configured: one lists the first address, one has it on its policy list, 26 are
// dead, failing, refusing, parked or slow. What is true of each is known here, and to nobody who is measured.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Lab } from '../lab/lab.ts';
import type { Behaviour, EstateData } from './list-estate-worker.ts';

export type Truth = 'listed' | 'policy' | 'clean' | 'unusable';
export type Estate = {
  readonly zones: readonly string[];
  readonly addresses: readonly [string, string];
  readonly truth: (address: string, zone: string) => Truth;
  /** Those that nobody can learn anything from, and which do not say so in an answer. */
  readonly silent: readonly string[];
};

export const listed = '192.0.2.10';
const other = '192.0.2.11';
const policyZone = 'zen.spamhaus.org';
const listingZone = 'listing.test';

const numbered = (name: string, count: number): readonly string[] =>
  Array.from({ length: count }, (_, n) => name + String(n + 1).padStart(2, '0') + '.test');
const groups: readonly (readonly [Behaviour, readonly string[]])[] = [
  ['dead', numbered('dead', 6)],
  ['servfail', numbered('servfail', 6)],
  ['refused', numbered('refused', 3)],
  ['public', numbered('public', 3)],
  ['parked', numbered('parked', 2)],
  ['slow', numbered('slow', 6)],
  ['pass', [listingZone, policyZone, ...numbered('clean', 32)]],
];
const behaviours: Readonly<Record<string, Behaviour>> = Object.fromEntries(
  groups.flatMap(([behaviour, zones]) => zones.map((zone) => [zone, behaviour])),
);

/** In an order in which the troublesome ones do not stand together. */
export const estate: Estate = {
  zones: Object.keys(behaviours).sort((a, b) => hash(a) - hash(b)),
  addresses: [listed, other],
  truth(address, zone) {
    const behaviour = behaviours[zone] ?? 'pass';
    if (behaviour !== 'pass' && behaviour !== 'slow') return 'unusable';
    if (address !== listed) return 'clean';
    return zone === listingZone ? 'listed' : zone === policyZone ? 'policy' : 'clean';
  },
  silent: [...numbered('dead', 6), ...numbered('servfail', 6)],
};

function hash(text: string): number {
  return Array.from(text).reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 9_973, 7);
}

/** The zones of rbldnsd; those that misbehave need none. */
export function estateZones(): Readonly<Record<string, readonly string[]>> {
  const healthy = Object.keys(behaviours).filter((zone) => behaviours[zone] === 'pass' || behaviours[zone] === 'slow');
  return Object.fromEntries(
    healthy.map((zone) => [
      zone,
      [
        ':127.0.0.2:listed, see https://example.net/$',
        '127.0.0.2',
        ...(zone === listingZone ? [listed] : []),
        ...(zone === policyZone ? [':127.0.0.10:policy', listed] : []),
      ],
    ]),
  );
}

export type Front = {
  readonly host: string;
  readonly port: number;
  /** Questions that it has lost on purpose. */
  readonly lost: () => Promise<number>;
};

/** The resolver that everybody asks. */
export async function startFront(
  lab: Lab,
  options: { readonly upstreamPort: number; readonly loss?: number },
): Promise<Front> {
  const workerData: EstateData = {
    upstreamPort: options.upstreamPort,
    zones: behaviours,
    slowMs: 800,
    loss: options.loss ?? 0,
  };
  const worker = new Worker(new URL('./list-estate-worker.ts', import.meta.url), { workerData });
  lab.onStop(async () => void (await worker.terminate()));
  const [{ port }] = (await once(worker, 'message')) as [{ port: number }]; // by the worker
  return {
    host: '127.0.0.1',
    port,
    async lost() {
      worker.postMessage('lost');
      const [answer] = (await once(worker, 'message')) as [{ lost: number }]; // by the worker
      return answer.lost;
    },
  };
}
