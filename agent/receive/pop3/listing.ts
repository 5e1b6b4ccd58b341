// The multi-line answers of POP3 that are lists: one entry a line. A line that makes no sense is counted and skipped; it
// must not cost the others.
import type { Sink } from './wire.ts';

export type Lines = { readonly sink: Sink; readonly finish: () => void; readonly tooLong: () => number };

/** Data cut into lines (latin1, without CRLF); lines above `maxBytes` are skipped and counted, the rest goes on. */
export function createLines(options: {
  readonly maxBytes: number;
  readonly onLine: (line: string) => void;
  /** Gets the beginning of a line that is skipped. */
  readonly onLong?: (beginning: string) => void;
}): Lines {
  let rest = '';
  let skipping = false;
  let tooLong = 0;
  const skip = (beginning: string): void => {
    tooLong += 1;
    options.onLong?.(beginning.slice(0, options.maxBytes));
  };
  const take = (line: string): void => {
    if (skipping) skipping = false;
    else if (line.length > options.maxBytes) skip(line);
    else options.onLine(line);
  };
  return {
    sink(bytes) {
      const lines = (rest + bytes.toString('latin1')).split('\r\n');
      rest = lines.pop() ?? '';
      for (const line of lines) take(line);
      if (rest.length > options.maxBytes + 1) {
        if (!skipping) skip(rest);
        skipping = true;
        // A CR at the very end may be half of a line end.
        rest = rest.endsWith('\r') ? '\r' : '';
      }
    },
    finish() {
      if (rest !== '') take(rest);
      rest = '';
    },
    tooLong: () => tooLong,
  };
}

/** RFC 1939 section 7 allows 70 bytes from 0x21 to 0x7E. Blanks, 8-bit bytes and longer ones exist; they are opaque to us. */
export const maxUidlBytes = 512;
/** More mails than that are not one mailbox but a mistake, or an attack on our memory. */
export const maxListed = 1_000_000;

export type NumberedEntries<T> = {
  readonly entries: ReadonlyMap<number, T>;
  readonly badLines: number;
  /** Numbers, in order, of mails whose line makes no sense but for the number: no UIDL, or one that is too long. */
  readonly unread: readonly number[];
};

type Decode<T> = (rest: string) => T | undefined;
export const decodeUidl: Decode<string> = (rest) => (rest === '' || rest.length > maxUidlBytes ? undefined : rest);
export const decodeSize: Decode<number> = (rest) => {
  // RFC 1939 section 5: a server may say more after the size.
  const size = /^\d{1,15}(?= |$)/.exec(rest)?.[0];
  return size === undefined ? undefined : Number(size);
};

export function createEntries<T>(decode: Decode<T>): {
  readonly lines: Lines;
  readonly result: () => NumberedEntries<T>;
} {
  const entries = new Map<number, T>();
  const unread = new Set<number>();
  let bad = 0;
  const lines = createLines({
    maxBytes: maxUidlBytes + 16,
    onLine(line) {
      const found = /^(\d{1,9})(?: ([^]*))?$/.exec(line);
      const number = Number(found?.[1] ?? 0);
      const value = decode(found?.[2] ?? '');
      if (number >= 1 && value === undefined && unread.size < maxListed) unread.add(number);
      if (number < 1 || value === undefined || entries.has(number) || entries.size >= maxListed) bad += 1;
      else entries.set(number, value);
    },
    onLong(beginning) {
      const number = Number(/^(\d{1,9}) /.exec(beginning)?.[1] ?? 0);
      if (number >= 1 && unread.size < maxListed) unread.add(number);
    },
  });
  const result = (): NumberedEntries<T> => ({
    entries,
    badLines: bad + lines.tooLong(),
    unread: [...unread].filter((number) => !entries.has(number)).sort((a, b) => a - b),
  });
  return { lines, result };
}
