// What goes out and what may come in. dns2's Packet is only the codec of answers: everything that must hold of an answer is
// checked here, and size, id, question and the length of names before the codec sees a byte.
import { Packet } from 'dns2';
import type { Resource } from 'dns2';
import { findBadName } from './dns-chains.ts';

export const recordTypes = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  MX: 15,
  TXT: 16,
  AAAA: 28,
} as const;
export type RecordType = keyof typeof recordTypes;
/** `name` as toAsciiName() gives it. */
export type Question = { readonly name: string; readonly type: RecordType };

/** Larger answers than we ever ask for are not parsed. */
export const maxUdpBytes = 4_096;
export const maxTcpBytes = 16_384;
const maxRecords = 64;
const headerBytes = 12;
const maxAliases = 8;
const classIn = 1;

/** Values in the order and words of zone files: `10 mx.example.org` for MX; the strings of one TXT record joined. */
export type Reply =
  | { readonly kind: 'records'; readonly values: readonly string[]; readonly ttlSeconds: number }
  /** `ttlSeconds`: how long "no" may be believed (RFC 2308 section 5); 0 when the server does not say. */
  | { readonly kind: 'none'; readonly reason: 'nxdomain' | 'nodata'; readonly ttlSeconds: number }
  | { readonly kind: 'rcode'; readonly rcode: string }
  | { readonly kind: 'malformed'; readonly text: string };

/** One question, recursion desired. The name is known to fit (RFC 1035 section 2.3.4). */
export function encodeQuery(id: number, question: Question): Buffer {
  const query = Buffer.alloc(headerBytes + question.name.length + 6);
  query.writeUInt16BE(id, 0);
  query.writeUInt16BE(0x0100, 2);
  query.writeUInt16BE(1, 4);
  let offset = headerBytes;
  for (const label of question.name.split('.')) {
    offset = query.writeUInt8(label.length, offset);
    offset += query.write(label, offset, 'latin1');
  }
  query.writeUInt16BE(recordTypes[question.type], offset + 1);
  query.writeUInt16BE(classIn, offset + 3);
  return query;
}

/** Undefined when the message is an answer to this very query, else what it is instead. Reads only the header and the question. */
export function findStranger(query: Buffer, message: Buffer, maxBytes: number): string | undefined {
  if (message.length > maxBytes) return 'a message of ' + message.length + ' bytes';
  if (message.length < headerBytes) return 'a message too short for a header';
  if (message.readUInt16BE(0) !== query.readUInt16BE(0)) return 'a message with another id';
  const flags = message.readUInt16BE(2);
  if ((flags & 0x8000) === 0) return 'a query instead of an answer';
  if ((flags & 0x7800) !== 0) return 'a message with another opcode';
  const questions = message.readUInt16BE(4);
  const rcode = flags & 0x000f;
  // Some servers leave the question out when they could not read it; such an answer can only ever count as a failure.
  if (questions === 0 && rcode !== 0 && rcode !== 3) return undefined;
  if (questions !== 1 || !echoes(query, message)) return 'an answer to another question';
  return undefined;
}

/** The first question cannot be compressed, so its bytes are ours, but for the case of letters. */
function echoes(query: Buffer, message: Buffer): boolean {
  const nameEnd = query.length - 4;
  if (message.length < query.length) return false;
  if (message.compare(query, nameEnd, query.length, nameEnd, query.length) !== 0) return false;
  for (let offset = headerBytes; offset < nameEnd; offset += 1) {
    if (lower(query.readUInt8(offset)) !== lower(message.readUInt8(offset))) return false;
  }
  return true;
}

function lower(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
}

export function isTruncated(message: Buffer): boolean {
  return (message.readUInt16BE(2) & 0x0200) !== 0;
}

