// Mails that break tools, each with the reason why it is here. Generated, the same in every run, our own text.
// Promise: bytes as they travel, lines ended by CRLF except where the case is about something else; no leading dot doubled.
import { createRandom } from './random.ts';

export type CorpusMail = {
  readonly name: string;
  /** What breaks on it. */
  readonly why: string;
  /**
   * `cr`, `lf`: holds a CR or LF that is no part of a CRLF; SMTP turns it into CRLF, LMTP keeps it, and a POP3 server that
   * stores with LF line ends gives out a bare LF as CRLF already. `none`: must arrive unchanged everywhere.
   */
  readonly bare: 'none' | 'cr' | 'lf' | 'both';
  /** Made anew at each call; the big ones are big. */
  readonly bytes: () => Buffer;
};

const date = 'Wed, 25 Nov 2026 09:00:00 +0000';
const text = (value: string): Buffer => Buffer.from(value, 'utf8');

function head(name: string, more: readonly string[] = []): string {
  const fields = [
    'From: <sender@example.net>',
    'To: <info@example.org>',
    'Subject: corpus ' + name,
    'Date: ' + date,
    'Message-ID: <corpus-' + name + '@example.net>',
    ...more,
  ];
  return fields.map((field) => field + '\r\n').join('') + '\r\n';
}

type Case = readonly [name: string, why: string, body: string | (() => Buffer), bare?: CorpusMail['bare']];

/** Everything but the header follows from the name; `body` as a function gives the whole mail. */
const cases: readonly Case[] = [
  [
    'eight-bit-without-charset',
    'Latin-1 bytes in header and body, declared nowhere: decoding as UTF-8 turns them into U+FFFD.',
    () =>
      Buffer.concat([
        text('Subject: Gr'),
        Buffer.from([0xfc, 0xdf, 0x65]),
        text('\r\nFrom: <sender@example.net>\r\n\r\nF'),
        Buffer.from([0xfc]),
        text('r alle '),
        Buffer.from(Array.from({ length: 128 }, (_, index) => 128 + index)),
        text('\r\n'),
      ]),
  ],
  ['nul-bytes', 'A NUL ends a C string: clients stop there.', 'before\0after\r\n\0\r\nlast\0\r\n'],
  ['nul-first', 'The first byte of the mail is a NUL.', () => text('\0' + head('nul-first') + 'body\r\n')],
  ['bare-cr', 'A CR alone is no line end.', 'one\rtwo\r\nthree\r\rfour\r\n', 'cr'],
  ['bare-cr-last', 'A CR right before the last CRLF, and as the last byte of a line.', 'one\r\r\ntwo\r\r\n', 'cr'],
  ['bare-lf', 'An LF alone: an end of line for some, not for others.', 'one\ntwo\r\nthree\n\nfour\r\n', 'lf'],
  [
    'bare-lf-dot',
    'A lone dot between bare LFs: who takes it as the end of the mail loses the rest (SMTP smuggling).',
    'first half\n.\nsecond half\n.\r\nthird\r\n.\nfourth\r\n',
    'lf',
  ],
  ['bare-cr-dot', 'A lone dot between bare CRs.', 'first half\r.\rsecond half\r.\r\nthird\r\n', 'cr'],
  ['bare-both', 'Line ends of every kind, also the wrong way round.', 'a\n\rb\r\r\nc\n\r\nd\re\nf\r\n', 'both'],
  ['long-line', 'One line of 100 kB: line buffers overflow or cut.', 'x'.repeat(100_000) + '\r\n'],
  [
    'long-lines-with-dots',
    'Lines of 100 kB that begin with a dot and end at the size of common buffers.',
    [65_535, 65_536, 100_000].map((length) => '.'.repeat(length) + '\r\n').join(''),
  ],
  [
    'long-header-line',
    'A header line of 60 kB, unfolded.',
    () => text(head('long-header-line', ['X-Long: ' + 'y'.repeat(60_000)]) + 'body\r\n'),
  ],
  [
    'leading-dots',
    'One dot is taken off and put on for each line.',
    '.one\r\n..two\r\n...three\r\n.\t\r\n. \r\nend\r\n',
  ],
  ['lone-dot-lines', 'Lines of one dot within the mail.', '.\r\n.\r\nmiddle\r\n.\r\n.\r\n'],
  ['lone-dot-last', 'The last line is a lone dot: the end line follows it at once.', 'text\r\n.\r\n'],
  ['dot-after-header', 'The body is a lone dot.', '.\r\n'],
  ['many-dots', '3,000 lines of nothing but a dot.', '.\r\n'.repeat(3_000)],
  ['empty-body', 'A header, the empty line, nothing.', ''],
  ['header-only', 'A header without the empty line.', () => text(head('header-only').slice(0, -2))],
  ['no-header', 'Begins with the empty line: there is no header.', () => text('\r\nThere is no header.\r\n')],
  ['text-only', 'Not even an empty line: a text where a header should be.', () => text('Just a line of text.\r\n')],
  [
    'mbox-first-line',
    'The first line looks like the separator of an mbox file; it is neither header nor body.',
    () => text('From sender@example.net Wed Nov 25 09:00:00 2026\r\n' + head('mbox-first-line') + 'From here on.\r\n'),
  ],
  ['from-lines', 'Lines that begin with "From ": mbox writers quote them.', 'From here\r\n>From there\r\nFrom\r\n'],
  [
    'utf8-addresses',
    'Addresses and subject in raw UTF-8 (RFC 6532): a server may demand SMTPUTF8.',
    () =>
      text(
        'From: "Büro" <büro@bücher.example.net>\r\nTo: <info@example.org>\r\nSubject: Grüße aus 東京\r\nDate: ' +
          date +
          '\r\nMessage-ID: <corpus-utf8-addresses@example.net>\r\n\r\nGrüße\r\n',
      ),
  ],
  [
    'many-header-lines',
    '5,000 header lines: quadratic parsers and header limits.',
    () =>
      text(
        head(
          'many-header-lines',
          numbered(5_000, (n) => 'X-Line-' + n + ': value ' + n),
        ) + 'body\r\n',
      ),
  ],
  [
    'deep-folding',
    'One header field folded over 1,000 lines, some of them blank but for a tab.',
    () =>
      text(
        head('deep-folding', ['X-Folded: begin' + numbered(1_000, (n) => '\r\n\t' + 'abc '.repeat(n % 4)).join('')]),
      ),
  ],
  [
    'header-oddities',
    'Fields without name, without value, without colon, twice, with blanks before the colon.',
    () => text(': no name\r\nX-Empty:\r\nno colon here\r\nX-Twice: 1\r\nX-Twice: 2\r\nX-Blank : v\r\n\r\nbody\r\n'),
  ],
  ['commands', 'Lines that look like commands and answers.', 'QUIT\r\nDELE 1\r\n+OK\r\n-ERR no\r\n250 ok\r\nDATA\r\n'],
  ['blank-lines', 'Nothing but empty lines, many.', '\r\n'.repeat(2_000)],
  ['trailing-blanks', 'Blanks and tabs at line ends must stay.', 'a \r\nb\t\r\n \r\n\t\r\nsignature -- \r\n'],
  ['control-characters', 'Every byte from 1 to 31 but CR and LF, and 127.', controlCharacters() + '\r\n'],
  ['big-attachment', 'An attachment of 30 MB in base64.', () => attachment('big-attachment', 30_000_000)],
];

