// Finds the end of a mail's header in its bytes, however they are cut into chunks. Promise: header + separator + rest is
// exactly what came in; nothing is changed, and no more than `limitBytes` are kept.
// CR, LF and CRLF all end a line here: on its way out a bare CR or LF becomes CRLF, so a reader after us will take it for
// a line end, and a Bcc behind a bare CR must not escape.

export type Split = {
  /** The lines of the header, each with its line end as it came (the last one may have none). */
  readonly header: Buffer;
  /** The empty line; empty when the mail ended in its header, or has none. */
  readonly separator: Buffer;
  /** What came after it so far. */
  readonly rest: Buffer;
};

export type HeaderSplitter = {
  /** Undefined while the end has not come. */
  readonly push: (chunk: Uint8Array) => Split | 'too-large' | undefined;
  /** The mail is over. */
  readonly end: () => Split;
};

const CR = 0x0d;
const LF = 0x0a;

export function createHeaderSplitter(limitBytes: number): HeaderSplitter {
  /** Grows by doubling: a client that sends byte by byte must not make us copy everything for each of them. */
  let store = Buffer.alloc(4_096);
  let bytes = store.subarray(0, 0);
  let scanned = 0;
  let lineStart = 0;
  /** The byte before was a CR: whether an LF belongs to it is not known yet. */
  let afterCr = false;

  const split = (headerEnd: number, bodyStart: number): Split => ({
    header: bytes.subarray(0, headerEnd),
    separator: bytes.subarray(headerEnd, bodyStart),
    rest: bytes.subarray(bodyStart),
  });

  function append(chunk: Uint8Array): void {
    const length = bytes.length + chunk.length;
    if (length > store.length) {
      const larger = Buffer.alloc(Math.max(length, store.length * 2));
      bytes.copy(larger);
      store = larger;
    }
    store.set(chunk, bytes.length);
    bytes = store.subarray(0, length);
  }

  /** Looks on from where the last call stopped. */
  function scan(): Split | undefined {
    for (; scanned < bytes.length; scanned += 1) {
      const byte = bytes[scanned];
      if (afterCr) {
        afterCr = false;
        const lineEnd = byte === LF ? scanned + 1 : scanned;
        const empty = scanned - 1 === lineStart;
        if (empty) return split(lineStart, lineEnd);
        lineStart = lineEnd;
        if (byte === LF) continue;
      }
      if (byte === CR) afterCr = true;
      else if (byte === LF) {
        if (scanned === lineStart) return split(lineStart, scanned + 1);
        lineStart = scanned + 1;
      }
    }
    return undefined;
  }

  return {
    push(chunk) {
      append(chunk);
      const found = scan();
      if (found !== undefined) return found.header.length > limitBytes ? 'too-large' : found;
      return bytes.length > limitBytes ? 'too-large' : undefined;
    },
    end() {
      const empty = afterCr && bytes.length - 1 === lineStart;
      return empty ? split(lineStart, bytes.length) : split(bytes.length, bytes.length);
    },
  };
}
