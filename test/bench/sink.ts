// A local mail server that throws everything away and counts: the fastest one there can be. It runs in a thread of its own.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export type Sink = {
  readonly host: string;
  readonly port: number;
  /** Mails answered with 250 since the start. */
  readonly count: () => number;
  /** Bytes of them, as they travelled. */
  readonly bytes: () => number;
  /** When each mail was answered, by the number in its X-Bench header (milliseconds since 1970, with fractions). */
  readonly answeredAt: ReadonlyMap<number, number>;
  readonly close: () => Promise<void>;
};
export type SinkSetup = {
  readonly protocol: 'smtp' | 'lmtp';
  /** Two counters: mails and bytes. */
  readonly counters: SharedArrayBuffer;
  /** Tell when each mail was answered. */
  readonly tells: boolean;
};
export type SinkMessage =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'answered'; readonly serial: number; readonly at: number };

export async function startSink(options: {
  readonly protocol: 'smtp' | 'lmtp';
  readonly tells?: boolean;
}): Promise<Sink> {
  const counters = new SharedArrayBuffer(16);
  const view = new BigInt64Array(counters);
  const answeredAt = new Map<number, number>();
  const setup: SinkSetup = { protocol: options.protocol, tells: options.tells ?? false, counters };
  const worker = new Worker(new URL('./sink-worker.ts', import.meta.url), { workerData: setup });
  const [first] = (await once(worker, 'message')) as [SinkMessage]; // what sink-worker.ts posts
  if (first.kind !== 'listening') throw new Error('Cannot start the sink: it said ' + first.kind);
  worker.on('message', (message: SinkMessage) => {
    if (message.kind === 'answered') answeredAt.set(message.serial, message.at);
  });
  return {
    host: '127.0.0.1',
    port: first.port,
    count: () => Number(Atomics.load(view, 0)),
    bytes: () => Number(Atomics.load(view, 1)),
    answeredAt,
    close: async () => void (await worker.terminate()),
  };
}
