// A DNS server of which every byte is scripted, over UDP and TCP on one port.
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { Packet } from 'dns2';
import type { Resource } from 'dns2';
import type { Resolver } from '../../../agent/probe/resolvers.ts';

export type Asked = { readonly name: string; readonly type: number; readonly id: number; readonly port: number };
export type DnsServer = {
  readonly resolver: Resolver;
  /** Queries over UDP in order. */
  readonly asked: readonly Asked[];
  readonly askedByTcp: readonly Asked[];
};
export type DnsScript = {
  /** Datagrams to send back; none: silence. */
  readonly udp: (query: Buffer, asked: Asked) => readonly Buffer[] | Promise<readonly Buffer[]>;
  /** Raw bytes to write, length prefix and all; undefined: silence. */
  readonly tcp?: (query: Buffer, asked: Asked) => readonly Buffer[] | undefined;
  readonly host?: '127.0.0.1' | '::1';
};
type Owner = { readonly after: (work: () => Promise<void>) => void };

export async function startDnsServer(owner: Owner, script: DnsScript): Promise<DnsServer> {
  const host = script.host ?? '127.0.0.1';
  const family = host === '::1' ? 6 : 4;
  const asked: Asked[] = [];
  const askedByTcp: Asked[] = [];
  const open = new Set<Socket>();
  const { udp, tcp, port } = await listenBoth(host, (socket) => {
    open.add(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => {
      const question = readQuestion(data.subarray(2), socket.remotePort ?? 0);
      askedByTcp.push(question);
      for (const part of script.tcp?.(data.subarray(2), question) ?? []) socket.write(part);
    });
  });
  udp.on('message', (query: Buffer, from: RemoteInfo) => {
    const question = readQuestion(query, from.port);
    asked.push(question);
    void Promise.resolve(script.udp(query, question)).then((answers) => {
      for (const answer of answers) udp.send(answer, from.port, from.address, () => {});
    });
  });
  owner.after(async () => {
    for (const socket of open) socket.destroy();
    tcp.close();
    udp.close();
    await once(udp, 'close');
  });
  return { resolver: { address: host, port, family }, asked, askedByTcp };
}

async function listenBoth(host: string, onSocket: (socket: Socket) => void) {
  for (;;) {
    const udp: UdpSocket = createSocket(host === '::1' ? 'udp6' : 'udp4');
    udp.bind(0, host);
    await once(udp, 'listening');
    const { port } = udp.address();
    const tcp: Server = createServer(onSocket).listen(port, host);
    const listens = await once(tcp, 'listening').then(
      () => true,
      () => false,
    );
    if (listens) return { udp, tcp, port };
    udp.close(); // somebody has this port for TCP
  }
}

function readQuestion(query: Buffer, port: number): Asked {
  const packet = Packet.parse(query);
  const [question] = packet.questions;
  return { name: question?.name ?? '', type: question?.type ?? 0, id: packet.header.id, port };
}

export type Answer = {
  readonly rcode?: number;
  readonly records?: readonly (Partial<Resource> & { readonly type: number })[];
  readonly authorities?: readonly (Partial<Resource> & { readonly type: number })[];
  readonly truncated?: boolean;
  readonly recursive?: boolean;
};

/** A well-formed answer; records without a name are about the name that was asked. */
export function answerTo(query: Buffer, answer: Answer = {}): Buffer {
  const request = Packet.parse(query);
  const response = Packet.createResponseFromRequest(request);
  response.header.ra = answer.recursive === false ? 0 : 1;
  response.header.rcode = answer.rcode ?? 0;
  response.header.tc = answer.truncated === true ? 1 : 0;
  const name = request.questions[0]?.name ?? '';
  const build = (record: Partial<Resource> & { readonly type: number }) =>
    Object.assign(new Packet.Resource(name, record.type, 1, 60), record);
  for (const record of answer.records ?? []) response.answers.push(build(record));
  for (const record of answer.authorities ?? []) response.authorities.push(build(record));
  return response.toBuffer();
}

export const a = (address: string, name?: string) => ({ type: 1, address, ...(name === undefined ? {} : { name }) });
export const txt = (...data: string[]) => ({ type: 16, data });
export const cname = (domain: string, name?: string) => ({ type: 5, domain, ...(name === undefined ? {} : { name }) });

/** With its length in front, as TCP carries it. */
export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