/** Of a message that findStranger() has let through. Never throws. */
export function readReply(message: Buffer, question: Question): Reply {
  const rcode = message.readUInt16BE(2) & 0x000f;
  if (rcode !== 0 && rcode !== 3) return { kind: 'rcode', rcode: rcodeNames[rcode] ?? 'RCODE ' + rcode };
  const counts = [6, 8, 10].map((offset) => message.readUInt16BE(offset));
  if (counts.some((count) => count > maxRecords)) return malformed('more than ' + maxRecords + ' records');
  const records = counts.reduce((sum, count) => sum + count, 0);
  const bad = findBadName(message, records);
  if (bad !== undefined) return malformed(bad);
  let packet: Packet;
  try {
    packet = Packet.parse(message);
  } catch {
    return malformed('a message that cannot be read');
  }
  const { answers, authorities, header } = packet;
  if (packet.errors.length > 0) return malformed('a record that cannot be read');
  if (answers.length !== header.ancount) return malformed('fewer records than announced');
  if (answers.some((answer) => answer.class !== classIn)) return malformed('a record of another class');
  if (header.rcode === 3) {
    const values = answers.filter((answer) => answer.type !== recordTypes.CNAME);
    if (values.length > 0) return malformed('NXDOMAIN together with records');
    return { kind: 'none', reason: 'nxdomain', ttlSeconds: negativeTtl(authorities) };
  }
  if (header.rcode !== 0) return { kind: 'rcode', rcode: 'RCODE ' + header.rcode };
  if (answers.length > 0) return collect(answers, authorities, question);
  const referral = header.aa === 0 && header.ra === 0 && authorities.some((record) => record.type === recordTypes.NS);
  if (referral) return malformed('a referral: the server does not resolve');
  return { kind: 'none', reason: 'nodata', ttlSeconds: negativeTtl(authorities) };
}

function negativeTtl(authorities: readonly Resource[]): number {
  const soa = authorities.find((record) => record.type === recordTypes.SOA);
  return soa === undefined ? 0 : Math.min(soa.ttl ?? 0, soa.minimum ?? 0);
}

/** Values under the name that was asked, or under the end of its chain of aliases inside this answer; nothing else counts. */
function collect(answers: readonly Resource[], authorities: readonly Resource[], question: Question): Reply {
  let owner = question.name.toLowerCase();
  let ttlSeconds = Infinity;
  for (let hops = 0; hops <= maxAliases; hops += 1) {
    const own = answers.filter((answer) => answer.name.toLowerCase() === owner);
    const found = own.filter((answer) => answer.type === recordTypes[question.type]);
    if (found.length > 0) {
      const values = found.map((record) => valueOf(record, question.type));
      return { kind: 'records', values, ttlSeconds: Math.min(ttlSeconds, ...found.map((record) => record.ttl ?? 0)) };
    }
    const alias = own.find((answer) => answer.type === recordTypes.CNAME);
    if (alias?.domain === undefined) {
      if (hops === 0) return malformed('records of another name or type');
      return { kind: 'none', reason: 'nodata', ttlSeconds: Math.min(ttlSeconds, negativeTtl(authorities)) };
    }
    owner = alias.domain.toLowerCase();
    ttlSeconds = Math.min(ttlSeconds, alias.ttl ?? 0);
  }
  return malformed('a chain of more than ' + maxAliases + ' aliases');
}

function valueOf(record: Resource, type: RecordType): string {
  switch (type) {
    case 'A':
    case 'AAAA':
      return record.address ?? '';
    case 'TXT':
      return Array.isArray(record.data) ? record.data.join('') : '';
    case 'MX':
      return (record.priority ?? 0) + ' ' + named(record.exchange);
    case 'NS':
      return named(record.ns);
    case 'CNAME':
    case 'PTR':
      return named(record.domain);
    case 'SOA': {
      const { primary, admin, serial, refresh, retry, expiration, minimum } = record;
      return [named(primary), named(admin), serial, refresh, retry, expiration, minimum].join(' ');
    }
  }
}

/** The root is written as a dot, as in `0 .`, the MX of a domain that takes no mail (RFC 7505). */
function named(name: string | undefined): string {
  return name === undefined || name === '' ? '.' : name.toLowerCase();
}

function malformed(text: string): Reply {
  return { kind: 'malformed', text };
}

const rcodeNames: Readonly<Record<number, string>> = {
  1: 'FORMERR',
  2: 'SERVFAIL',
  4: 'NOTIMP',
  5: 'REFUSED',
};
