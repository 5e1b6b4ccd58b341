// What goes out and what may come in. dns2's Packet is only the codec: everything that must hold of an answer is checked
// here, and size, id and question before the codec sees a byte (one 64 KiB datagram of pointer chains costs it seconds).
import { Packet } from 'dns2';
import type { Resource } from 'dns2';

export type RecordType = 'A' | 'TXT';
export type Question = { readonly name: string; readonly type: RecordType };

/** Larger answers than we ever ask for are not parsed. */
export const maxUdpBytes = 4_096;
export const maxTcpBytes = 16_384;
const maxRecords = 64;
const headerBytes = 12;
const maxAliases = 8;

export type Reply =
  | { readonly kind: 'records'; readonly values: readonly string[] }
  | { readonly kind: 'none'; readonly reason: 'nxdomain' | 'nodata' }
  | { readonly kind: 'rcode'; readonly rcode: string }
  | { readonly kind: 'malformed'; readonly text: string };

export function encodeQuery(id: number, question: Question): Buffer {
  const packet = new Packet();
  packet.header.id = id;
  packet.header.rd = 1;
  packet.questions.push(new Packet.Question(question.name, Packet.TYPE[question.type], Packet.CLASS.IN));
  return packet.toBuffer();
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
  const asked = query.subarray(headerBytes);
  const echoed = message.subarray(headerBytes, headerBytes + asked.length);
  // Lower-casing the whole is exact enough: type and class are compared apart.
  const nameEnd = asked.length - 4;
  return (
    echoed.length === asked.length &&
    echoed.subarray(nameEnd).equals(asked.subarray(nameEnd)) &&
    echoed.subarray(0, nameEnd).toString('latin1').toLowerCase() ===
      asked.subarray(0, nameEnd).toString('latin1').toLowerCase()
  );
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
  let packet: Packet;
  try {
    packet = Packet.parse(message);
  } catch {
    return malformed('a message that cannot be read');
  }
  const { answers, authorities, header } = packet;
  if (packet.errors.length > 0) return malformed('a record that cannot be read');
  if (answers.length !== header.ancount) return malformed('fewer records than announced');
  if (answers.some((answer) => answer.class !== Packet.CLASS.IN)) return malformed('a record of another class');
  if (header.rcode === 3) {
    const values = answers.filter((answer) => answer.type !== Packet.TYPE.CNAME);
    return values.length === 0 ? { kind: 'none', reason: 'nxdomain' } : malformed('NXDOMAIN together with records');
  }
  if (header.rcode !== 0) return { kind: 'rcode', rcode: 'RCODE ' + header.rcode };
  if (answers.length > 0) return collect(answers, question);
  const referral = header.aa === 0 && header.ra === 0 && authorities.some((record) => record.type === Packet.TYPE.NS);
  return referral ? malformed('a referral: the server does not resolve') : { kind: 'none', reason: 'nodata' };
}

/** Values under the name that was asked, or under the end of its chain of aliases inside this answer; nothing else counts. */
function collect(answers: readonly Resource[], question: Question): Reply {
  let owner = question.name.toLowerCase();
  for (let hops = 0; hops <= maxAliases; hops += 1) {
    const own = answers.filter((answer) => answer.name.toLowerCase() === owner);
    const values = own.filter((answer) => answer.type === Packet.TYPE[question.type]).map(valueOf);
    if (values.length > 0) return { kind: 'records', values };
    const alias = own.find((answer) => answer.type === Packet.TYPE.CNAME)?.domain;
    if (alias === undefined) {
      return hops === 0 ? malformed('records of another name or type') : { kind: 'none', reason: 'nodata' };
    }
    owner = alias.toLowerCase();
  }
  return malformed('a chain of more than ' + maxAliases + ' aliases');
}

function valueOf(record: Resource): string {
  if (record.type === Packet.TYPE.A) return record.address ?? '';
  const { data } = record;
  return Array.isArray(data) ? data.join('') : '';
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
