// A DNS server (UDP and TCP on one port) that answers by a script, in good form or as raw bytes.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Packet } from 'dns2';

export type DnsQuery = {
  /** Lower case, without the final dot. */
  readonly name: string;
  /** `A`, `TXT`, `SOA`, ... or the number of a type without name here. */
  readonly type: string;
  readonly id: number;
  readonly transport: 'udp' | 'tcp';
  /** How often this name and type was asked before, over both transports. */
  readonly before: number;
  /** The query as it came. */
  readonly bytes: Buffer;
};

export type DnsAnswer = {
  readonly rcode?: 'NOERROR' | 'FORMERR' | 'SERVFAIL' | 'NXDOMAIN' | 'NOTIMP' | 'REFUSED';
  /** Addresses for A and AAAA, texts for TXT: records of the type that was asked. */
  readonly records?: readonly string[];
  readonly ttl?: number;
  /** Sets TC and sends no records; meant for UDP. */
  readonly truncated?: boolean;
  /** The id in the answer, when it shall be another one. */
  readonly id?: number;
  /** Replaces the name in the question section. */
  readonly questionName?: string;
  readonly delayMs?: number;
};

/** One answer, several datagrams in a row, bytes as they are (UDP: a datagram; TCP: without length), or nothing at all. */
export type DnsReaction = DnsAnswer | Uint8Array | readonly (DnsAnswer | Uint8Array)[] | 'silence';

export type ScriptedDns = {
  readonly host: string;
  readonly port: number;
  readonly queries: readonly DnsQuery[];
  /** Builds the bytes of an answer to a query, to spoil them. */
  readonly encode: (query: DnsQuery, answer: DnsAnswer) => Buffer;
  readonly close: () => Promise<void>;
};

const typeNames = new Map<number, string>(Object.entries(Packet.TYPE).map(([name, number]) => [number, name]));
const rcodes = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;

export type ScriptedDnsOptions = {
  /** Undefined means NXDOMAIN. */
  readonly script: (query: DnsQuery) => DnsReaction | undefined;
  /** Of both transports; a free one when not given. */
  readonly port?: number;
};

export async function startScriptedDns(options: ScriptedDnsOptions & { readonly port: number }): Promise<ScriptedDns> {
  const queries: DnsQuery[] = [];
  const sockets = new Set<Socket>();

  async function react(bytes: Buffer, transport: 'udp' | 'tcp', send: (bytes: Uint8Array) => void): Promise<void> {
    const query = readQuery(bytes, transport, queries);
    if (query === undefined) return;
    queries.push(query);
    const reaction = options.script(query) ?? { rcode: 'NXDOMAIN' as const };
    if (reaction === 'silence') return;
    const answers = reaction instanceof Uint8Array || !isList(reaction) ? [reaction] : reaction;
    for (const answer of answers) {
      if (answer instanceof Uint8Array) send(answer);
      else {
        if (answer.delayMs !== undefined) await sleep(answer.delayMs, undefined, { ref: false });
        send(encode(query, answer));
      }
    }
  }

  const udp = createSocket('udp4');
  udp.on('error', () => {}); // the asker has closed its port
  udp.on('message', (bytes, from) => {
    void react(bytes, 'udp', (answer) => {
      if (open) udp.send(answer, from.port, from.address);
    });
  });
  const tcp = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket)).on('error', () => socket.destroy());
    let pending = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0);
        void react(pending.subarray(2, end), 'tcp', (answer) => {
          const length = Buffer.alloc(2);
          length.writeUInt16BE(answer.length);
          socket.write(Buffer.concat([length, answer]));
        });
        pending = pending.subarray(end);
      }
    });
  });
  let open = true;
  await once(udp.bind(options.port, '127.0.0.1'), 'listening');
  await once(tcp.listen(options.port, '127.0.0.1'), 'listening');
  return {
    host: '127.0.0.1',
    port: (tcp.address() as AddressInfo).port, // a TCP server
    queries,
    encode,
    close: async () => {
      if (!open) return;
      open = false;
      for (const socket of sockets) socket.destroy();
      await Promise.all([once(udp.close(), 'close'), once(tcp.close(), 'close')]);
    },
  };
}

function isList(reaction: DnsReaction): reaction is readonly (DnsAnswer | Uint8Array)[] {
  return Array.isArray(reaction);
}

function readQuery(bytes: Buffer, transport: 'udp' | 'tcp', earlier: readonly DnsQuery[]): DnsQuery | undefined {
  try {
    const packet = Packet.parse(bytes);
    const [question] = packet.questions;
    if (question === undefined) return undefined;
    const name = question.name.toLowerCase();
    const type = typeNames.get(question.type ?? 0) ?? String(question.type);
    const before = earlier.filter((query) => query.name === name && query.type === type).length;
    return { name, type, id: packet.header.id, transport, before, bytes };
  } catch {
    return undefined; // no DNS
  }
}

function encode(query: DnsQuery, answer: DnsAnswer): Buffer {
  const response = Packet.createResponseFromRequest(Packet.parse(query.bytes));
  const [question] = response.questions;
  response.header.id = answer.id ?? query.id;
  response.header.rcode = rcodes[answer.rcode ?? 'NOERROR'];
  response.header.tc = answer.truncated === true ? 1 : 0;
  response.header.ra = 1;
  if (question === undefined) return response.toBuffer();
  if (answer.questionName !== undefined) question.name = answer.questionName;
  if (answer.truncated !== true) {
    for (const record of answer.records ?? []) {
      const data = query.type === 'TXT' ? { data: record } : { address: record };
      response.answers.push(Packet.createResourceFromQuestion(question, { ttl: answer.ttl ?? 60, ...data }));
    }
  }
  return response.toBuffer();
}
