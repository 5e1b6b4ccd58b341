// BDAT (RFC 3030): a mail whose bare line ends must stay is sent by count where the server offers CHUNKING.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConversationError, openConversation } from '../../../agent/smtp/conversation.ts';
import type { Conversation } from '../../../agent/smtp/conversation.ts';
import { startLineServer } from '../../lab/line-server.ts';
import type { Action, Connection } from '../../lab/line-server.ts';
import { mailOf, optionsFor } from './talk.ts';
import type { Owner } from './talk.ts';

type Chunk = { readonly argument: string; readonly bytes: Buffer };
type Answer = (chunk: Chunk, index: number) => Action;

/** An LMTP server that knows only what is needed here; `answer` speaks after each chunk. */
async function chunkServer(
  t: Owner,
  answer: Answer,
): Promise<{ readonly conversation: Conversation; readonly commands: string[]; readonly chunks: Chunk[] }> {
  const commands: string[] = [];
  const chunks: Chunk[] = [];
  const serve = async (connection: Connection): Promise<void> => {
    await connection.act('220 x\r\n');
    for (let line = await connection.line(); line !== undefined; line = await connection.line()) {
      commands.push(line);
      const bdat = /^BDAT ((\d+)(?: LAST)?)$/.exec(line);
      if (bdat === null) {
        const hello = '250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n';
        if (!(await connection.act(line.startsWith('LHLO') ? hello : '250 2.0.0 ok\r\n'))) return;
        continue;
      }
      const bytes = await connection.bytes(Number(bdat[2]));
      if (bytes === undefined) return;
      chunks.push({ argument: bdat[1] ?? '', bytes: Buffer.from(bytes) });
      if (!(await connection.act(answer({ argument: bdat[1] ?? '', bytes }, chunks.length - 1)))) return;
    }
  };
  const server = await startLineServer({ serve });
  t.after(server.close);
  const conversation = await openConversation(optionsFor(server, { protocol: 'lmtp' }));
  t.after(() => Promise.resolve(conversation.close()));
  return { conversation, commands, chunks };
}

const kept = { keepBareLineEnds: true } as const;

test('every byte goes as it is, by count, in one chunk when the mail is small', async (t) => {
  const { conversation, commands, chunks } = await chunkServer(t, () => '250 2.0.0 taken\r\n');
  const mail = '.a\n.\r\nb\rc\0\xff\r\n..\r\n';
  const result = await conversation.send(mailOf(mail, { ...kept, head: Buffer.from('X-Top: 1\r\n') }));
  assert.equal(result.recipients[0]?.reply.code, 250);
  assert.equal(chunks[0]?.bytes.toString('latin1'), 'X-Top: 1\r\n' + mail);
  assert.deepEqual(commands.slice(1), ['MAIL FROM:<info@example.org>', 'RCPT TO:<sales@example.net>', 'BDAT 27 LAST']);
});

test('a big mail goes in chunks, and LMTP answers each recipient after the last one', async (t) => {
  const last: Action = '250 2.0.0 first\r\n452 4.2.2 full\r\n';
  const { conversation, chunks } = await chunkServer(t, ({ argument }) =>
    argument.endsWith('LAST') ? last : '250 2.0.0 go on\r\n',
  );
  const bytes = Buffer.alloc(300_000, 'line\r\n');
  let dots = 0;
  const beforeDot = (): void => {
    dots += 1;
    assert.equal(
      chunks.some((chunk) => chunk.argument.endsWith('LAST')),
      false,
    );
  };
  const recipients = ['a@example.org', 'b@example.org'];
  const result = await conversation.send(mailOf(bytes, { ...kept, recipients, beforeDot }));
  assert.deepEqual(
    result.recipients.map(({ reply, phase }) => [reply.code, phase]),
    [
      [250, 'after-dot'],
      [452, 'after-dot'],
    ],
  );
  assert.deepEqual(Buffer.concat(chunks.map((chunk) => chunk.bytes)), bytes);
  assert.equal(chunks.length > 3, true);
  assert.equal(dots, 1);
  assert.equal(conversation.usable(), true);
});

test('a chunk that is refused ends the mail, and the next one is not disturbed', async (t) => {
  const { conversation, commands, chunks } = await chunkServer(t, (_, index) =>
    index === 1 ? '452 4.3.1 full\r\n' : '250 2.0.0 ok\r\n',
  );
  let dots = 0;
  const bytes = Buffer.alloc(300_000, 'line\r\n');
  const result = await conversation.send(mailOf(bytes, { ...kept, beforeDot: () => void (dots += 1) }));
  assert.deepEqual(
    result.recipients.map(({ reply, phase }) => [reply.code, phase]),
    [[452, 'body']],
  );
  assert.equal(commands.at(-1), 'RSET');
  assert.deepEqual([chunks.length, dots], [2, 0]);
  const next = await conversation.send(mailOf('next\r\n', kept));
  assert.equal(next.recipients[0]?.reply.code, 250);
});

test('a line that breaks before the last chunk has carried nothing, after it the outcome is unknown', async (t) => {
  const bytes = Buffer.alloc(300_000, 'line\r\n');
  for (const [at, phase] of [
    ['first', 'body'],
    ['last', 'after-dot'],
  ] as const) {
    const { conversation } = await chunkServer(t, ({ argument }) =>
      argument.endsWith('LAST') === (at === 'last') ? { end: 'close' } : '250 ok\r\n',
    );
    await assert.rejects(conversation.send(mailOf(bytes, kept)), (error: unknown) => {
      assert.ok(error instanceof ConversationError);
      assert.deepEqual([error.phase, error.reply], [phase, undefined]);
      return true;
    });
  }
});