/** The last bytes of an answer to RETR fall on these sizes: segments of TCP, buffers of servers. */
const boundaries = [1_448, 1_460, 4_096, 16_384] as const;

/**
 * Mails whose end line `.` CRLF, sent behind dovecot's status line, begins so many bytes before a boundary that it is
 * split at every place: CR LF | . CR LF, CR LF . | CR LF, and so on.
 */
function onBoundaries(): readonly CorpusMail[] {
  return boundaries.flatMap((boundary) =>
    numbered(6, (before): CorpusMail => {
      const name = 'end-' + before + '-before-' + boundary;
      return {
        name,
        why: 'The end of the mail is split over two packets: a client that searches each packet waits for ever.',
        bare: 'none',
        bytes: () => sized(name, boundary - before - ('+OK ' + boundary + ' octets\r\n').length),
      };
    }),
  );
}

export function corpus(): readonly CorpusMail[] {
  const written = cases.map(([name, why, body, bare = 'none']): CorpusMail => {
    const bytes = typeof body === 'string' ? () => text(head(name) + body) : body;
    return { name, why, bare, bytes };
  });
  return [...written, ...onBoundaries()];
}

function numbered<T>(count: number, make: (n: number) => T): T[] {
  return Array.from({ length: count }, (_, n) => make(n));
}

function controlCharacters(): string {
  const codes = [...numbered(31, (n) => n + 1).filter((code) => code !== 10 && code !== 13), 127];
  return String.fromCharCode(...codes);
}

/** A mail of exactly so many bytes, in lines of 70 characters. */
function sized(name: string, sizeBytes: number): Buffer {
  const start = head(name);
  let rest = sizeBytes - start.length;
  let body = '';
  while (rest > 0) {
    // A last line of one byte could hold no CRLF.
    const length = rest <= 74 ? rest : 72;
    body += 'z'.repeat(length - 2) + '\r\n';
    rest -= length;
  }
  return text(start + body);
}

function attachment(name: string, sizeBytes: number): Buffer {
  const random = createRandom(30);
  const raw = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 4 <= sizeBytes; at += 4) raw.writeUInt32LE(random.below(2 ** 32), at);
  const lines = raw.toString('base64').replaceAll(/.{76}/g, '$&\r\n');
  const parts = [
    head(name, ['MIME-Version: 1.0', 'Content-Type: multipart/mixed; boundary="corpus-part"']),
    '--corpus-part\r\nContent-Type: text/plain\r\n\r\nThe attachment is big.\r\n',
    '--corpus-part\r\nContent-Type: application/octet-stream; name="big.bin"\r\nContent-Transfer-Encoding: base64\r\n\r\n',
    lines + (lines.endsWith('\r\n') ? '' : '\r\n'),
    '--corpus-part--\r\n',
  ];
  return Buffer.from(parts.join(''), 'latin1');
}
