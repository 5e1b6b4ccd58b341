// Between agent and broker: passes every byte on and notes the MQTT messages that go by. What an agent ever sent is known
// from the wire, not from its own counters.
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { parser } from 'mqtt-packet';

export type TappedBatch = {
  readonly outbox: string;
  readonly seq: number;
  readonly oldest: number;
  readonly points: readonly (readonly [
    name: string,
    at: number,
    tags: Readonly<Record<string, string>>,
    fields: Readonly<Record<string, number | string>>,
  ])[];
};
export type Tap = {
  readonly port: number;
  /** Batches by number; the same batch sent again is noted once. */
  readonly batches: ReadonlyMap<number, TappedBatch>;
  /** Lives of the outbox that were seen. */
  readonly outboxes: ReadonlySet<string>;
  /** Highest acknowledged number. */
  readonly acknowledged: () => number;
  /** Messages that were sent more than once. */
  readonly repeated: () => number;
  readonly close: () => Promise<void>;
};

export async function startTap(options: {
  readonly to: { readonly host: string; readonly port: number };
}): Promise<Tap> {
  const batches = new Map<number, TappedBatch>();
  const outboxes = new Set<string>();
  const sockets = new Set<Socket>();
  let acknowledged = 0;
  let repeated = 0;

  function note(topic: string, payload: Buffer): void {
    if (topic.endsWith('/up')) {
      const batch = JSON.parse(payload.toString('utf8')) as TappedBatch; // a test may throw here: then the agent sent nonsense
      if (batch.seq < batch.oldest) return; // a question for the last number, no batch
      if (batches.has(batch.seq)) repeated += 1;
      batches.set(batch.seq, batch);
      outboxes.add(batch.outbox);
    } else if (topic.endsWith('/ack')) {
      const ack = JSON.parse(payload.toString('utf8')) as { readonly seq: number }; // as above
      acknowledged = Math.max(acknowledged, ack.seq);
    }
  }

  function listen(from: Socket, to: Socket): void {
    const packets = parser({ protocolVersion: 4 });
    packets.on('packet', (packet) => {
      if (packet.cmd === 'publish') note(packet.topic, Buffer.from(packet.payload));
    });
    from.on('data', (chunk: Buffer) => {
      packets.parse(chunk);
      to.write(chunk);
    });
    from.on('close', () => to.destroy()).on('error', () => to.destroy());
    sockets.add(from);
    from.on('close', () => sockets.delete(from));
  }

  const server = createServer((client) => {
    const upstream = connect(options.to);
    listen(client, upstream);
    listen(upstream, client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port, // a TCP server
    batches,
    outboxes,
    acknowledged: () => acknowledged,
    repeated: () => repeated,
    close: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
      }),
  };
}
