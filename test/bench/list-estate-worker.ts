// The resolver of an estate of block lists, in a thread of its own: passes questions on to a real rbldnsd, and misbehaves for
// the zones that are to misbehave.
import { createSocket } from 'node:dgram';
import { parentPort, workerData } from 'node:worker_threads';
import { malformed } from '../agent/probe/malformed.ts';

export type Behaviour = 'pass' | 'slow' | 'dead' | 'servfail' | 'refused' | 'public' | 'parked';
export type EstateData = {
  readonly upstreamPort: number;
  /** By zone; what is in none of them is passed on. */
  readonly zones: Readonly<Record<string, Behaviour>>;
  readonly slowMs: number;
  /** Share of questions that get lost. */
  readonly loss: number;
};

const { upstreamPort, zones, slowMs, loss } = workerData as EstateData; // by list-estate.ts
const kinds = Object.values(malformed);
const front = createSocket('udp4');
const back = createSocket('udp4');
const open = new Map<number, { readonly id: number; readonly port: number }>();
let serial = 0;
let lost = 0;
let seed = 20_251_125;
const random = (): number => (seed = (seed * 48_271) % 0x7fffffff) / 0x7fffffff;

back.on('message', (answer) => {
  const asked = open.get(answer.readUInt16BE(0));
  if (asked === undefined) return;
  open.delete(answer.readUInt16BE(0));
  answer.writeUInt16BE(asked.id, 0);
  front.send(answer, asked.port, '127.0.0.1');
});

front.on('message', (query, { port }) => {
  if (loss > 0 && random() < loss) {
    lost += 1;
    return;
  }
  const name = readName(query);
  const kind = /^k(\d+)\.malformed\.test$/.exec(name);
  if (kind !== null) return reply(forge(query, Number(kind[1])), port);
  switch (zones[findZone(name)] ?? 'pass') {
    case 'pass':
      return pass(query, port);
    case 'slow':
      return void setTimeout(() => pass(query, port), slowMs);
    case 'dead':
      return;
    case 'servfail':
      return reply([rcode(query, 2)], port);
    case 'refused':
      return reply([rcode(query, 5)], port);
    case 'public':
      return reply([address(query, [127, 255, 255, 254])], port);
    case 'parked':
      return reply([address(query, [62, 0, 58, 94])], port);
  }
});

function pass(query: Buffer, port: number): void {
  serial = (serial + 1) & 0xffff;
  open.set(serial, { id: query.readUInt16BE(0), port });
  const copy = Buffer.from(query);
  copy.writeUInt16BE(serial, 0);
  back.send(copy, upstreamPort, '127.0.0.1');
}

function reply(answers: readonly Buffer[], port: number): void {
  for (const answer of answers) front.send(answer, port, '127.0.0.1');
}

/** The kind of that number; one beyond the last: 64 KiB of pointers with another id, then a good answer. */
function forge(query: Buffer, kind: number): readonly Buffer[] {
  const one = kinds[kind];
  if (one !== undefined) return [one(query)];
  const huge = Buffer.alloc(65_000);
  query.copy(huge);
  huge.writeUInt16BE(query.readUInt16BE(0) ^ 1, 0);
  huge.writeUInt16BE(0x8180, 2);
  huge.writeUInt16BE(5_000, 6);
  for (let offset = query.length; offset + 1 < huge.length; offset += 2)
    huge.writeUInt16BE(0xc000 | ((offset - 2) & 0x3fff), offset);
  return [huge, address(query, [127, 0, 0, 2])];
}

function rcode(query: Buffer, code: number): Buffer {
  const answer = Buffer.from(query);
  answer.writeUInt16BE(0x8180 | code, 2);
  return answer.subarray(0, questionEnd(query));
}

/** One A record; to any other question no record. */
function address(query: Buffer, octets: readonly number[]): Buffer {
  const end = questionEnd(query);
  const answer = rcode(query, 0);
  if (query.readUInt16BE(end - 4) !== 1) return answer;
  answer.writeUInt16BE(1, 6);
  return Buffer.concat([answer, Buffer.from('c00c000100010000003c0004', 'hex'), Buffer.from(octets)]);
}

function questionEnd(query: Buffer): number {
  let at = 12;
  while (query.readUInt8(at) !== 0) at += query.readUInt8(at) + 1;
  return at + 5;
}

function readName(query: Buffer): string {
  const labels: string[] = [];
  for (let at = 12; query.readUInt8(at) !== 0; at += query.readUInt8(at) + 1)
    labels.push(query.toString('latin1', at + 1, at + 1 + query.readUInt8(at)));
  return labels.join('.').toLowerCase();
}

function findZone(name: string): string {
  const labels = name.split('.');
  for (let first = 0; first < labels.length; first += 1) {
    const zone = labels.slice(first).join('.');
    if (Object.hasOwn(zones, zone)) return zone;
  }
  return '';
}

parentPort?.on('message', (what: unknown) => {
  if (what === 'lost') parentPort?.postMessage({ lost });
});
front.bind(0, '127.0.0.1', () => parentPort?.postMessage({ port: front.address().port }));
