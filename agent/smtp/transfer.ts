// Carries the bytes of one mail over the channel: as a stream, in blocks, at the pace the server reads. The last block
// carries the end of the mail and is held back until `beforeDot` is done.
import { Readable } from 'node:stream';
import { ChannelError } from './channel.ts';
import type { Channel } from './channel.ts';
import { createChunkEncoder, createDataEncoder } from './data.ts';
import type { DataEncoder } from './data.ts';
import type { Mail } from './mail.ts';
import { isDone } from './session.ts';
import type { Progress, Session } from './session.ts';
import type { Reply } from './reply.ts';

const blockBytes = 65_536;

export type Transfer = {
  /** The server's refusal before the end of the mail; the rest was not sent. */
  readonly refusal: Reply | undefined;
  readonly bareLineEnds: number;
};

type Ending = { readonly bodyCommand: 'DATA' | 'BDAT'; readonly finalAnswers: number };

/**
 * `finalAnswers`: replies that the end of the mail asks for; they are left to the caller to read. With `BDAT` (RFC 3030)
 * bytes are counted instead of framed by a dot.
 */
export async function transfer(session: Session, mail: Mail, options: Ending, progress: Progress): Promise<Transfer> {
  const encoder = options.bodyCommand === 'DATA' ? createDataEncoder(mail) : createChunkEncoder();
  try {
    return await carry(session, mail, options, progress, encoder);
  } catch (error) {
    // A server that refuses and closes at once ends our reading of the body too; its answer counts more.
    const early = error instanceof ChannelError && progress.phase === 'body' ? await earlyAnswer(session) : undefined;
    if (early === undefined) throw error;
    return { refusal: early, bareLineEnds: encoder.bareLineEnds() };
  }
}

async function carry(
  session: Session,
  mail: Mail,
  options: Ending,
  progress: Progress,
  encoder: DataEncoder,
): Promise<Transfer> {
  const { channel } = session;
  const data = options.bodyCommand === 'DATA';
  // Expected from the first block on: a server that refuses a mail half-way answers before its end.
  let answers = data ? options.finalAnswers : 1;
  progress.phase = 'body';
  // Opened once: a stream that nobody reads would keep its file open.
  const source = mail.body.open();
  for await (const block of smallBlock(mail, source, encoder) ?? readBlocks(channel, mail, source, encoder)) {
    const wait = block.last ? mail.beforeDot?.() : undefined;
    if (wait !== undefined) await channel.until(wait);
    const refusal = data ? await earlyAnswer(session) : undefined;
    if (refusal !== undefined) return { refusal, bareLineEnds: encoder.bareLineEnds() };
    const trouble = channel.failure();
    if (trouble !== undefined) throw trouble;
    if (block.last) progress.phase = 'after-dot';
    if (data) {
      await writeBlock(session, block.bytes, answers);
      answers = 0;
      continue;
    }
    const command = 'BDAT ' + block.bytes.length + (block.last ? ' LAST\r\n' : '\r\n');
    const bytes = Buffer.concat([Buffer.from(command), block.bytes]);
    await writeBlock(session, bytes, block.last ? options.finalAnswers : 1);
    if (block.last) continue;
    const reply = await channel.reply(session.timeouts.commandMs);
    if (!isDone(reply)) return { refusal: reply, bareLineEnds: 0 };
  }
  return { refusal: undefined, bareLineEnds: encoder.bareLineEnds() };
}

async function earlyAnswer(session: Session): Promise<Reply | undefined> {
  return session.channel.answered() ? session.channel.reply(session.timeouts.commandMs) : undefined;
}

/** A server that answers and closes breaks our write; its answer counts more. */
async function writeBlock(session: Session, bytes: Uint8Array, answers: number): Promise<void> {
  try {
    await session.channel.write(bytes, answers, session.timeouts.writeMs);
  } catch (error) {
    if (!session.channel.answered()) throw error;
  }
}

type Source = ReturnType<Mail['body']['open']>;
type Block = { readonly bytes: Uint8Array; readonly last: boolean };

/** Of a small mail in memory, without the turns that a stream takes. */
function smallBlock(mail: Mail, source: Source, encoder: DataEncoder): readonly Block[] | undefined {
  if (mail.body.sizeBytes > blockBytes || !Array.isArray(source)) return undefined;
  const chunks = source.map(checkBytes);
  checkSize(mail, lengthOf(chunks));
  const pieces = [mail.head, ...chunks].flatMap((chunk) => encoder.push(chunk));
  return [{ bytes: Buffer.concat([...pieces, encoder.end()]), last: true }];
}

async function* readBlocks(channel: Channel, mail: Mail, source: Source, encoder: DataEncoder): AsyncGenerator<Block> {
  let pieces = encoder.push(mail.head);
  let size = lengthOf(pieces);
  let total = 0;
  for await (const chunk of readSource(channel, source)) {
    total += chunk.length;
    for (let start = 0; start < chunk.length; start += blockBytes) {
      for (const piece of encoder.push(chunk.subarray(start, start + blockBytes))) {
        pieces.push(piece);
        size += piece.length;
      }
      if (size < blockBytes) continue;
      yield { bytes: Buffer.concat(pieces), last: false };
      pieces = [];
      size = 0;
    }
  }
  checkSize(mail, total);
  pieces.push(encoder.end());
  yield { bytes: Buffer.concat(pieces), last: true };
}

/** Not a plain `for await` over the source: a source that never gives anything must not outlive the channel. */
async function* readSource(channel: Channel, source: Source): AsyncGenerator<Uint8Array> {
  if (!(Symbol.asyncIterator in source)) {
    for (const chunk of source) yield checkBytes(chunk);
    return;
  }
  const iterator: AsyncIterator<unknown> = source[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await channel.until(Promise.resolve(iterator.next()));
      if (step.done === true) return;
      yield checkBytes(step.value);
    }
  } finally {
    // Not awaited: an iterator answers return() only after the next() that it may never answer.
    if (source instanceof Readable) source.destroy();
    else void Promise.resolve(iterator.return?.()).catch(() => {});
  }
}

function checkSize({ body }: Mail, total: number): void {
  if (total === body.sizeBytes) return;
  const state = 'its body ended after ' + total + ' bytes';
  throw new Error('Cannot send a mail: ' + state + ', expected ' + body.sizeBytes + ' bytes');
}

function checkBytes(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError('Cannot send a mail: its body gave no bytes');
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}
