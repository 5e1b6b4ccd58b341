// Random mails through a server that others wrote: what arrives is what was sent.
import assert from 'node:assert/strict';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { SMTPServer } from 'smtp-server';
import { openConversation } from '../../../agent/smtp/conversation.ts';
import type { Body } from '../../../agent/smtp/conversation.ts';
import { mailOf, optionsFor, seeded } from './talk.ts';
import type { Owner } from './talk.ts';

type Taken = { readonly from: string; readonly recipients: readonly string[]; readonly bytes: Buffer };

async function startServer(t: Owner, lmtp: boolean): Promise<{ readonly port: number; readonly taken: Taken[] }> {
  const taken: Taken[] = [];
  const server = new SMTPServer({
    lmtp,
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    onData: (stream, session, callback) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => void chunks.push(chunk));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        const recipients = rcptTo.map((recipient) => recipient.address);
        taken.push({
          from: mailFrom === false ? '' : (mailFrom?.address ?? ''),
          recipients,
          bytes: Buffer.concat(chunks),
        });
        if (lmtp)
          callback(
            null,
            recipients.map(() => 'taken'),
          );
        else callback(null, 'taken');
      });
    },
  });
  server.on('error', () => {});
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  t.after(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return { port: (server.server.address() as AddressInfo).port, taken }; // a TCP server
}

const words = [
  '\r\n',
  '\r\n.',
  '\r\n.\r\n',
  '\r\n..',
  '.',
  'word ',
  '\0',
  '\xff\x80',
  '\r\n\r\n',
  '\t',
  'x'.repeat(3_000),
];

/** CRLF only: what a bare CR or LF becomes is tested elsewhere. */
function randomMail(random: () => number): Buffer {
  const count = Math.floor(random() * 60);
  const text = Array.from({ length: count }, () => words[Math.floor(random() * words.length)]).join('');
  return Buffer.from(text === '' || text.endsWith('\r\n') ? text : text + '\r\n', 'latin1');
}

function bodyInPieces(bytes: Buffer, random: () => number): Body {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + Math.floor(random() * (random() < 0.5 ? 4 : 5_000));
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return { sizeBytes: bytes.length, open: () => (random() < 0.5 ? pieces : Readable.from(pieces)) };
}

for (const protocol of ['smtp', 'lmtp'] as const) {
  test(protocol + ': 300 random mails in random pieces arrive byte for byte over one conversation', async (t) => {
    const { port, taken } = await startServer(t, protocol === 'lmtp');
    const random = seeded(protocol === 'smtp' ? 21 : 22);
    const conversation = await openConversation(optionsFor({ host: '127.0.0.1', port }, { protocol }));
    for (let round = 0; round < 300; round += 1) {
      const bytes = randomMail(random);
      const keepBareLineEnds = random() < 0.5;
      const recipients = Array.from(
        { length: 1 + Math.floor(random() * 3) },
        (_, index) => 'r' + index + '@example.net',
      );
      const body = bodyInPieces(bytes, random);
      const head = Buffer.from('X-Round: ' + round + '\r\n');
      const result = await conversation.send(mailOf('', { body, head, recipients, keepBareLineEnds }));
      assert.deepEqual(
        result.recipients.map((answer) => [answer.address, answer.reply.code]),
        recipients.map((address) => [address, 250]),
      );
      assert.equal(result.bareLineEnds, 0);
      const mail = taken.at(-1);
      assert.equal(mail?.bytes.equals(Buffer.concat([head, bytes])), true, 'round ' + round);
      assert.deepEqual([mail?.from, mail?.recipients], ['info@example.org', recipients]);
    }
    assert.equal(taken.length, 300);
    await conversation.quit();
  });
}

test('30 MB arrive whole', async (t) => {
  const { port, taken } = await startServer(t, false);
  const block = Buffer.alloc(72_000, '0123456789'.repeat(7) + '\r\n');
  function* blocks(): Generator<Uint8Array> {
    for (let count = 0; count < 420; count += 1) yield block;
  }
  const conversation = await openConversation(optionsFor({ host: '127.0.0.1', port }));
  await conversation.send(mailOf('', { body: { sizeBytes: block.length * 420, open: blocks } }));
  assert.equal(taken[0]?.bytes.equals(Buffer.concat([...blocks()])), true);
  await conversation.quit();
});
