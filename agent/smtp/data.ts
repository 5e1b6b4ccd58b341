// The bytes of a mail as they travel after DATA (RFC 5321 section 4.5.2): a dot in front of a line that begins with one,
// CRLF at the end, and the lone dot. Works on any cut of the bytes.
//
// Line ends: with `keepBareLineEnds` every byte stays; otherwise a CR or LF that is alone becomes CRLF and is counted.
// A dot after a bare LF is doubled even when bare line ends are kept. A lenient server takes LF for a line end: without
// the second dot `LF . CRLF` would end the mail there and the rest would be read as commands (SMTP smuggling; Dovecot 2.3
// is such a server, and it takes the second dot off again). A strict server keeps the second dot, the lesser harm.

export type DataEncoder = {
  /** What to write for this piece of the mail. */
  readonly push: (chunk: Uint8Array) => Uint8Array[];
  /** What is still to be written: the line end that is missing, and the lone dot. */
  readonly end: () => Uint8Array;
  /** Bare CR or LF that became CRLF so far. */
  readonly bareLineEnds: () => number;
};

const cr = 0x0d;
const lf = 0x0a;
const dot = 0x2e;
const dotBytes = Uint8Array.of(dot);
const crBytes = Uint8Array.of(cr);
const lfBytes = Uint8Array.of(lf);

/** Where the next byte stands. Numbers, and the loop's own variables: this loop sees every byte that is sent. */
const lineStart = 0;
const inside = 1;
const afterCr = 2;

export function createDataEncoder(options: { readonly keepBareLineEnds: boolean }): DataEncoder {
  const keep = options.keepBareLineEnds;
  let place = lineStart;
  /** Ended by a real CRLF (not by a bare LF): then the end of the mail needs none. */
  let complete = true;
  let bare = 0;

  return {
    push(chunk) {
      const pieces: Uint8Array[] = [];
      const length = chunk.length;
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, length);
      const next = (byte: number, from: number): number => {
        const found = bytes.indexOf(byte, from);
        return found < 0 ? length : found;
      };
      let nextCr = -1;
      let nextLf = -1;
      let at = 0;
      let from = 0;
      let here = place;
      let ended = complete;
      const insert = (bytes: Uint8Array): void => {
        if (at > from) pieces.push(chunk.subarray(from, at));
        pieces.push(bytes);
        from = at;
      };
      for (; at < length; at += 1) {
        if (here === inside) {
          // Nearly every byte: no line end, and not the first of its line.
          if (nextCr < at) nextCr = next(cr, at);
          if (nextLf < at) nextLf = next(lf, at);
          at = Math.min(nextCr, nextLf);
          if (at >= length) break;
        }
        const byte = chunk[at] ?? 0;
        const lone = byte === lf && here !== afterCr;
        if (here === afterCr && byte !== lf && !keep) {
          insert(lfBytes);
          bare += 1;
          here = lineStart;
        }
        if (lone && !keep) {
          insert(crBytes);
          bare += 1;
        }
        if (byte === dot && here === lineStart) insert(dotBytes);
        ended = byte === lf && !(lone && keep);
        here = byte === lf ? lineStart : byte === cr ? afterCr : inside;
      }
      place = here;
      complete = ended;
      if (from < length) pieces.push(chunk.subarray(from));
      return pieces;
    },
    end() {
      if (complete) return Buffer.from('.\r\n');
      if (place !== afterCr || keep) return Buffer.from('\r\n.\r\n');
      bare += 1;
      return Buffer.from('\n.\r\n');
    },
    bareLineEnds: () => bare,
  };
}

/** For BDAT: nothing is framed, so every byte stays; only a missing CRLF at the end is added, as with DATA. */
export function createChunkEncoder(): DataEncoder {
  let last = lf;
  let beforeLast = cr;
  return {
    push(chunk) {
      for (const byte of chunk.subarray(-2)) [beforeLast, last] = [last, byte];
      return chunk.length === 0 ? [] : [chunk];
    },
    end: () => Buffer.from(beforeLast === cr && last === lf ? '' : '\r\n'),
    bareLineEnds: () => 0,
  };
}
