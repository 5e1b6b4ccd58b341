import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createChunkEncoder, createDataEncoder } from '../../../agent/smtp/data.ts';
import type { DataEncoder } from '../../../agent/smtp/data.ts';
import { seeded } from './talk.ts';

function encode(encoder: DataEncoder, pieces: readonly (string | Uint8Array)[]): string {
  const bytes = pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece, 'latin1') : piece));
  const out = bytes.flatMap((piece) => encoder.push(piece));
  return Buffer.concat([...out, encoder.end()]).toString('latin1');
}

/** How a strict server reads: only CRLF ends a line. Gives the mail, or undefined when it ends too early or not at all. */
function strictly(wire: string): string | undefined {
  const end = ('\r\n' + wire).indexOf('\r\n.\r\n');
  if (end + 5 !== wire.length + 2) return undefined;
  return ('\r\n' + wire.slice(0, -3)).replaceAll('\r\n.', '\r\n').slice(2);
}

/** How a lenient server reads: a bare LF ends a line too. */
function leniently(wire: string): string | undefined {
  const end = /(?:^|\n)\.\r?\n/.exec(wire);
  if (end === null || end.index + end[0].length !== wire.length) return undefined;
  return wire.slice(0, -3).replaceAll(/(^|\n)\./g, '$1');
}

const rows: readonly {
  readonly mail: string;
  readonly kept: string;
  readonly turned: string;
  readonly bare: number;
}[] = [
  { mail: '', kept: '.\r\n', turned: '.\r\n', bare: 0 },
  { mail: 'a\r\n', kept: 'a\r\n.\r\n', turned: 'a\r\n.\r\n', bare: 0 },
  { mail: 'a', kept: 'a\r\n.\r\n', turned: 'a\r\n.\r\n', bare: 0 },
  { mail: '.\r\n', kept: '..\r\n.\r\n', turned: '..\r\n.\r\n', bare: 0 },
  { mail: '.', kept: '..\r\n.\r\n', turned: '..\r\n.\r\n', bare: 0 },
  { mail: '..a\r\n.b\r\n', kept: '...a\r\n..b\r\n.\r\n', turned: '...a\r\n..b\r\n.\r\n', bare: 0 },
  { mail: 'a\r\n.\r\nb\r\n', kept: 'a\r\n..\r\nb\r\n.\r\n', turned: 'a\r\n..\r\nb\r\n.\r\n', bare: 0 },
  { mail: 'a\nb', kept: 'a\nb\r\n.\r\n', turned: 'a\r\nb\r\n.\r\n', bare: 1 },
  { mail: 'a\rb', kept: 'a\rb\r\n.\r\n', turned: 'a\r\nb\r\n.\r\n', bare: 1 },
  { mail: 'a\r', kept: 'a\r\r\n.\r\n', turned: 'a\r\n.\r\n', bare: 1 },
  { mail: 'a\n', kept: 'a\n\r\n.\r\n', turned: 'a\r\n.\r\n', bare: 1 },
  { mail: 'a\r\r\n', kept: 'a\r\r\n.\r\n', turned: 'a\r\n\r\n.\r\n', bare: 1 },
  { mail: 'a\r\r', kept: 'a\r\r\r\n.\r\n', turned: 'a\r\n\r\n.\r\n', bare: 2 },
  { mail: 'a\r\n\n', kept: 'a\r\n\n\r\n.\r\n', turned: 'a\r\n\r\n.\r\n', bare: 1 },
  { mail: 'a\r.b', kept: 'a\r.b\r\n.\r\n', turned: 'a\r\n..b\r\n.\r\n', bare: 1 },
  { mail: 'a\n.\r\nb', kept: 'a\n..\r\nb\r\n.\r\n', turned: 'a\r\n..\r\nb\r\n.\r\n', bare: 1 },
  { mail: 'a\r.\r\nb', kept: 'a\r.\r\nb\r\n.\r\n', turned: 'a\r\n..\r\nb\r\n.\r\n', bare: 1 },
  { mail: '\0\xff\x80', kept: '\0\xff\x80\r\n.\r\n', turned: '\0\xff\x80\r\n.\r\n', bare: 0 },
];

test('dots are doubled and line ends kept or turned, wherever the bytes are cut', () => {
  for (const { mail, kept, turned, bare } of rows) {
    for (let cut = 0; cut <= mail.length; cut += 1) {
      const pieces = [mail.slice(0, cut), mail.slice(cut)];
      const where = JSON.stringify(pieces);
      assert.equal(encode(createDataEncoder({ keepBareLineEnds: true }), pieces), kept, where);
      const encoder = createDataEncoder({ keepBareLineEnds: false });
      assert.equal(encode(encoder, pieces), turned, where);
      assert.equal(encoder.bareLineEnds(), bare, where);
    }
  }
});

test('random mails arrive as they were at a strict and at a lenient server, byte by byte and whole', () => {
  const random = seeded(11);
  const letters = ['\r', '\n', '.', 'a', '\r\n', '\n.', '\r\n.', '\0'];
  for (let round = 0; round < 5_000; round += 1) {
    const length = Math.floor(random() * 12);
    const mail = Array.from({ length }, () => letters[Math.floor(random() * letters.length)]).join('');
    const pieces = round % 2 === 0 ? [mail] : mail.split('');
    const seen = JSON.stringify(mail);

    const turned = encode(createDataEncoder({ keepBareLineEnds: false }), pieces);
    const clean = mail.replaceAll(/\r\n|\r|\n/g, '\r\n');
    const complete = clean === '' || clean.endsWith('\r\n') ? clean : clean + '\r\n';
    assert.equal(strictly(turned), complete, seen);
    assert.equal(leniently(turned), complete, seen);
    assert.doesNotMatch(turned, /\r(?!\n)|(?<!\r)\n/, seen);

    const kept = encode(createDataEncoder({ keepBareLineEnds: true }), pieces);
    const whole = mail === '' || mail.endsWith('\r\n') ? mail : mail + '\r\n';
    assert.equal(leniently(kept), whole, seen);
    // A strict server keeps the dot that guards against the lenient one, and nothing else.
    assert.equal(strictly(kept), whole.replaceAll(/(?<!\r)\n\./g, '\n..'), seen);
  }
});

test('counted bytes need no dots, only the line end that is missing', () => {
  for (const mail of ['', 'a\r\n', 'a\n.\r\nb\r\n', '.\r\n']) {
    assert.equal(encode(createChunkEncoder(), mail.split('')), mail);
  }
  for (const mail of ['a', 'a\r', 'a\n', '\n']) {
    assert.equal(encode(createChunkEncoder(), mail.split('')), mail + '\r\n');
    assert.equal(encode(createChunkEncoder(), [mail]), mail + '\r\n');
  }
});
