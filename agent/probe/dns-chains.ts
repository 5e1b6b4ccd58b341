// How often a message sends its reader back to names that stand further up. The codec follows every pointer it is given, a
// byte at a time, and a message of 16 KiB can hold thousands of them for each record: seconds of a standing program. So
// each name is walked here first, and only so far.

/** A name of 255 octets has at most 127 labels; real messages need one or two pointers a name. */
const maxPointers = 16;
const maxLabels = 128;

/** Where names stand in the data of a record, by type; the second name of SOA follows its first. */
const namesInData: Readonly<Record<number, readonly [offset: number, names: number]>> = {
  2: [0, 1], // NS
  5: [0, 1], // CNAME
  6: [0, 2], // SOA
  12: [0, 1], // PTR
  15: [2, 1], // MX
  33: [6, 1], // SRV
  46: [18, 1], // RRSIG
};

/** Why the message must not be given to the codec; undefined when it may. `records` in all sections, after one question. */
export function findBadName(message: Buffer, records: number): string | undefined {
  let offset = 12;
  try {
    if (message.readUInt16BE(4) === 1) offset = skipName(message, offset) + 4;
    for (let n = 0; n < records; n += 1) {
      const head = skipName(message, offset);
      const type = message.readUInt16BE(head);
      const data = head + 10;
      const end = data + message.readUInt16BE(head + 8);
      const [first, names] = namesInData[type] ?? [0, 0];
      for (let name = 0, at = data + first; name < names; name += 1) at = skipName(message, at);
      if (end > message.length) return 'a record that cannot be read';
      offset = end;
    }
    return offset === message.length ? undefined : 'bytes behind the last record';
  } catch (error) {
    return error instanceof LongName ? 'a name of endless pointers' : 'a record that cannot be read';
  }
}

class LongName extends Error {}

/** The offset behind the name. Throws LongName, and RangeError at the end of the message. */
function skipName(message: Buffer, start: number): number {
  let at = start;
  let end: number | undefined;
  for (let pointers = 0, labels = 0; pointers <= maxPointers && labels <= maxLabels;) {
    const length = message.readUInt8(at);
    if (length === 0) return end ?? at + 1;
    if (length > 63 && length < 0xc0) throw new RangeError('a label of a reserved kind');
    if (length >= 0xc0) {
      pointers += 1;
      end ??= at + 2;
      at = message.readUInt16BE(at) & 0x3fff;
    } else {
      labels += 1;
      at += length + 1;
    }
  }
  throw new LongName();
}
