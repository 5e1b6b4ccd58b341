// A tar writer and reader for packages (POSIX.1-1988 ustar). Promise: the same entries give the same bytes: no clock, no user,
// no order of a file system gets in. Names are taken as they are given, without a leading `./`.
export type TarEntry = {
  /** A folder's name ends with `/`. */
  readonly name: string;
  readonly mode: number;
  /** Nothing for a folder. */
  readonly data?: Uint8Array;
};
/** As it was read: also what a writer of ours never makes. */
export type FoundEntry = {
  readonly name: string;
  readonly mode: number;
  /** '0' file, '5' folder, '2' symbolic link, ... */
  readonly type: string;
  readonly link: string;
  readonly mtime: number;
  readonly owner: string;
  readonly data: Buffer;
};

const block = 512;
/** Files of a package are no older or younger with each build. */
const fixedTime = Date.UTC(2026, 0, 1) / 1_000;

export function writeTar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const { name, mode, data } of entries) {
    const bytes = Buffer.from(data ?? new Uint8Array());
    parts.push(
      header({ name, mode, size: bytes.length }),
      bytes,
      Buffer.alloc((block - (bytes.length % block)) % block),
    );
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)]);
}

function header({ name, mode, size }: { readonly name: string; readonly mode: number; readonly size: number }): Buffer {
  if (Buffer.byteLength(name) > 99)
    throw new Error('Cannot write ' + name + ' to a tar: ' + Buffer.byteLength(name) + ' bytes, expected at most 99');
  const bytes = Buffer.alloc(block);
  const octal = (value: number, length: number): string => value.toString(8).padStart(length - 1, '0') + '\0';
  bytes.write(name, 0);
  bytes.write(octal(mode, 8), 100);
  bytes.write(octal(0, 8), 108);
  bytes.write(octal(0, 8), 116);
  bytes.write(octal(size, 12), 124);
  bytes.write(octal(fixedTime, 12), 136);
  bytes.write('        ', 148); // the sum counts its own place as blanks
  bytes.write(name.endsWith('/') ? '5' : '0', 156);
  bytes.write('ustar\x0000', 257);
  bytes.write('root', 265);
  bytes.write('root', 297);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(sum.toString(8).padStart(6, '0') + '\0 ', 148);
  return bytes;
}

/** Throws when it is no ustar, is cut off, or a sum is wrong. */
export function readTar(bytes: Buffer): readonly FoundEntry[] {
  const found: FoundEntry[] = [];
  for (let at = 0; ;) {
    const head = bytes.subarray(at, at + block);
    if (head.length < block)
      throw new Error('Cannot read the tar: it ends at byte ' + at + ', expected an empty block');
    if (head.every((byte) => byte === 0)) return found;
    const entry = readHeader(head, at);
    const data = bytes.subarray(at + block, at + block + entry.size);
    if (data.length < entry.size) throw new Error('Cannot read the tar: ' + entry.name + ' is cut off');
    found.push({ ...entry, data });
    at += block + Math.ceil(entry.size / block) * block;
  }
}

function readHeader(head: Buffer, at: number): Omit<FoundEntry, 'data'> & { readonly size: number } {
  const text = (from: number, length: number): string =>
    head.toString('utf8', from, from + length).split('\0')[0] ?? '';
  const number = (from: number, length: number): number => parseInt(text(from, length).trim() || '0', 8);
  if (text(257, 5) !== 'ustar') throw new Error('Cannot read the tar: no ustar header at byte ' + at);
  const sum = head.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 32 : byte), 0);
  if (sum !== number(148, 8)) throw new Error('Cannot read the tar: the sum of the header at byte ' + at + ' is wrong');
  const prefix = text(345, 155);
  return {
    name: (prefix === '' ? '' : prefix + '/') + text(0, 100),
    mode: number(100, 8),
    size: number(124, 12),
    mtime: number(136, 12),
    type: text(156, 1) || '0',
    link: text(157, 100),
    owner: text(265, 32),
  };
}
