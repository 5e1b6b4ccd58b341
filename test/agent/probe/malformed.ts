// 44 kinds of datagrams that a server may send instead of a good answer to "A name.example". None of them says that a name
// exists or that it does not.
import { encodeQuery } from '../../../agent/probe/dns-message.ts';
import { a, answerTo, cname } from './dns-server.ts';

type Forge = (query: Buffer) => Buffer;

const headerBytes = 12;
const bytesOf = (hex: string): Buffer => Buffer.from(hex.replaceAll(' ', ''), 'hex');

/** The answer with one A record: its bytes after the question are 16 (pointer, type, class, TTL, length, address). */
const good: Forge = (query) => {
  const record = bytesOf('c00c 0001 0001 00000000 0004 7f000002');
  const message = Buffer.concat([query, record]);
  message.writeUInt16BE(0x8180, 2);
  message.writeUInt16BE(1, 6);
  return message;
};
/** A good answer with other bytes in place of its record. */
const withRecord =
  (hex: string, count = 1): Forge =>
  (query) => {
    const message = Buffer.concat([good(query).subarray(0, query.length), bytesOf(hex)]);
    message.writeUInt16BE(count, 6);
    return message;
  };
const patched =
  (offset: number, value: number, forge: Forge = good): Forge =>
  (query) => {
    const message = Buffer.from(forge(query));
    message.writeUInt16BE(value, offset);
    return message;
  };
/** Cut `bytes` before the end. */
const cut =
  (bytes: number): Forge =>
  (query) =>
    good(query).subarray(0, -bytes);
const asked =
  (name: string, type: 'A' | 'TXT' = 'A'): Forge =>
  (query) =>
    good(encodeQuery(query.readUInt16BE(0), { name, type }));
const answered =
  (answer: Parameters<typeof answerTo>[1]): Forge =>
  (query) =>
    answerTo(query, answer);
const nameOf = (query: Buffer): string => {
  const labels: string[] = [];
  for (let at = headerBytes; query.readUInt8(at) !== 0; at += query.readUInt8(at) + 1)
    labels.push(query.toString('latin1', at + 1, at + 1 + query.readUInt8(at)));
  return labels.join('.');
};
const pointer = (offset: number): string => (0xc000 | offset).toString(16);
const rest = '0001 0001 00000000 0004 7f000002';

/** Names of so many pointers that no reader should follow them, in a message of so many bytes. */
export function endlessPointers(query: Buffer, bytes: number): Buffer {
  const message = Buffer.alloc(bytes);
  query.copy(message);
  message.writeUInt16BE(0x8180, 2);
  message.writeUInt16BE(40, 6);
  for (let offset = query.length; offset + 1 < bytes; offset += 2)
    message.writeUInt16BE(0xc000 | (Math.max(headerBytes, offset - 2) & 0x3fff), offset);
  return message;
}

export const malformed: Readonly<Record<string, Forge>> = {
  'an empty datagram': () => Buffer.alloc(0),
  'one byte': (query) => query.subarray(0, 1),
  'eleven bytes of a header': (query) => good(query).subarray(0, 11),
  'a header that announces nothing': (query) =>
    patched(4, 0, (q) => good(q).subarray(0, headerBytes))(patched(6, 0)(query)),
  'a header that announces a record': (query) => patched(4, 0, (q) => good(q).subarray(0, headerBytes))(query),
  'the query itself': (query) => query,
  'a query with an answer in it': patched(2, 0x0100),
  'another opcode': patched(2, 0xa180),
  'another id': (query) => patched(0, query.readUInt16BE(0) ^ 0x0101)(query),
  'another name': asked('mame.example'),
  'a longer name': asked('www.name.example'),
  'another type': (query) => asked(nameOf(query), 'TXT')(query),
  'another class': (query) => patched(query.length - 2, 3)(query),
  'two questions': patched(4, 2),
  'a question that is cut': (query) => good(query).subarray(0, query.length - 3),
  'a question that points to itself': (query) => {
    const message = good(query);
    message.writeUInt16BE(0xc00c, headerBytes);
    return message;
  },
  'no question, and no such name': (query) => patched(4, 0, answered({ rcode: 3 }))(query).subarray(0, headerBytes),
  'a record cut in its name': cut(15),
  'a record cut in its type': cut(13),
  'a record cut in its time to live': cut(8),
  'a record cut in its length': cut(5),
  'a record cut in its address': cut(1),
  'an address of no bytes': withRecord('c00c0001000100000000 0000'),
  'an address of three bytes': withRecord('c00c0001000100000000 0003 7f0000'),
  'an address of five bytes': withRecord('c00c0001000100000000 0005 7f00000200'),
  'a record longer than the message': withRecord('c00c0001000100000000 ffff 7f000002'),
  'two records announced, one there': patched(6, 2),
  'thousands of records announced': patched(6, 0xffff),
  'no record announced, one there': patched(6, 0),
  'bytes behind the last record': (query) => Buffer.concat([good(query), Buffer.from('7f000002', 'hex')]),
  'a record of class CHAOS': withRecord('c00c 0001 0003 00000000 0004 7f000002'),
  'a record of another name': answered({ records: [a('127.0.0.2', 'other.example')] }),
  'a record of another type': withRecord('c00c 0010 0001 00000000 0004 03616263'),
  'an alias to itself': (query) => answerTo(query, { records: [cname(nameOf(query))] }),
  'two aliases to each other': (query) =>
    answerTo(query, { records: [cname('two.example'), cname(nameOf(query), 'two.example')] }),
  'twenty aliases': (query) =>
    answerTo(query, {
      records: [
        cname('n0.example'),
        ...Array.from({ length: 20 }, (_, n) => cname('n' + (n + 1) + '.example', 'n' + n + '.example')),
        a('127.0.0.2', 'n20.example'),
      ],
    }),
  'a name that points to itself': (query) => withRecord(pointer(query.length) + rest)(query),
  'two names that point to each other': (query) =>
    withRecord(pointer(query.length + 16) + rest + pointer(query.length) + rest, 2)(query),
  'a name that points behind the end': withRecord(pointer(0x3fff) + rest),
  'a label of a reserved kind': withRecord('4161' + rest),
  'a name of 320 octets': withRecord('3f 61'.repeat(63).repeat(5) + '00' + rest),
  'no such name, with an address': answered({ rcode: 3, records: [a('127.0.0.2')] }),
  'a referral': answered({ recursive: false, authorities: [{ type: 2, ns: 'ns.example' }] }),
  '4 KiB of pointers': (query) => endlessPointers(query, 4_096),
};
