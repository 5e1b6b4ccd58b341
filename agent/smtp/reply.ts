// What a server answers: read from any cut of bytes, bounded, and nothing that is not an SMTP reply is taken for one.

import { maskAddress } from '#shared/log.ts';

export type Reply = {
  readonly code: number;
  /** Enhanced status such as `5.1.1` (RFC 2034, 3463), when the server gave one whose class fits the code. */
  readonly enhanced: string | undefined;
  /** All lines without their code, joined by `\n`; the last one carries the reason at many providers. */
  readonly text: string;
};

/** The server sent something that is no reply, or more than a reply may be. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError';
}

export type ReplyReader = {
  /** Calls `onReply` for each reply that these bytes complete. Throws ReplyError; the reader is of no use afterwards. */
  readonly push: (chunk: Uint8Array) => void;
  /** True in the middle of a reply. */
  readonly partial: () => boolean;
};

const newline = 0x0a;
const replyLine = /^([2-5]\d\d)(?:([ -])(.*))?$/s;

export function createReplyReader(options: {
  readonly onReply: (reply: Reply) => void;
  readonly lineBytes?: number;
  readonly replyBytes?: number;
}): ReplyReader {
  const lineBytes = options.lineBytes ?? 4_096; // RFC 5321 section 4.5.3.1.5 says 512; real servers write more
  const replyBytes = options.replyBytes ?? 65_536;
  let line: Buffer[] = [];
  let lineLength = 0;
  let lines: string[] = [];
  let code = '';
  let total = 0;

  function takeLine(): Reply | undefined {
    const text = cleaned(Buffer.concat(line));
    line = [];
    lineLength = 0;
    const match = replyLine.exec(text);
    if (match === null) throw new ReplyError(quoted(text));
    const [, own = '', separator = ' ', rest = ''] = match;
    if (lines.length > 0 && own !== code)
      throw new ReplyError('a reply that begins with ' + code + ' and goes on with ' + own);
    code = own;
    lines.push(rest);
    if (separator === '-') return undefined;
    const reply = { code: Number(code), enhanced: enhancedOf(code, lines), text: lines.join('\n') };
    lines = [];
    total = 0;
    return reply;
  }

  return {
    push(chunk) {
      for (let start = 0; start < chunk.length;) {
        const end = chunk.indexOf(newline, start);
        const piece = chunk.subarray(start, end < 0 ? chunk.length : end + 1);
        start += piece.length;
        lineLength += piece.length;
        total += piece.length;
        line.push(Buffer.from(piece));
        if (lineLength > lineBytes) throw new ReplyError('a line of more than ' + lineBytes + ' bytes');
        if (total > replyBytes) throw new ReplyError('a reply of more than ' + replyBytes + ' bytes');
        const reply = end < 0 ? undefined : takeLine();
        if (reply !== undefined) options.onReply(reply);
      }
    },
    partial: () => total > 0,
  };
}

/** For one line of text: `550 5.1.1 no such user / ask the postmaster`. */
export function showReply(reply: Reply): string {
  return (reply.code + ' ' + reply.text.replaceAll(/\s*\n\s*/g, ' / ')).trim();
}

/** Characters of a reply in a log. */
const maxLogged = 300;

/** For logs: replies repeat the addresses they are about, and can be long. */
export function maskReply(text: string, longest = maxLogged): string {
  const masked = text.replaceAll(/[^\s<>,;:()[\]"']{1,320}@[^\s<>,;:()[\]"']{1,255}/g, maskAddress);
  return masked.length > longest ? masked.slice(0, longest) + '...' : masked;
}

/** Without line end and control characters, which would forge log lines. */
function cleaned(bytes: Buffer): string {
  return bytes
    .toString('utf8')
    .replace(/\r?\n$/, '')
    .replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/g, ' ');
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? text.slice(0, 80) + '...' : text);
}

function enhancedOf(code: string, lines: readonly string[]): string | undefined {
  for (const line of lines) {
    const match = /^([245]\.\d{1,3}\.\d{1,3})(?= |$)/.exec(line);
    if (match?.[1] !== undefined && match[1].charAt(0) === code.charAt(0)) return match[1];
  }
  return undefined;
}
