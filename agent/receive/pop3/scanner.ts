// The byte scanner of POP3: cuts what a server sends into status lines and multi-line data, however it was cut into packets.
// Promises: data ends only at CRLF . CRLF, or at . CRLF right after the status line (RFC 1939 section 3); only CRLF is a
// line end; bytes come out as they went in (8-bit, NUL, lines of any length) but for the stuffed dots.

export type Scanner = {
  readonly push: (chunk: Buffer) => void;
  /** The next line without its CRLF, latin1; undefined when more bytes are needed. Throws RangeError above `maxBytes`. */
  readonly line: (maxBytes: number) => string | undefined;
  /** The bytes that follow are multi-line data: call right after its status line. */
  readonly startData: () => void;
  /** What has arrived of the data, unstuffed, in order; `ended` once, with the last of it. */
  readonly data: () => { readonly parts: readonly Buffer[]; readonly ended: boolean };
  /** Bytes that were pushed and not taken yet. */
  readonly pending: () => number;
};

const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;
const carriedCr = Buffer.from('\r');

/** Where in a line the scan stands. The dot of `dot`, and dot and CR of `dot-cr`, are held back: they may be the end. */
type At = 'text' | 'cr' | 'line-start' | 'dot' | 'dot-cr';

export function createScanner(): Scanner {
  let pending: Buffer = Buffer.alloc(0);
  let at: At = 'text';

  function data(): { readonly parts: readonly Buffer[]; readonly ended: boolean } {
    const chunk = pending;
    const scan = scanData(chunk, at);
    at = scan.at;
    pending = chunk.subarray(scan.used);
    return { parts: scan.parts, ended: scan.ended };
  }

  return {
    push(chunk) {
      pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
    },
    line(maxBytes) {
      const end = pending.indexOf('\r\n');
      if (end > maxBytes || (end < 0 && pending.length > maxBytes + 1)) {
        throw new RangeError('a line of more than ' + maxBytes + ' bytes');
      }
      if (end < 0) return undefined;
      const line = pending.toString('latin1', 0, end);
      pending = pending.subarray(end + 2);
      return line;
    },
    startData() {
      at = 'line-start';
    },
    data,
    pending: () => pending.length,
  };
}

type Scan = { readonly parts: readonly Buffer[]; readonly ended: boolean; readonly at: At; readonly used: number };

function scanData(chunk: Buffer, from: At): Scan {
  const parts: Buffer[] = [];
  let at = from;
  /** First byte of the chunk that is neither given out nor dropped. */
  let start = 0;
  let index = 0;
  const give = (end: number): void => {
    if (end > start) parts.push(chunk.subarray(start, end));
  };
  while (index < chunk.length) {
    const byte = chunk[index];
    switch (at) {
      case 'text': {
        const next = chunk.indexOf(cr, index);
        index = next < 0 ? chunk.length : next + 1;
        if (next >= 0) at = 'cr';
        break;
      }
      case 'cr':
        at = byte === lf ? 'line-start' : byte === cr ? 'cr' : 'text';
        index += 1;
        break;
      case 'line-start':
        if (byte === dot) {
          give(index);
          at = 'dot';
        } else {
          at = byte === cr ? 'cr' : 'text';
        }
        index += 1;
        if (at === 'dot') start = index;
        break;
      case 'dot':
        // Whatever follows but CRLF, the first dot is dropped (RFC 1939 section 3).
        if (byte === cr) {
          at = 'dot-cr';
          index += 1;
        } else {
          at = 'text';
        }
        break;
      case 'dot-cr':
        if (byte === lf) return { parts, ended: true, at: 'text', used: index + 1 };
        // A dot, a CR and something else: the CR was text after all. It may have come with an earlier chunk.
        if (index === 0) parts.push(carriedCr);
        else start = index - 1;
        at = 'cr';
        break;
    }
  }
  // A held-back CR at the end of the chunk is not given out yet.
  give(at === 'dot-cr' ? Math.max(start, chunk.length - 1) : chunk.length);
  return { parts, ended: false, at, used: chunk.length };
}
