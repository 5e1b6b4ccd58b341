// Lines longer than SMTP allows (RFC 5321 section 4.5.3.1.6: 998 characters before CRLF): a provider refuses the whole mail
// for one of them, and only after it was queued. Promise: what goes on has no such line; bytes are added, never taken away or
// changed; a signed mail is not touched, it is refused while the client is still there.
import { refuse } from './access.ts';
import type { Refusal } from './access.ts';
import type { Field } from './header.ts';

const maxLine = 998;
/** A fold stands here; room for the rest of a UTF-8 character before it. */
const foldAt = 990;
const CR = 0x0d;
const LF = 0x0a;
const fold = Buffer.from('\r\n ');
const lineBreak = Buffer.from('\r\n');
const inlineSignature = '-----BEGIN PGP SIGNED MESSAGE-----';

export const signedLine: Refusal = refuse(
  554,
  '5.6.0 A line is longer than ' + maxLine + ' bytes, and the mail is signed: folding it would break the signature',
  'long-line',
);
const unfoldable: Refusal = refuse(
  554,
  '5.6.0 A line of the header is longer than ' + maxLine + ' bytes and has no place where it can be folded',
  'long-line',
);

/** What must arrive byte by byte: DKIM, ARC, S/MIME, PGP/MIME. */
export function isSigned(fields: readonly Field[]): boolean {
  return fields.some(({ name, bytes }) => {
    if (/^(?:dkim-signature|domainkey-signature|arc-message-signature)$/.test(name)) return true;
    const signedType = /^[^:]*:\s*(?:multipart\/(?:signed|encrypted)|application\/(?:x-)?pkcs7-mime)\b/i;
    return name === 'content-type' && signedType.test(bytes.toString('latin1'));
  });
}

export type LineGuard = {
  /** The bytes that go on, in order; or a refusal, after which nothing goes on. */
  readonly pass: (chunk: Uint8Array) => readonly Uint8Array[] | Refusal;
};

/** For the body. `signed`: nothing is folded. */
export function createLineGuard(options: { readonly signed: boolean }): LineGuard {
  let { signed } = options;
  /** Bytes of the current line that have gone on. */
  let column = 0;
  /** End of the last chunk: an inline signature may begin there. */
  let tail = Buffer.alloc(0);

  function look(bytes: Buffer): void {
    const seam = Buffer.concat([tail, bytes.subarray(0, inlineSignature.length)]);
    signed = bytes.includes(inlineSignature) || seam.includes(inlineSignature);
    const last = bytes.length < inlineSignature.length ? seam : bytes;
    tail = Buffer.from(last.subarray(Math.max(0, last.length - inlineSignature.length)));
  }

  return {
    pass(chunk) {
      const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
      if (!signed) look(bytes);
      const pieces: Uint8Array[] = [];
      let from = 0;
      let at = 0;
      while (at < bytes.length) {
        // The last line end within reach: all lines up to it are short enough, however many they are.
        const reach = Math.min(bytes.length, at + maxLine - column + 1);
        const end = lastLineEnd(bytes, at, reach);
        if (end >= 0) {
          at = end + 1;
          column = 0;
          continue;
        }
        if (column + bytes.length - at <= maxLine) {
          column += bytes.length - at;
          break;
        }
        if (signed) return signedLine;
        const cut = foldPoint(bytes, at, Math.max(at, at + foldAt - column));
        pieces.push(bytes.subarray(from, cut), fold);
        from = cut;
        at = cut;
        column = 1;
      }
      pieces.push(bytes.subarray(from));
      return pieces;
    },
  };
}

/** CR and LF alone end a line too: on its way out each becomes CRLF. */
function lastLineEnd(bytes: Buffer, from: number, to: number): number {
  const part = bytes.subarray(from, to);
  const found = Math.max(part.lastIndexOf(LF), part.lastIndexOf(CR));
  return found < 0 ? -1 : from + found;
}

/** Not within a character of several bytes. */
function foldPoint(bytes: Buffer, from: number, wanted: number): number {
  let at = wanted;
  while (at > from && at > wanted - 4 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at -= 1;
  return at;
}

/** There a blank in the wrong place makes another address or id. */
const structured = /^(?:resent-)?(?:from|sender|reply-to|to|cc|bcc|message-id|in-reply-to|references|date)$/;

/** A field of the header: folded at its blanks (RFC 5322 section 2.2.3), else behind a comma, else by force. */
export function foldField(field: Field, signed: boolean): Buffer | Refusal {
  const { bytes, name } = field;
  if (bytes.length <= maxLine) return bytes;
  const pieces: Buffer[] = [];
  let from = 0;
  let lineStart = 0;
  while (lineStart < bytes.length) {
    const lineEnd = firstLineEnd(bytes, lineStart);
    for (let at = lineStart; lineEnd - at > maxLine;) {
      if (signed) return signedLine;
      const nameEnd = lineStart === 0 ? bytes.indexOf(0x3a) + 1 : lineStart;
      const place = findFold(bytes, Math.max(at, nameEnd), at + foldAt);
      if (place === undefined && structured.test(name)) return unfoldable;
      const cut = place?.cut ?? foldPoint(bytes, at, at + foldAt);
      pieces.push(bytes.subarray(from, cut), place?.blank === true ? lineBreak : fold);
      from = cut;
      at = cut;
    }
    lineStart = lineEnd + 1;
  }
  return pieces.length === 0 ? bytes : Buffer.concat([...pieces, bytes.subarray(from)]);
}

/** Between `from` and `to`. `blank`: the next line begins with the blank that stands there. */
function findFold(
  bytes: Buffer,
  from: number,
  to: number,
): { readonly cut: number; readonly blank: boolean } | undefined {
  const blank = Math.max(bytes.lastIndexOf(0x20, to), bytes.lastIndexOf(0x09, to));
  if (blank > from + 1) return { cut: blank, blank: true };
  const comma = bytes.lastIndexOf(0x2c, to);
  return comma > from ? { cut: comma + 1, blank: false } : undefined;
}

function firstLineEnd(bytes: Buffer, from: number): number {
  for (let at = from; at < bytes.length; at += 1) if (bytes[at] === CR || bytes[at] === LF) return at;
  return bytes.length;
}
